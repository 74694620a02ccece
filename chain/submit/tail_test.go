package submit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/submit"
)

// source is the network as a submit.Source.
type source struct {
	*network
	cut    atomic.Pointer[context.CancelCauseFunc] // cuts the connection
	strict bool                                    // it knows none of the points it is asked for, once
}

// Follow is the ledger's, until it is cut.
func (s *source) Follow(ctx context.Context, from []chain.Point, f submit.Follower) error {
	if s.strict {
		s.strict = false
		return chain.ErrNoIntersection
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.cut.Store(&cancel)
	return errors.Join(s.Ledger.Follow(ctx, from, f), context.Cause(ctx))
}

// Look is what a node's unspent outputs say.
func (s *source) Look(_ context.Context, body chain.TxBody) (b submit.Base, err error) {
	bs := view{s.network}.blocks()
	if len(bs) > 0 {
		b.Point, b.Height = bs[len(bs)-1].Point, bs[len(bs)-1].Height
	}
	for _, u := range s.UTxOs() {
		b.Made = b.Made || u.Ref.Tx == body.ID
		if slices.Contains(body.Inputs, u.Ref) {
			b.Unspent = append(b.Unspent, u.Ref)
		}
	}
	return b, nil
}

// tailed is a tail of a transaction that follows the network from now until the test ends.
func (n *network) tailed(s *source, tx *chain.Tx) *submit.Tail {
	n.Helper()
	body, err := tx.Inspect()
	if err != nil {
		n.Fatal(err)
	}
	base, err := s.Look(n.Context(), body)
	if err != nil {
		n.Fatal(err)
	}
	tail := submit.NewTail(body, base, func(t chain.BlockTx) bool { return slices.Contains(t.Witnesses, n.us.Hash) })
	ctx, cancel := context.WithCancel(n.Context())
	ran := make(chan error, 1)
	go func() { ran <- tail.Run(ctx, s) }()
	n.Cleanup(func() {
		cancel()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			n.Error(err)
		}
	})
	return tail
}

// caughtUp waits until a tail has read every block.
func (n *network) caughtUp(t *submit.Tail) {
	n.Helper()
	for {
		changed := t.Changed()
		if t.Tip() == (view{n}).Tip() {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			n.Fatalf("at slot %d, the chain is at %d", t.Tip(), view{n}.Tip())
		}
	}
}

// TestTail: what a tail knows of a transaction is what the whole chain says, whatever was rolled back, and however often
// the connection was lost.
func TestTail(t *testing.T) {
	us, them := chaintest.NewActor("us"), chaintest.NewActor("them")
	mine, theirs := us.Coin(0, chain.Coins(50*ada)), them.Coin(0, chain.Coins(50*ada))
	n := newNetwork(t, us, mine, theirs)
	n.block()
	n.block()
	tx := n.pay(60*ada, 10_000, []chain.UTxO{mine, theirs}, us, them)
	src := &source{network: n}
	tail := n.tailed(src, tx)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	undone := 0
	for range 150 {
		switch x := random.IntN(10); {
		case x < 6:
			if !n.InMempool(tx.ID()) {
				_ = n.Ledger.Submit(tx.Bytes()) // it may be in a block
			}
			n.block()
		case x < 9 && len(view{n}.blocks()) > 3:
			undone++
			if err := n.Rollback(1 + random.IntN(len(view{n}.blocks())-1)); err != nil {
				t.Fatal(err)
			}
			n.block() // so that it can be told when the tail has caught up
		default:
			if cut := src.cut.Load(); cut != nil {
				(*cut)(errors.New("cut"))
			}
		}
		n.caughtUp(tail)
		got, err := tail.Confirmations(t.Context(), tx.ID())
		if err != nil {
			t.Fatal(err)
		}
		want, err := view{n}.Confirmations(t.Context(), tx.ID())
		if err != nil {
			t.Fatal(err)
		}
		if (got > 0) != (want > 0) || got > want || !tail.Sure() {
			t.Fatalf("%d confirmations, the chain says %d; sure: %v", got, want, tail.Sure())
		}
		if f, err := tail.Fate(t.Context(), theirs.Ref); err != nil || (f.By != nil) && !(f.Ours && *f.By == tx.ID()) {
			t.Fatalf("%+v: %v", f, err)
		}
	}
	if undone < 10 {
		t.Errorf("%d rollbacks", undone)
	}
}

// TestTailUnsure: a chain that shows neither what a transaction spends nor what it makes does not say whether it was there.
func TestTailUnsure(t *testing.T) {
	us := chaintest.NewActor("us")
	n := newNetwork(t, us, us.Coin(0, chain.Coins(50*ada)))
	n.block()
	tx := n.pay(5*ada, 10_000, []chain.UTxO{us.Coin(0, chain.Coins(50*ada))}, us)
	shop := chaintest.NewActor("shop")
	if err := n.Ledger.Submit(tx.Bytes()); err != nil {
		t.Fatal(err)
	}
	n.block()
	early := n.tailed(&source{network: n}, tx)
	var made []chain.UTxO
	for _, u := range n.UTxOs() {
		if u.Ref.Tx == tx.ID() {
			made = append(made, u)
		}
	}
	next := n.pay(50*ada-2*ada, 10_000, made, us, shop)
	if err := n.Ledger.Submit(next.Bytes()); err != nil {
		t.Fatal(err)
	}
	n.block()
	late := n.tailed(&source{network: n, strict: true}, tx)
	n.block()
	n.caughtUp(early)
	n.caughtUp(late)
	if d, _ := early.Confirmations(t.Context(), tx.ID()); d != 3 || !early.Sure() {
		t.Errorf("%d confirmations, sure: %v", d, early.Sure())
	}
	if d, _ := late.Confirmations(t.Context(), tx.ID()); d != 0 || late.Sure() {
		t.Errorf("%d confirmations, sure: %v", d, late.Sure())
	}
	// To the tail of the second both are there; what the second spends is made since the first's block.
	s := submit.Submitter{Node: node{n}, Chain: late}
	if o, err := s.Submit(t.Context(), tx.Bytes()); o != chain.SpentByOthers {
		t.Errorf("%s: %v", o, err)
	}
}
