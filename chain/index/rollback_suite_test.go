//go:build rollback

package index_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

// devnetChain is the chain of a real node on which two parties paid each other, and how to index it.
func devnetChain(t *testing.T, payments int) (index.Config, []rawBlock) {
	ctx := t.Context()
	a, b := newActor(1), newActor(2)
	p, err := testnet.StartNode(ctx, testnet.NodeConfig{
		Dir: t.TempDir(), Magic: network.Magic, SlotLength: 100 * time.Millisecond, EpochLength: 2000,
		Funds: map[chain.Address]chain.Lovelace{a.addr: funds},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Stop(context.Background()) }()
	n, err := node.Dial(ctx, node.Config{Socket: p.Socket, Network: p.Network()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	cfg := index.Config{
		Network: network, Base: index.Base{UTxOs: []chain.UTxO{genesisOutput(a.addr, funds)}},
		Watch: []index.Credential{index.PaymentOf(a.addr), index.PaymentOf(b.addr)},
	}
	ix := run(t, cfg, n)
	defer ix.stop()
	var last chain.TxID
	for i := range payments {
		if i%3 == 2 {
			last = pay(t, n, ix, b, a.addr, 3_000_000)
		} else {
			last = pay(t, n, ix, a, b.addr, chain.Lovelace(10_000_000+i))
		}
	}
	return cfg, capture(t, p.Socket, last)
}

// tables are those of indexes that have seen so many blocks of a chain, and nothing else.
func tables(t *testing.T, cfg index.Config, blocks []rawBlock) (dumps []string) {
	for n := range len(blocks) + 1 {
		w := serveChain(t, blocks, 0)
		ix := run(t, cfg, w.dial(t))
		w.lead(t, ix, n)
		ix.stop()
		dumps = append(dumps, index.Dump(t, ix.Index))
	}
	return dumps
}

// A real node's blocks, served with a rollback from every block to every block before it: after each the index is what a
// fresh one makes of the blocks that are left, and after going on as well.
func TestRollbackFromEveryBlockToEveryBlock(t *testing.T) {
	cfg, blocks := devnetChain(t, 40)
	want := tables(t, cfg, blocks)
	for _, db := range index.Databases {
		t.Run(db.Name, func(t *testing.T) {
			w := serveChain(t, blocks, 0)
			ix := runOn(t, db.New(t), cfg, w.dial(t))
			rollbacks := 0
			check := func(n int) {
				w.lead(t, ix, n)
				if got := index.Dump(t, ix.Index); got != want[n] {
					t.Fatalf("at block %d after %d rollbacks:\n%s\na fresh index:\n%s", n, rollbacks, got, want[n])
				}
			}
			for from := 1; from <= len(blocks); from++ {
				for to := range from {
					check(from)
					check(to)
					rollbacks++
				}
			}
			check(len(blocks))
			ix.stop()
			t.Logf("%d blocks, %d rollbacks", len(blocks), rollbacks)
		})
	}
}

// What lies deeper than K cannot be undone: the index starts over, by itself, and ends where a fresh one does.
func TestRollbackBeyondK(t *testing.T) {
	cfg, blocks := devnetChain(t, 6)
	cfg.K = 3
	n := len(blocks)
	if n < 2*cfg.K {
		t.Fatalf("only %d blocks", n)
	}
	want := tables(t, cfg, blocks)
	for _, db := range index.Databases {
		t.Run(db.Name, func(t *testing.T) {
			dsn := db.New(t)
			for to := range n {
				w := serveChain(t, blocks, n)
				ix := runOn(t, dsn, cfg, w.dial(t))
				w.lead(t, ix, n)
				w.lead(t, ix, to)
				w.lead(t, ix, n)
				ix.stop()
				if got := index.Dump(t, ix.Index); got != want[n] {
					t.Errorf("back to block %d of %d:\n%s\na fresh index:\n%s", to, n, got, want[n])
				}
				ix.Close()
			}
		})
	}
}

// A process that comes back to another tip, at whatever block it left and wherever the chain is now, finds the place by
// the points that it stored.
func TestRollbackAcrossRestarts(t *testing.T) {
	cfg, blocks := devnetChain(t, 6)
	want := tables(t, cfg, blocks)
	path := filepath.Join(t.TempDir(), "index.db")
	for from := range blocks {
		for to := range from {
			for _, n := range []int{from, to} {
				w := serveChain(t, blocks, n)
				ix := runOn(t, path, cfg, w.dial(t))
				w.lead(t, ix, n)
				ix.stop()
				if got := index.Dump(t, ix.Index); got != want[n] {
					t.Fatalf("from block %d to block %d:\n%s\na fresh index:\n%s", from, to, got, want[n])
				}
				ix.Close()
			}
		}
	}
}
