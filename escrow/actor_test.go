package escrow_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
)

var root = [32]byte{1, 2, 3}

// gains runs f and says what a party has more of NTX after it.
func gains(w *world, p *party, f func()) int64 {
	before := p.ntx(w)
	f()
	return int64(p.ntx(w)) - int64(before)
}

// TestApprove: one transaction pays every lot that was verified, and nothing else happens on chain.
func TestApprove(t *testing.T) {
	w := newWorld(t, 3)
	before := w.providers[0].lovelace(w)
	o := w.open(w.providers...)
	for _, p := range w.providers {
		o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
		o.knows(w.requester, p, escrow.Facts{Verified: true})
	}
	for _, p := range w.providers {
		if got := gains(w, p, func() { w.act(); w.block(1) }); p == w.providers[0] && got != price+bond {
			t.Errorf("%d µNTX gained, want %d", got, price+bond)
		}
		o.is(p, escrow.Approved)
	}
	if !slices.Equal(w.requester.acted, []string{"approve 3"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
	for _, p := range w.providers {
		if len(p.acted) > 0 {
			t.Errorf("a provider did %v", p.acted)
		}
	}
	if after := w.providers[0].lovelace(w); after != before {
		t.Errorf("the provider had %d lovelace and has %d", before, after)
	}
}

// TestLoneClaim: the requester is gone after the opening; the provider commits in time and claims after the window.
func TestLoneClaim(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	start := p.ntx(w)
	o := w.open(p)
	at := w.ledger.Now()
	o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: at})
	w.until(at+chain.Time(policy.Patience)-2000, 5)
	o.is(p, escrow.Open)
	w.until(at+chain.Time(policy.Patience)+20_000, 5)
	o.is(p, escrow.Committed)
	l := o.lot(p)
	if l.Root != root || l.ClaimAt < w.ledger.Now()+200_000 {
		t.Errorf("committed %x, to be claimed at %d", l.Root, l.ClaimAt)
	}
	w.until(l.ClaimAt-5000, 5)
	o.is(p, escrow.Committed)
	w.until(l.ClaimAt+20_000, 5)
	o.is(p, escrow.Claimed)
	if got := p.ntx(w); got != start+price {
		t.Errorf("%d µNTX after %d, price %d", got, start, uint64(price))
	}
	if !slices.Equal(p.acted, []string{"commit 1", "claim 1"}) {
		t.Errorf("the provider did %v", p.acted)
	}
}

// TestClaimsTogether: committed lots of several jobs are claimed in one transaction.
func TestClaimsTogether(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	start := p.ntx(w)
	var jobs []*opened
	for range 2 {
		o := w.open(p)
		o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
		jobs = append(jobs, o)
	}
	w.until(w.ledger.Now()+150_000, 5)
	last := max(jobs[0].lot(p).ClaimAt, jobs[1].lot(p).ClaimAt)
	w.ledger.Tick(chain.Slot((last - w.ledger.Now()) / 1000))
	w.block(5)
	w.block(5)
	for _, o := range jobs {
		o.is(p, escrow.Claimed)
	}
	if got := p.ntx(w); got != start+2*price || !slices.Contains(p.acted, "claim 2") {
		t.Errorf("%d µNTX after %d, by %v", got, start, p.acted)
	}
}

// TestDecline: the inputs never came; the provider keeps its whole bond and the requester gets its price back.
func TestDecline(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	mine, theirs := p.ntx(w), w.requester.ntx(w)
	o := w.open(p)
	w.until(o.terms.DeclineBy, 5)
	w.block(5)
	o.is(p, escrow.Declined)
	if p.ntx(w) != mine || w.requester.ntx(w) != theirs {
		t.Errorf("provider %d of %d, requester %d of %d", p.ntx(w), mine, w.requester.ntx(w), theirs)
	}
}

