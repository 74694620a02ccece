package escrow_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

const meeting = 30_000 // ms

// table is where the providers of a world meet, as one of them sees it: without the network, with all that is checked.
type table struct {
	*world
	deaf  []*party // never answer
	liars []*party // say that they come, and never sign

	step   chain.Slot // between blocks
	signed int
	last   *chain.Tx
}

// meets has a world's providers leave together.
func (w *world) meets() *table {
	at := &table{world: w, step: 5}
	for _, p := range append([]*party{w.requester}, w.providers...) {
		p.do.Policy.Meeting = meeting
	}
	for _, p := range w.providers {
		p.do.Meeting = &escrow.Meeting{Fellows: at, Purse: p.purse}
	}
	return at
}

func (t *table) of(l escrow.Lot) *party {
	i := slices.IndexFunc(t.providers, func(p *party) bool { return p.Hash == l.Key.Provider })
	if i < 0 || slices.Contains(t.deaf, t.providers[i]) {
		return nil
	}
	return t.providers[i]
}

// Invite implements escrow.Fellows.
func (t *table) Invite(ctx context.Context, _ escrow.Lot, others []escrow.Lot) (guests []escrow.Guest) {
	for _, l := range others {
		if p := t.of(l); p != nil && escrow.Joins(l, p.facts[l.Key], p.do.Policy, t.ledger.Now()) {
			guests = append(guests, escrow.Guest{Lot: l, Root: p.facts[l.Key].Result})
		}
	}
	return guests
}

// Witness implements escrow.Fellows.
func (t *table) Witness(ctx context.Context, _ escrow.Lot, guests []escrow.Guest, tx *chain.Tx) (signed []escrow.Guest) {
	t.last = tx
	body, err := tx.Inspect()
	t.must(err)
	for _, g := range guests {
		p := t.of(g.Lot)
		if slices.Contains(t.liars, p) {
			continue
		}
		job, err := p.book.JobLots(ctx, g.Lot.Key.Job)
		t.must(err)
		held, _, err := p.book.Held(ctx, g.Lot.Ref)
		t.must(err)
		s, err := escrow.SliceOf(t.contracts, job, held)
		t.must(err)
		me := plutus.Guest{
			Slice: s, Terms: g.Lot.Terms, Leaver: plutus.Leaver{Index: g.Lot.Place.Index}, Keys: []chain.KeyHash{p.Hash},
			Until: g.Lot.Terms.CommitBy,
		}
		if g.Root != nil {
			me.Leaver.Root = *g.Root
		}
		for _, ref := range plutus.Foreign(body, s.Ref) {
			i := slices.IndexFunc(t.ledger.UTxOs(), func(u chain.UTxO) bool { return u.Ref == ref })
			me.Coins = append(me.Coins, t.ledger.UTxOs()[i])
		}
		t.must(t.contracts.CheckLeave(tx, me, t.ledger.Clock()))
		t.must(p.Sign(tx))
		t.signed++
		signed = append(signed, g)
	}
	return signed
}

// left runs a job of providers that have results, whose requester is gone, until its turns are over.
func (t *table) left(change func(o *opened)) *opened {
	t.Helper()
	o := t.openWith(func(x *plutus.Terms) { x.DeclineBy += 700_000 }, t.providers...) // no turn comes before the results
	t.requester.do.Book = noLots{t.requester.book}
	o.delivers(false, t.providers...)
	change(o)
	t.until(o.terms.CommitBy, t.step)
	return o
}

// caller is who calls the others of a slice together as the i-th.
func (o *opened) caller(i int) *party {
	o.Helper()
	of := o.lot(o.providers[0]).Place.Of
	k := o.owner((i + of - int(o.id[27])%of) % of)
	return o.providers[slices.IndexFunc(o.providers, func(p *party) bool { return p.Hash == k.Provider })]
}

// did wants parties to have made these transitions, and no coin of theirs to be kept for anything else.
func (o *opened) did(p *party, want ...string) {
	o.Helper()
	if !slices.Equal(p.acted, want) {
		o.Errorf("a provider did %v, not %v", p.acted, want)
	}
}

// TestTogether: a requester is silent, and all providers leave in one transaction, which the first one pays; each claims its
// own price.
func TestTogether(t *testing.T) {
	w := newSlices(t, 4)
	had := map[*party]chain.Lovelace{}
	for _, p := range w.providers {
		had[p] = p.lovelace(w)
	}
	var first *party
	o := w.meets().left(func(o *opened) {
		first = o.caller(0)
		w.until(o.terms.CommitBy-chain.Time(policy.CommitLead+4*policy.LeaveStep+3*meeting)-6000, 5)
		o.is(first, escrow.Sliced)
	})
	tx := o.lot(first).Txs[escrow.KindLeave]
	for _, p := range w.providers {
		o.is(p, escrow.Committed)
		o.check(p)
		if l := o.lot(p); l.Txs[escrow.KindLeave] != tx || l.Root != root {
			t.Errorf("a lot left by %s with root %x", l.Txs[escrow.KindLeave], l.Root)
		}
		if p != first {
			o.did(p)
			if got := p.lovelace(w); got != had[p]-ada {
				t.Errorf("a guest had %d lovelace and has %d", had[p], got)
			}
		}
	}
	o.did(first, "leave 4")
	t.Logf("the caller paid %d lovelace", had[first]-ada-first.lovelace(w))
	w.until(o.lot(first).ClaimAt+20_000, 5)
	for _, p := range w.providers {
		o.is(p, escrow.Claimed)
	}
}

