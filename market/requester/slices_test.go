package requester

import (
	"context"
	"sync"
	"testing"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// TestSlices: a job of enough providers is opened in slices and settled by one transaction.
func TestSlices(t *testing.T) {
	w := newSlices(t, 4)
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 4}\noutputs: [{path: /out, gather: concat}]\n"), yes)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Done || o.Phase != Settled || o.Outcome != "approved" {
		t.Fatalf("%+v", o)
	}
	w.checkPaid(t, o, 4)
	if kinds := w.kindsOf(t, o); kinds != "start settle" {
		t.Errorf("the first lot's transitions: %s", kinds)
	}
	if *o.Lots[0].Txs.Settle != *o.Lots[3].Txs.Settle {
		t.Errorf("settled by %s and %s", o.Lots[0].Txs.Settle, o.Lots[3].Txs.Settle)
	}
}

// TestSlicesOneShort: who delivered is paid at once, as the others are not waited for any more.
func TestSlicesOneShort(t *testing.T) {
	w := newSlices(t, 4)
	w.providers[3].leaves = true
	w.on = func(e Event) {
		switch {
		case e.Entered && e.Phase == Locked:
			w.providers[3].vanish()
		case e.Entered && e.Phase == Approved:
			w.passCommitBy()
		}
	}
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 4, min: 3}\noutputs: [{path: /out, gather: concat}]\n"), yes)
	if err != nil {
		t.Fatal(err)
	}
	w.checkPaid(t, o, 3)
	if bad := o.Lots[3]; bad.Accepted || bad.Status != escrow.Refunded || bad.RefundedUNTX != price(3) || bad.PenaltyUNTX != price(3)/10 {
		t.Errorf("%+v", bad)
	}
	if a, b := o.Lots[0].Txs, o.Lots[3].Txs; b.Leave == nil || b.Settle == nil || a.Settle == nil || *b.Leave != *a.Settle || *b.Settle == *a.Settle {
		t.Errorf("%+v and %+v", a, b)
	}
	if kinds := w.kindsOf(t, o); kinds != "start finish" {
		t.Errorf("the first lot's transitions: %s", kinds)
	}
}

// TestLotsWithoutRoom: where turns to leave do not fit, or too few providers share, there are lots.
func TestLotsWithoutRoom(t *testing.T) {
	for _, c := range []struct {
		turns  escrow.Policy
		shards string
	}{
		{escrow.Policy{DeclineLead: 5000, CommitLead: 10_000, LeaveStep: 20_000}, "4"},
		{escrow.Policy{DeclineLead: 5000, CommitLead: 10_000}, "4"},
		{escrow.Policy{DeclineLead: 5000, CommitLead: 10_000, LeaveStep: 1000}, "3"},
	} {
		w := newSlices(t, 4)
		w.turns = c.turns
		w.start()
		o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: "+c.shards+"}\n"), yes)
		if err != nil {
			t.Fatal(err)
		}
		if kinds := w.kindsOf(t, o); kinds != "open approve" {
			t.Errorf("%+v: %s", c, kinds)
		}
	}
}

// TestLotsOfAttesters: where there are attesters every result is committed before it is paid, so there are lots.
func TestLotsOfAttesters(t *testing.T) {
	w := newSlices(t, 4)
	w.now.Auditor = &testAuditor{says: func(context.Context, int, uint32) (bool, string, error) { return true, "as it says", nil }}
	var commits sync.WaitGroup
	w.when(Gathered, func() {
		commits.Go(func() {
			for _, p := range w.providers {
				if err := p.commit(t.Context(), t); err != nil {
					t.Error(err)
				}
			}
		})
	})
	o, err := w.now.Run(t.Context(), w.audited(t, 4), yes)
	if err != nil || o.Outcome != "approved" {
		t.Fatalf("%+v: %v", o, err)
	}
	commits.Wait()
	w.checkPaid(t, o, 4)
	if kinds := w.kindsOf(t, o); kinds != "open commit approve" {
		t.Errorf("the first lot's transitions: %s", kinds)
	}
}

// kindsOf are the transitions of a job's first lot.
func (w *world) kindsOf(t *testing.T, o Outcome) (kinds string) {
	t.Helper()
	key, _ := o.Lots[0].Address.Key()
	l, err := testBook{w.chain}.Lot(t.Context(), escrow.Key{Job: [28]byte(*o.Job), Provider: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []escrow.Kind{escrow.KindOpen, escrow.KindStart, escrow.KindLeave, escrow.KindCommit, escrow.KindApprove, escrow.KindSettle, escrow.KindFinish} {
		if _, ok := l.Txs[k]; ok {
			kinds += string(k) + " "
		}
	}
	return kinds[:max(len(kinds), 1)-1]
}