// TestRefund: the provider has gone; the requester gets price and penalty.
func TestRefund(t *testing.T) {
	w := newWorld(t, 2)
	gone, there := w.providers[0], w.providers[1]
	mine, theirs := gone.ntx(w), w.requester.ntx(w)
	o := w.open(gone, there)
	w.providers = w.providers[1:]
	o.knows(there, there, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
	o.knows(w.requester, there, escrow.Facts{Verified: true})
	w.until(o.terms.CommitBy+20_000, 10)
	w.must(gone.book.Sync())
	o.is(gone, escrow.Refunded)
	o.is(there, escrow.Approved)
	if gone.ntx(w) != mine-penalty || w.requester.ntx(w) != theirs+penalty-price {
		t.Errorf("provider %d of %d, requester %d of %d", gone.ntx(w), mine, w.requester.ntx(w), theirs)
	}
}

// TestBothGone: nobody moves until after the grace; then the provider fetches what is left of its bond.
func TestBothGone(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	mine, theirs := p.ntx(w), w.requester.ntx(w)
	o := w.open(p)
	o.knows(p, p, escrow.Facts{InputsReady: true})
	w.requester.do.Book = noLots{w.requester.book} // it does not act
	w.until(o.terms.CommitBy+chain.Time(policy.Grace)-2000, 10)
	o.is(p, escrow.Open)
	w.until(o.terms.CommitBy+chain.Time(policy.Grace)+30_000, 10)
	o.is(p, escrow.Refunded)
	if p.ntx(w) != mine-penalty || w.requester.ntx(w) != theirs+penalty {
		t.Errorf("provider %d of %d, requester %d of %d", p.ntx(w), mine, w.requester.ntx(w), theirs)
	}
}

// TestResubmission: what a node loses, refuses or a rollback undoes gets into the chain all the same, in time.
func TestResubmission(t *testing.T) {
	for name, harm := range map[string]func(w *world){
		"lost":    func(w *world) { w.ledger.Fail(chaintest.Faults{Lose: 1}) },
		"refused": func(w *world) { w.ledger.Fail(chaintest.Faults{Refuse: errors.New("mempool full")}) },
		"undone":  func(w *world) { w.act(); w.block(1); w.must(w.ledger.Rollback(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			p := w.providers[0]
			o := w.open(p)
			// The last moment: a transaction that is waited for until it expires would be waited for in vain.
			w.ledger.Tick(chain.Slot((o.terms.CommitBy-chain.Time(policy.CommitLead)-w.ledger.Now())/1000) + 1)
			o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
			harm(w)
			for range 5 {
				w.block(2)
			}
			o.is(p, escrow.Committed)
		})
	}
}

// silent is a node whose answers to the first submissions are lost, with the transactions.
type silent struct {
	escrow.Ledger
	lost int
	seen map[string]bool
}

func (s *silent) Submit(ctx context.Context, tx []byte) error {
	s.seen[string(tx)] = true
	if s.lost--; s.lost >= 0 {
		return &chain.SubmitError{Outcome: chain.Unknown, Cause: errors.New("connection lost")}
	}
	return s.Ledger.Submit(ctx, tx)
}

// TestUnanswered: a transaction that nobody answered for is handed in again as it is, however often; another one in its
// place would tie up other coins.
func TestUnanswered(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	o := w.open(p)
	away := &silent{Ledger: p.do.Ledger, lost: 4, seen: map[string]bool{}}
	p.do.Ledger = away
	w.ledger.Tick(chain.Slot((o.terms.CommitBy-chain.Time(policy.CommitLead)-w.ledger.Now())/1000) + 1)
	o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
	for range 6 {
		w.block(2)
	}
	o.is(p, escrow.Committed)
	if len(away.seen) != 1 {
		t.Errorf("%d different transactions", len(away.seen))
	}
}

// TestTooLarge: more lots than fit a transaction are settled in several.
func TestTooLarge(t *testing.T) {
	// Enough for an opening, not for claiming nine lots at once.
	w := newWorld(t, 1, func(p *chain.Params) { p.MaxTxSize = 9500 })
	p := w.providers[0]
	start := p.ntx(w)
	var all []*opened
	for range 9 {
		o := w.open(p)
		o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
		all = append(all, o)
	}
	w.until(w.ledger.Now()+180_000, 5)
	for _, o := range all {
		o.is(p, escrow.Committed)
	}
	last := all[len(all)-1].lot(p).ClaimAt
	w.ledger.Tick(chain.Slot((last - w.ledger.Now()) / 1000))
	for range 4 {
		w.block(5)
	}
	for _, o := range all {
		o.is(p, escrow.Claimed)
	}
	if got := p.ntx(w); got != start+uint64(len(all))*price {
		t.Errorf("%d µNTX after %d", got, start)
	}
	if claims := slices.DeleteFunc(slices.Clone(p.acted), func(s string) bool { return s == "commit 1" }); len(claims) < 2 {
		t.Errorf("claimed by %v: all fitted", claims)
	}
}

// noLots is a book that shows none.
type noLots struct{ escrow.Book }

func (noLots) Lots(context.Context) ([]escrow.Lot, error) { return nil, nil }
