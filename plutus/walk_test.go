package plutus

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// who signs a transaction beside whoever pays its fee.
type who int

const (
	nobody who = iota
	requesterAlone
	providerAlone
	both
)

// step is an attempt: a transition of a lot in a state, by somebody, in a part of the lot's life.
type step struct {
	from State
	kind Kind
	who  who
	when int
}

// lives are the parts of a lot's life, each with a range of slots: until decline_by, commit_by, claim_at, the deadline,
// and after it.
func (w *world) lives() []Frame {
	return []Frame{
		{From: w.declineBy - w.span, Until: w.declineBy},
		{From: w.commitBy - w.span, Until: w.commitBy},
		{From: w.commitBy, Until: w.moments.claim},
		{From: w.moments.claim, Until: w.moments.claim + w.span},
		{From: w.moments.lapse, Until: w.moments.lapse + w.span},
	}
}

// allowed are the rules, as the protocol has them.
func allowed(s step) bool {
	requester, provider := s.who == requesterAlone || s.who == both, s.who == providerAlone || s.who == both
	switch s.kind {
	case KindApprove:
		return s.from < Disputed && requester
	case KindRedeem:
		return s.from < Disputed && provider
	case KindCommit:
		return s.from == Open && provider && s.when <= 1
	case KindDecline:
		return s.from == Open && provider && s.when == 0
	case KindRefund:
		return s.from == Open && s.when >= 2
	case KindClaim:
		return s.from == Committed && provider && s.when >= 3
	case KindDispute:
		return s.from == Committed && requester && s.when <= 2
	case KindVerdict:
		return s.from == Disputed && s.when <= 3
	case KindConcede:
		return s.from == Disputed && requester
	case KindLapse:
		return s.from == Disputed && s.when == 4
	case KindClose:
		return s.who == both
	}
	return false
}

// attempt builds a step with whatever it takes beside the right state, signature and time.
func (w *world) attempt(tb testing.TB, s step) (chain.Draft, error) {
	tb.Helper()
	real := w.lotOf(tb, 1, 0, s.from, w.contested)
	f, t := w.lives()[s.when], w.contested
	// The drafts refuse what is not in the right state: they are given a lot that says it is.
	l := real
	pretend := func(to State) { l.State = to }
	var d chain.Draft
	var err error
	switch s.kind {
	case KindApprove:
		pretend(Open)
		d, err = w.Approve([]Lot{l}, t, f)
	case KindRedeem:
		pretend(Open)
		d, err = w.Redeem([]Earned{{l, t, w.voucher(l.Job, price/2)}}, f)
	case KindCommit:
		pretend(Open)
		d, err = w.Commit(l, t, [32]byte{9}, ClaimAt(t, f.Until, w.clock), f)
	case KindDecline:
		pretend(Open)
		d, err = w.Decline(l, t, f)
	case KindRefund:
		pretend(Open)
		d, err = w.Refund([]Lot{l}, t, f)
	case KindClaim:
		pretend(Committed)
		d, err = w.Claim([]Lot{l}, f)
	case KindDispute:
		pretend(Committed)
		d, err = w.Dispute(l, t, Deadline(t, f.Until, w.clock), f)
	case KindVerdict:
		pretend(Disputed)
		d, err = w.Verdict(l, t, w.decided(l, award, slash, attesterNames...), f)
	case KindConcede:
		pretend(Disputed)
		d, err = w.Concede(l, t, f)
	case KindLapse:
		pretend(Disputed)
		d, err = w.Lapse(l, t, f)
	case KindClose:
		d, err = w.Close(l, t, price/2, f)
	}
	if err != nil {
		return d, err
	}
	d.Inputs[0].UTxO = real.UTxO
	if s.kind != KindCommit && s.kind != KindDispute {
		w.balanceTokens(&d)
	}
	d.Signers = map[who][]chain.KeyHash{
		requesterAlone: {w.requester.Hash}, providerAlone: {w.providers[0].Hash}, both: {w.requester.Hash, w.providers[0].Hash},
	}[s.who]
	return d, nil
}

// conserved says whether an attempt that passed paid all NTX of the lot to those it may go to, or kept it in the lot.
func (w *world) conserved(d chain.Draft, s step) error {
	may := []chain.Address{
		w.requester.Address, w.addresses[0], w.Address,
		chain.Enterprise(w.Network, w.contested.Disputes.Payee), chain.ScriptAddress(w.Network, w.Params.Sink),
	}
	sum, want := uint64(0), d.Inputs[0].Value.Of(ntx)
	if s.kind == KindDispute {
		want += disputeBond
	}
	for _, o := range d.Outputs {
		if !slices.Contains(may, o.Address) || o.Address == w.Address && s.kind != KindCommit && s.kind != KindDispute {
			return fmt.Errorf("%s pays to %s", s.kind, o.Address)
		}
		sum += o.Value.Of(ntx)
	}
	if sum != want {
		return fmt.Errorf("%s pays %d of %d", s.kind, sum, want)
	}
	return nil
}

// TestWalk tries every transition in every state, by everybody, in every part of a lot's life, and compares what the
// contracts accept with the rules and with the table of states for people; value is conserved; and in every state there
// is a way out in the end that takes nobody's signature but the provider's, and in all but one not even that.
func TestWalk(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	reached := map[string]bool{}
	exits := map[State][]who{}
	for _, from := range []State{Open, Committed, Disputed} {
		for _, kind := range kinds()[1 : len(kinds())-1] {
			for who := nobody; who <= both; who++ {
				for when := range w.lives() {
					s := step{from, kind, who, when}
					d, err := w.attempt(t, s)
					if err == nil {
						_, err = w.submit(d, w.stranger)
					}
					if allowed(s) != (err == nil) {
						t.Errorf("%+v: allowed %v: %v", s, allowed(s), err)
					}
					if err != nil {
						continue
					}
					reached[fmt.Sprint([]string{"open", "committed", "disputed"}[from], " ", kind)] = true
					if err := w.conserved(d, s); err != nil {
						t.Errorf("%+v: %v", s, err)
					}
					if when == len(w.lives())-1 {
						exits[from] = append(exits[from], who)
					}
				}
			}
		}
	}
	for from, by := range map[State]who{Open: nobody, Committed: providerAlone, Disputed: nobody} {
		if !slices.Contains(exits[from], by) {
			t.Errorf("ways out of state %d in the end: %v", from, exits[from])
		}
	}
	page, err := os.ReadFile("../docs/reference/states.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(page), "\n## ")
	rows := 0
	for _, m := range regexp.MustCompile(`(?m)^\| (open|committed|disputed) \| ([a-z]+) \| [a-z]+ \|$`).FindAllStringSubmatch(table, -1) {
		rows++
		if !reached[m[1]+" "+m[2]] {
			t.Errorf("the contracts never accept what states.md lists: %s, %s", m[1], m[2])
		}
	}
	if rows != len(reached) {
		t.Errorf("states.md lists %d transitions, the contracts accept %d: %v", rows, len(reached), reached)
	}
}
