package provider

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// publish puts all scripts where transactions refer to them.
func (w *world) publish() {
	w.Helper()
	f := plutus.Frame{From: w.ledger.Slot(), Until: w.ledger.Slot() + 100}
	for _, d := range []chain.Draft{w.contracts.Deploy(f), w.contracts.DeploySlices(f)} {
		tx, err := w.req.purse.Pay(w.Context(), d, "publish")
		w.must(err)
		w.must(w.ledger.Submit(tx.Bytes()))
		w.block(1)
	}
}

// started is a deal whose opening makes a slice.
func (w *world) started() *deal {
	w.Helper()
	d := w.quoted(w.request(market.General)).drawUp().build()
	d.start()
	return d
}

// start makes a start of a deal's opening.
func (d *deal) start() {
	d.Helper()
	refs, err := d.prov.book.References(d.Context())
	d.must(err)
	f := plutus.Frame{From: d.draft.From, Until: d.draft.Until, References: refs}
	d.draft, err = d.contracts.Start(d.packed, d.parts(), d.output(d.terms.Seed), f)
	d.must(err)
	d.balance()
}

// TestLeave: in a slice of a requester that is gone, the provider works, leaves with its result in time, and claims.
func TestLeave(t *testing.T) {
	w := newWorld(t)
	w.publish()
	before := w.prov.ntx(w)
	d := w.started()
	d.witness()
	w.must(w.ledger.Submit(d.tx.Bytes()))
	w.block(1)
	if l := d.lot(); l.Status != escrow.Sliced || l.OpenedBy() != d.tx.ID() {
		t.Fatalf("the lot is %s", l.Status)
	}
	r := d.result()
	w.restart()
	w.until(d.terms.CommitBy-chain.Time(policy.CommitLead)+10_000, 5)
	l := d.lot()
	if l.Status != escrow.Committed || l.Root != r.Root {
		t.Fatalf("the lot is %s, with %x, the result's root is %s", l.Status, l.Root, r.Root)
	}
	w.until(l.ClaimAt+10_000, 10)
	d.over(market.PhaseDone)
	if got := w.prov.ntx(w); got != before+d.quote.PriceUNTX {
		t.Errorf("%d µNTX after %d", got, before)
	}
}

// TestStartRefused: no start is witnessed that this provider could not leave in time, or of scripts that are nowhere.
func TestStartRefused(t *testing.T) {
	refused := func(d *deal, words string) {
		t.Helper()
		_, err := d.propose()
		if r := new(market.Refusal); err == nil || !strings.Contains(err.Error(), words) || !errors.As(err, &r) && !errors.As(err, new(market.Refusal)) {
			t.Errorf("%v, not %q", err, words)
		}
	}
	w := newWorld(t)
	refused(w.started(), "not published")

	w = newWorld(t)
	w.publish()
	w.stop()
	w.cfg.Policy.LeaveStep = 60_000
	w.start()
	refused(w.started(), "too little time")

	w = newWorld(t)
	w.publish()
	d := w.started()
	l := d.terms.Lots[0]
	d.packed.Rest[0]++ // other terms than agreed
	u := d.output(l.BondInput)
	part := plutus.Part{Provider: l.Payment, PriceUNTX: l.PriceUNTX, BondInput: u, BondChange: u.Address}
	var err error
	d.draft, err = w.contracts.Start(d.packed, []plutus.Part{part}, d.output(d.terms.Seed), plutus.Frame{From: d.draft.From, Until: d.draft.Until})
	w.must(err)
	refused(d.balance(), "terms")
}
