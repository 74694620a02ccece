package escrow

import (
	"slices"
	"testing"

	"github.com/tallycompute/tally/plutus"
)

// Every prospect is a row of the state table, and every row but a closing, which takes both sides, is a prospect.
func TestOutlook(t *testing.T) {
	terms := plutus.Terms{DeclineBy: 10, CommitBy: 20, VoucherKey: plutus.PublicKey{1}, Disputes: plutus.Disputes{Threshold: 1, CostUNTX: 1}}
	for _, s := range []Status{Open, Committed, Disputed, Sliced, Approved, Judged} {
		l := Lot{Status: s, Terms: terms, ClaimAt: 30, Deadline: 40}
		seen := map[Kind]bool{}
		for _, p := range l.Outlook(5) {
			seen[p.On] = true
			if p.By == "" || p.Then == "" {
				t.Errorf("%s: %+v", s, p)
			}
		}
		for _, r := range Table() {
			if r.From == s && r.On != KindClose && !(s == Committed && r.On == KindRedeem) && !seen[r.On] {
				t.Errorf("%s: no word of %s", s, r.On)
			}
		}
		for k := range seen {
			if !slices.ContainsFunc(Table(), func(r Transition) bool { return r.From == s && r.On == k }) {
				t.Errorf("%s: %s is no way on", s, k)
			}
		}
	}
	for _, p := range (Lot{Status: Open, Terms: terms}).Outlook(15) {
		if p.On == KindDecline {
			t.Error("it could decline until 10")
		}
	}
}

func TestExposure(t *testing.T) {
	lot := func(s Status) Lot {
		return Lot{Status: s, PriceUNTX: 100, BondUNTX: 20, Terms: plutus.Terms{Disputes: plutus.Disputes{BondUNTX: 7}}}
	}
	got := ExposureOf(lot(Absent), lot(Open), lot(Committed), lot(Disputed), lot(Sliced), lot(Approved), lot(Refunded), lot(Judged))
	if want := (Exposure{PricesUNTX: 400, OpenUNTX: 200, BondsUNTX: 80, DisputesUNTX: 7}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}
