//go:build rollback

package testnet_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

// side is one producer of two with what follows it.
type side struct {
	testnet.Producer
	*node.Node
	ix *index.Index
}

// forks is a chain of two producers, and two parties with money on it.
type forks struct {
	*testnet.NodeProcess
	t          *testing.T
	cfg        index.Config
	sides      [2]side
	alice, bob chaintest.Actor
	sent       []*chain.Tx // everything that was ever submitted
}

func newForks(t *testing.T) *forks {
	dir, err := os.MkdirTemp("", "tr") // shorter than t.TempDir: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &forks{t: t, alice: chaintest.NewActor("alice"), bob: chaintest.NewActor("bob")}
	program := ""
	if bin := os.Getenv("TALLY_BIN"); bin != "" {
		program = filepath.Join(bin, "tally-devnet")
	}
	f.NodeProcess, err = testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: dir, SlotLength: 100 * time.Millisecond, Producers: 2, Program: program,
		Funds: map[chain.Address]chain.Lovelace{f.alice.Address: 1_000_000_000_000, f.bob.Address: 1_000_000_000_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for i, p := range f.Producers {
		n, err := node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: f.Network()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		if i == 0 {
			f.cfg = index.Config{Network: f.Network(), Watch: []index.Credential{index.PaymentOf(f.alice.Address), index.PaymentOf(f.bob.Address)}}
			b := &f.cfg.Base
			if b.Point, b.Height, b.UTxOs, err = n.Snapshot(t.Context(), f.alice.Address, f.bob.Address); err != nil {
				t.Fatal(err)
			}
		}
		f.sides[i] = side{p, n, f.follow(n)}
	}
	return f
}

// follow opens an index of a node's chain and lets it run until the test ends.
func (f *forks) follow(n *node.Node) *index.Index {
	t := f.t
	ix, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"), f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ix.Register("flows/1", index.HandlerFunc(flows))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := ix.Run(ctx, n); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); ix.Close() })
	return ix
}

// flows logs what goes to each address and what leaves it.
func flows(b index.Block) (es []index.Event, err error) {
	for _, t := range b.Txs {
		for _, in := range t.Inputs {
			if u, ok := b.Spent[in]; ok {
				es = append(es, index.Event{Key: u.Address.String(), Kind: "out", Payload: in.Tx[:]})
			}
		}
		for _, u := range t.Outputs {
			es = append(es, index.Event{Key: u.Address.String(), Kind: "in", Payload: u.Ref.Tx[:]})
		}
	}
	return es, nil
}

// pay spends a coin on a payment from one to the other.
func (f *forks) pay(s side, from, to chaintest.Actor, coin chain.UTxO, amount chain.Lovelace) *chain.Tx {
	t := f.t
	t.Helper()
	p, err := s.Params(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	clock, err := s.Clock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tip := s.ix.Tip().Slot
	d := chain.Draft{Outputs: []chain.Output{{Address: to.Address, Value: chain.Coins(amount)}}, From: tip, Until: tip + 1500}
	tx, err := chain.Balance(d, []chain.UTxO{coin}, from.Address, nil, p, clock, f.Network())
	if err != nil {
		t.Fatal(err)
	}
	if err := from.Sign(tx); err != nil {
		t.Fatal(err)
	}
	f.sent = append(f.sent, tx)
	return tx
}

// include submits a transaction to a side until its index has it in a block. It may be there already, for nodes pass on what
// waits in their mempools. It may be refused at first, for a node's ledger lags the blocks it hands out by milliseconds; and
// one that was taken may be dropped while the chain changes, as by any node.
func (f *forks) include(s side, tx *chain.Tx) {
	t := f.t
	t.Helper()
	for last := s.ix.Tip().Slot + 300; ; {
		refused := s.Submit(t.Context(), tx.Bytes())
		if refused != nil && !errors.Is(refused, node.ErrRejected) {
			t.Fatal(refused)
		}
		for again := s.ix.Tip().Slot + 10; s.ix.Tip().Slot < again; {
			changed := s.ix.Changed()
			_, _, there, err := s.ix.TxBlock(t.Context(), tx.ID())
			if err != nil {
				t.Fatal(err)
			}
			if there {
				return
			}
			if refused != nil {
				break
			}
			select {
			case <-changed:
			case <-time.After(time.Minute):
				t.Fatalf("the chain stands still at %+v", s.ix.Tip())
			}
		}
		if s.ix.Tip().Slot > last {
			t.Fatalf("%s does not get into a block: %v", tx.ID(), refused)
		}
	}
}

// grow waits until a side's index has a height.
func (f *forks) grow(s side, height uint64) {
	for {
		changed := s.ix.Changed()
		if s.ix.Tip().Height >= height {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			f.t.Fatalf("the chain stands still at %+v", s.ix.Tip())
		}
	}
}

// coins are those of an address at a side.
func (f *forks) coins(s side, a chaintest.Actor) []chain.UTxO {
	us, err := s.ix.UTxOs(f.t.Context(), a.Address)
	if err != nil {
		f.t.Fatal(err)
	}
	return us
}

func (f *forks) largest(s side, a chaintest.Actor) chain.UTxO {
	return slices.MaxFunc(f.coins(s, a), func(x, y chain.UTxO) int { return cmp.Compare(x.Value.Coin, y.Value.Coin) })
}

// log is an index's whole event log, without the numbers, which must ascend.
func (f *forks) log(ix *index.Index) (lines []string) {
	es, err := ix.EventsSince(f.t.Context(), 0, 1_000_000)
	if err != nil {
		f.t.Fatal(err)
	}
	for i, e := range es {
		if i > 0 && e.ID <= es[i-1].ID {
			f.t.Errorf("event %d after %d", e.ID, es[i-1].ID)
		}
		lines = append(lines, fmt.Sprintf("%d %v %s %s %s %x", e.Height, e.Block, e.Handler, e.Key, e.Kind, e.Payload))
	}
	return lines
}

// reader folds the events as a tracker does: on from where it was, and from the start when that was rolled back.
type reader struct {
	after   index.EventID
	events  []string
	restart int
}

func (r *reader) catchUp(t *testing.T, ix *index.Index) {
	es, err := ix.EventsSince(t.Context(), r.after, 1_000_000)
	if errors.Is(err, index.ErrRolledBack) {
		*r = reader{restart: r.restart + 1}
		es, err = ix.EventsSince(t.Context(), 0, 1_000_000)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		r.after = e.ID
		r.events = append(r.events, fmt.Sprintf("%d %v %s %s %s %x", e.Height, e.Block, e.Handler, e.Key, e.Kind, e.Payload))
	}
}

// Two producers are cut apart and joined again, twenty times. On either side the same money is paid to different people;
// the index of the side that loses ends where that of the winner does, and where a fresh index does.
func TestRollbackLive(t *testing.T) {
	const rounds = 20
	f := newForks(t)
	ctx := t.Context()
	var readers [2]reader
	out := tabwriter.NewWriter(t.Output(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(out, "round\tloser\tblocks rolled back\tblocks in their place\tjoined after")
	for round := range rounds {
		w, l := f.sides[round%2], f.sides[1-round%2]
		fork, err := f.Heal(ctx) // joined as it is, it says where both are
		if err != nil {
			t.Fatal(err)
		}
		f.grow(w, fork.Height)
		f.grow(l, fork.Height)
		if err := f.Cut(ctx); err != nil {
			t.Fatal(err)
		}
		// Alice's money goes different ways on the two sides; what Bob does on the losing side is valid on both.
		coin := f.largest(l, f.alice)
		lost := f.pay(l, f.alice, f.bob, coin, chain.Lovelace(5_000_000+round))
		kept := f.pay(w, f.alice, f.bob, coin, chain.Lovelace(7_000_000+round))
		again := f.pay(l, f.bob, f.alice, f.largest(l, f.bob), chain.Lovelace(3_000_000+round))
		f.include(l, lost)
		f.include(l, again)
		f.include(w, kept)
		f.grow(l, fork.Height+uint64(2+round))
		if err := l.Stall(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		before, err := l.Producer.Tip(ctx)
		if err != nil {
			t.Fatal(err)
		}
		f.grow(w, before.Height+1)
		for i := range readers {
			readers[i].catchUp(t, f.sides[i].ix)
		}
		began := time.Now()
		joined, err := f.Heal(ctx)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Since(began).Round(time.Millisecond)
		if err := l.Stall(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.ix.WaitTx(ctx, kept.ID(), 1); err != nil {
			t.Fatal(err)
		}
		f.include(w, again) // submitted again, for it was rolled back
		if _, _, err := l.ix.WaitTx(ctx, again.ID(), 1); err != nil {
			t.Fatal(err)
		}
		for i, s := range f.sides {
			readers[i].catchUp(t, s.ix)
			if _, _, ok, err := s.ix.TxBlock(ctx, lost.ID()); ok || err != nil {
				t.Errorf("round %d: side %d still has %s; %v", round, i, lost.ID(), err)
			}
		}
		fmt.Fprintf(out, "%d\t%c\t%d\t%d\t%s\n", round+1, 'a'+1-round%2, before.Height-fork.Height, joined.Height-fork.Height, after)
	}
	out.Flush()
	f.settle()
	f.compare(&readers)
}

// settle stops both producers and waits until both indexes have their last block.
func (f *forks) settle() {
	ctx := f.t.Context()
	for _, s := range f.sides {
		if err := s.Stall(ctx, 5*time.Minute); err != nil {
			f.t.Fatal(err)
		}
	}
	tip, err := f.Heal(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range f.sides {
		f.grow(s, tip.Height)
	}
}

// compare compares both indexes with a fresh one and with the nodes, and what was read of their events with all events.
func (f *forks) compare(readers *[2]reader) {
	t, ctx := f.t, f.t.Context()
	fresh := f.follow(f.sides[0].Node)
	want := side{f.sides[0].Producer, f.sides[0].Node, fresh}
	f.grow(want, f.sides[0].ix.Tip().Height)
	events := f.log(fresh)
	for i, s := range f.sides {
		if s.ix.Tip().Point != fresh.Tip().Point {
			t.Fatalf("side %d is at %v, the fresh index at %v", i, s.ix.Tip().Point, fresh.Tip().Point)
		}
		for _, a := range []chaintest.Actor{f.alice, f.bob} {
			got, expected := f.coins(s, a), f.coins(want, a)
			if fmt.Sprint(got) != fmt.Sprint(expected) {
				t.Errorf("side %d: %s has\n%v\nnot\n%v", i, a.Address, got, expected)
			}
			told, err := s.UTxOs(ctx, a.Address)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(told, func(x, y chain.UTxO) int { return x.Ref.Compare(y.Ref) })
			if fmt.Sprint(told) != fmt.Sprint(expected) {
				t.Errorf("side %d: the node says %s has\n%v\nnot\n%v", i, a.Address, told, expected)
			}
		}
		included := 0
		for _, tx := range f.sent {
			p, h, ok, err := s.ix.TxBlock(ctx, tx.ID())
			p2, h2, ok2, err2 := fresh.TxBlock(ctx, tx.ID())
			if p != p2 || h != h2 || ok != ok2 || err != nil || err2 != nil {
				t.Errorf("side %d: %s is at %v (%v), not %v (%v)", i, tx.ID(), p, err, p2, err2)
			}
			if ok {
				included++
			}
		}
		if included != len(f.sent)*2/3 {
			t.Errorf("side %d: %d of %d transactions are on the chain, not two of three", i, included, len(f.sent))
		}
		readers[i].catchUp(t, s.ix)
		for name, got := range map[string][]string{"log": f.log(s.ix), "what was read of it": readers[i].events} {
			if !slices.Equal(got, events) {
				t.Errorf("side %d: the %s has %d events, a fresh index %d, and they differ", i, name, len(got), len(events))
			}
		}
		t.Logf("side %c: %d events, read anew after %d rollbacks", 'a'+i, len(events), readers[i].restart)
	}
}