// TestTogetherWithout: who does not answer, or does not sign, or has nothing to leave with, stays, and leaves in its turn
// if it can.
func TestTogetherWithout(t *testing.T) {
	w := newSlices(t, 6)
	at := w.meets()
	var of [6]*party
	o := at.left(func(o *opened) {
		for i := range of {
			of[i] = o.caller(i)
		}
		at.deaf, at.liars = []*party{of[2]}, []*party{of[3]}
		o.knows(of[4], of[4], escrow.Facts{InputsReady: true}) // still at work, and never done
	})
	o.did(of[0], "leave 3") // with the second and the last
	o.did(of[1])
	o.did(of[5])
	o.did(of[2], "leave 1")
	o.did(of[3], "leave 1")
	for i, p := range of {
		if i != 4 {
			o.is(p, escrow.Committed)
		}
	}
	o.is(of[4], escrow.Sliced)
}

// TestTogetherTooMany: who has no room in the transaction is called by the next one.
func TestTogetherTooMany(t *testing.T) {
	w := newSlices(t, 28, func(p *chain.Params) { p.MaxTxSize = 12_000 })
	at := w.meets()
	at.step = 25
	at.left(func(*opened) {})
	var did []string
	for _, p := range w.providers {
		for _, a := range p.acted {
			if a != "claim 1" { // the first to leave can claim by now
				did = append(did, a)
			}
		}
	}
	if slices.Sort(did); !slices.Equal(did, []string{"leave 14", "leave 14"}) {
		t.Errorf("they did %v", did)
	}
}

// TestSecondCalls: when the first is gone, the second calls; what is left is dissolved.
func TestSecondCalls(t *testing.T) {
	w := newSlices(t, 4)
	var gone, second *party
	o := w.meets().left(func(o *opened) {
		gone, second = o.caller(0), o.caller(1)
		w.providers = slices.DeleteFunc(w.providers, func(p *party) bool { return p == gone })
	})
	o.did(second, "leave 3")
	w.until(o.terms.CommitBy+chain.Time(policy.Grace)+30_000, 5)
	if l, err := second.book.Lot(t.Context(), o.key(gone)); err != nil || l.Status != escrow.Sliced {
		t.Errorf("who is gone is %s: %v", l.Status, err)
	}
}

// TestNobodyComes: meetings that fail cost nothing, no coin stays reserved for them, and all leave in their turns.
func TestNobodyComes(t *testing.T) {
	w := newSlices(t, 4)
	at := w.meets()
	o := at.left(func(*opened) { at.liars = w.providers })
	for _, p := range w.providers {
		o.is(p, escrow.Committed)
		o.did(p, "leave 1")
		body, err := at.last.Inspect()
		w.must(err)
		if len(at.last.Witnesses()) > 0 {
			t.Errorf("signed by %v, which was given up", at.last.Witnesses())
		}
		all, err := p.book.Coins(t.Context())
		w.must(err)
		free, _, err := p.purse.Kept.Coins(t.Context(), all)
		w.must(err)
		for _, u := range all {
			if slices.Contains(body.Inputs, u.Ref) && !slices.ContainsFunc(free, func(f chain.UTxO) bool { return f.Ref == u.Ref }) {
				t.Errorf("%s is still kept", u.Ref)
			}
		}
	}
}

// TestCallerGone: the guests have signed, and the caller ends before it hands the transaction in: they are where they
// were, another one calls, and who signed twice has left once.
func TestCallerGone(t *testing.T) {
	w := newSlices(t, 4)
	at := w.meets()
	var gone, second *party
	o := at.left(func(o *opened) {
		gone, second = o.caller(0), o.caller(1)
		gone.do.Ledger = noNode{gone.do.Ledger}
	})
	if at.signed != 3+3 {
		t.Errorf("%d signatures", at.signed)
	}
	o.did(second, "leave 4")
	for _, p := range w.providers {
		o.is(p, escrow.Committed)
	}
}

// noNode takes no transactions.
type noNode struct{ escrow.Ledger }

func (noNode) Submit(context.Context, []byte) error { return context.Canceled }

// TestFinishBeforeMeeting: the requester finishes before anybody is called.
func TestFinishBeforeMeeting(t *testing.T) {
	w := newSlices(t, 4)
	w.meets()
	o := w.open(w.providers...)
	o.delivers(true, w.providers[:3]...)
	late := w.providers[3]
	o.knows(late, late, escrow.Facts{InputsReady: true, Result: &root})
	w.until(o.terms.CommitBy-chain.Time(policy.CommitLead+4*policy.LeaveStep+3*meeting)+10_000, 5)
	for _, p := range w.providers[:3] {
		o.is(p, escrow.Approved)
	}
	if !slices.Equal(w.requester.acted, []string{"finish 4"}) {
		t.Errorf("the requester did %v", w.requester.acted)
	}
	for _, p := range w.providers {
		if slices.ContainsFunc(p.acted, func(a string) bool { return a != "commit 1" }) {
			t.Errorf("a provider did %v", p.acted)
		}
	}
}

// TestUndoneTogether: a rollback undoes it, and the same transaction comes again.
func TestUndoneTogether(t *testing.T) {
	w := newSlices(t, 3)
	w.meets()
	o := w.open(w.providers...)
	w.requester.do.Book = noLots{w.requester.book}
	o.delivers(false, w.providers...)
	first := o.caller(0)
	for o.lot(first).Status == escrow.Sliced {
		w.block(5)
	}
	tx := o.lot(first).Txs[escrow.KindLeave]
	w.must(w.ledger.Rollback(1))
	w.must(first.book.Sync())
	if l := o.lot(first); l.Status != escrow.Sliced {
		t.Fatalf("after a rollback the lot is %s", l.Status)
	}
	w.block(1)
	w.block(1)
	for _, p := range w.providers {
		if l := o.lot(p); l.Status != escrow.Committed || l.Txs[escrow.KindLeave] != tx {
			t.Errorf("a lot is %s", l.Status)
		}
	}
}
