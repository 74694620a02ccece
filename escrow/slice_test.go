package escrow_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// newSlices is a world whose jobs are opened in slices, with the scripts published.
func newSlices(t *testing.T, providers int, change ...func(*chain.Params)) *world {
	t.Helper()
	w := newWorld(t, providers, change...)
	w.sliced = true
	f := plutus.Frame{From: w.ledger.Slot(), Until: w.ledger.Slot() + 100}
	for _, d := range []chain.Draft{w.contracts.Deploy(f), w.contracts.DeploySlices(f)} {
		tx, err := w.requester.purse.Pay(w.Context(), d, "publish")
		w.must(err)
		w.must(w.ledger.Submit(tx.Bytes()))
		w.block(1)
	}
	return w
}

// delivers: a provider has its result, and the requester has accepted it or not.
func (o *opened) delivers(accepted bool, providers ...*party) {
	for _, p := range providers {
		o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: o.ledger.Now()})
		o.knows(o.requester, p, escrow.Facts{Verified: accepted})
	}
}

// TestSettle: slices of two jobs are settled in one transaction, when all in them are accepted, and nobody loses a lovelace
// but the requester.
func TestSettle(t *testing.T) {
	w := newSlices(t, 4)
	before := map[*party]chain.Lovelace{}
	for _, p := range w.providers {
		before[p] = p.lovelace(w)
	}
	a, b := w.open(w.providers...), w.open(w.providers[1:]...)
	a.delivers(true, w.providers[:3]...)
	w.block(1)
	a.is(w.providers[0], escrow.Sliced)
	a.delivers(true, w.providers[3])
	b.delivers(true, w.providers...)
	w.act()
	w.block(1)
	for i, p := range w.providers {
		a.is(p, escrow.Approved)
		if i > 0 {
			b.is(p, escrow.Approved)
		}
		if after := p.lovelace(w); after != before[p] || len(p.acted) > 0 {
			t.Errorf("a provider had %d lovelace and has %d, by %v", before[p], after, p.acted)
		}
	}
	if !slices.Equal(w.requester.acted, []string{"settle 7"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
}

// TestSilentRequester: every provider with a result leaves in its turn, before commit_by, one after the other, and is paid
// after the review; who has none loses the penalty, and the slice that is left is dissolved.
func TestSilentRequester(t *testing.T) {
	w := newSlices(t, 4)
	gone := w.providers[3]
	had := w.providers[0].ntx(w)
	o := w.open(w.providers...)
	w.requester.do.Book = noLots{w.requester.book}
	for _, p := range w.providers[:3] {
		o.delivers(false, p)
	}
	o.knows(gone, gone, escrow.Facts{InputsReady: true})
	first := o.terms.CommitBy - chain.Time(policy.CommitLead+4*policy.LeaveStep)
	w.until(first-6000, 5)
	for _, p := range w.providers {
		o.is(p, escrow.Sliced)
	}
	w.until(o.terms.CommitBy, 5)
	for _, p := range w.providers[:3] {
		o.is(p, escrow.Committed)
	}
	o.is(gone, escrow.Sliced)
	w.until(o.terms.CommitBy+chain.Time(policy.Grace)+30_000, 5)
	o.is(gone, escrow.Refunded)
	w.until(o.terms.CommitBy+400_000, 20)
	for _, p := range w.providers[:3] {
		o.is(p, escrow.Claimed)
		if !slices.Equal(p.acted, []string{"leave 1", "claim 1"}) {
			t.Errorf("a provider did %v", p.acted)
		}
	}
	if got := w.providers[0].ntx(w); got != had+price {
		t.Errorf("%d µNTX after %d", got, had)
	}
}

// TestFinish: the requester pays those whom it accepts before they would leave, and whoever is late still can commit.
func TestFinish(t *testing.T) {
	w := newSlices(t, 3)
	late := w.providers[1]
	o := w.open(w.providers...)
	for _, p := range []*party{w.providers[0], w.providers[2]} {
		o.delivers(true, p)
	}
	o.knows(late, late, escrow.Facts{InputsReady: true})
	finish := o.terms.CommitBy - chain.Time(policy.CommitLead+4*policy.LeaveStep)
	w.until(finish-6000, 5)
	o.is(w.providers[0], escrow.Sliced)
	w.until(finish+12_000, 5)
	o.is(w.providers[0], escrow.Approved)
	o.is(w.providers[2], escrow.Approved)
	o.is(late, escrow.Open)
	o.delivers(true, late)
	w.block(2)
	w.block(2)
	o.is(late, escrow.Approved)
	if !slices.Equal(w.requester.acted, []string{"finish 3", "approve 1"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
}

// TestFinishAfter: it does so from commit_by on, too, when it came too late before.
func TestFinishAfter(t *testing.T) {
	w := newSlices(t, 2)
	o := w.open(w.providers...)
	a, b := o.owner(0), o.owner(1)
	w.providers = nil // both have gone
	w.requester.do.Book = noLots{w.requester.book}
	w.until(o.terms.CommitBy, 5)
	w.requester.do.Book = w.requester.book
	w.requester.facts[a] = escrow.Facts{Verified: true}
	w.block(5)
	w.block(5)
	w.block(5)
	for k, want := range map[escrow.Key]escrow.Status{a: escrow.Approved, b: escrow.Refunded} {
		if l, err := w.requester.book.Lot(t.Context(), k); err != nil || l.Status != want {
			t.Errorf("a lot is %s, not %s: %v", l.Status, want, err)
		}
	}
	if !slices.Equal(w.requester.acted, []string{"finish 2", "refund 1"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
}

// owner is the i-th lot of a job.
func (o *opened) owner(i int) escrow.Key {
	o.Helper()
	all, err := o.requester.book.JobLots(o.Context(), o.id)
	o.must(err)
	for _, l := range all {
		if l.Place.Index == i {
			return l.Key
		}
	}
	o.Fatalf("no lot %d", i)
	return escrow.Key{}
}

// TestDissolve: nobody delivers, and the requester gets all prices and penalties in one transaction.
func TestDissolve(t *testing.T) {
	w := newSlices(t, 3)
	mine, theirs := w.providers[0].ntx(w), w.requester.ntx(w)
	o := w.open(w.providers...)
	all := w.providers
	for _, p := range all {
		o.knows(p, p, escrow.Facts{InputsReady: true})
	}
	w.until(o.terms.CommitBy+20_000, 10)
	for _, p := range all {
		o.is(p, escrow.Refunded)
	}
	if got := all[0].ntx(w); got != mine-penalty {
		t.Errorf("a provider has %d of %d", got, mine)
	}
	if got := w.requester.ntx(w); got != theirs+3*penalty || !slices.Equal(w.requester.acted, []string{"dissolve 3"}) {
		t.Errorf("the requester has %d of %d, by %v", got, theirs, w.requester.acted)
	}
}

// TestDeclineSlice: who has no inputs leaves in time to decline with its whole bond, and the others do not notice.
func TestDeclineSlice(t *testing.T) {
	w := newSlices(t, 3)
	p := w.providers[2]
	mine := p.ntx(w)
	o := w.open(w.providers...)
	for _, q := range w.providers[:2] {
		o.knows(q, q, escrow.Facts{InputsReady: true})
	}
	w.until(o.terms.DeclineBy, 5)
	w.block(5)
	o.is(p, escrow.Declined)
	if p.ntx(w) != mine || !slices.Equal(p.acted, []string{"leave 1", "decline 1"}) {
		t.Errorf("%d of %d, by %v", p.ntx(w), mine, p.acted)
	}
	o.delivers(true, w.providers[:2]...)
	w.block(1)
	w.block(1)
	o.is(w.providers[0], escrow.Approved)
	if !slices.Equal(w.requester.acted, []string{"settle 2"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
}

// TestCrowd: more than fit a slice make several, and one settlement.
func TestCrowd(t *testing.T) {
	w := newSlices(t, 34)
	o := w.openWith(func(t *plutus.Terms) { t.DeclineBy += 700_000 }, w.providers...) // so that no turn comes before
	refs := map[chain.OutRef]int{}
	for _, p := range w.providers {
		refs[o.lot(p).Ref]++
	}
	sizes := []int{}
	for _, n := range refs {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	if fmt.Sprint(sizes) != "[4 30]" {
		t.Errorf("slices of %v", sizes)
	}
	o.delivers(true, w.providers...)
	w.act()
	w.block(1)
	o.is(w.providers[0], escrow.Approved)
	if !slices.Equal(w.requester.acted, []string{"settle 34"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
}

// TestUndoneSlices: what a rollback undoes of a slice is done again, from whatever output it then is in.
func TestUndoneSlices(t *testing.T) {
	w := newSlices(t, 3)
	o := w.open(w.providers...)
	first := o.owner(0)
	p := w.providers[slices.IndexFunc(w.providers, func(p *party) bool { return p.Hash == first.Provider })]
	o.delivers(false, p)
	w.ledger.Tick(chain.Slot((o.terms.CommitBy-chain.Time(policy.CommitLead+3*policy.LeaveStep)-w.ledger.Now())/1000) + 1)
	w.block(1)
	w.block(1)
	o.is(p, escrow.Committed)
	o.check(p)
	o.check(w.providers[0])
	w.must(w.ledger.Rollback(1))
	w.must(p.book.Sync())
	if l := o.lot(p); l.Status != escrow.Sliced || l.Place.Of != 3 {
		t.Fatalf("after a rollback the lot is %s, of %d", l.Status, l.Place.Of)
	}
	for range 3 {
		w.block(2)
	}
	o.is(p, escrow.Committed)
	if l, err := p.book.Lot(t.Context(), o.owner(1)); err != nil || l.Status != escrow.Sliced || l.Place.Of != 2 {
		t.Errorf("who stays is %s, of %d", l.Status, l.Place.Of)
	}
}
