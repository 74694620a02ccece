package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/blinklabs-io/gouroboros/ledger"
)

// TestKilledInARow kills a node twelve times while it applies blocks with transactions. Every start is ready, has every
// block a client has seen, and goes on from there.
func TestKilledInARow(t *testing.T) {
	t.Parallel()
	const rounds = 12
	dir, alice, bob := t.TempDir(), newKey(1), newKey(2)
	node := start(t, dir, "--fund", fund(alice))
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		c := dial(t, node.announcement)
		chained(t, c, alice, bob, 20)
		n := c.tip(t).BlockNumber() + 1
		c.await(t, "the next block", func(b ledger.Block) bool { return b.BlockNumber() >= n })
		if round%3 == 0 { // at any moment; else in the milliseconds in which the block's two stores are written
			time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
		} else {
			time.Sleep(time.Duration(random.Int64N(int64(4 * time.Millisecond))))
		}
		node.kill(t)
		before := c.tip(t)
		began := time.Now()
		node = start(t, dir)
		t.Logf("round %d: killed after block %d, ready again after %v", round, before.BlockNumber(), time.Since(began).Round(time.Millisecond))
		goesOn(t, node, before, alice, bob)
	}
}

// TestTornStores puts the node's two stores back to different moments, which is what a kill between their commits leaves,
// only further apart, and starts it. Each store is the older one once. No block that there is gets lost.
func TestTornStores(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, store string // what is put back, below the database's directory
		blocks      bool   // are in it
	}{{"the metadata is behind", "metadata.sqlite*", false}, {"the blocks are behind", "blob", true}} {
		t.Run(x.name, func(t *testing.T) {
			dir, alice, bob := t.TempDir(), newKey(1), newKey(2)
			node := start(t, dir, "--fund", fund(alice))
			c := dial(t, node.announcement)
			chained(t, c, alice, bob, 20)
			n := c.tip(t).BlockNumber()
			c.await(t, "more", func(b ledger.Block) bool { return b.BlockNumber() >= n+3 })
			ok(t, node.cmd.Process.Signal(syscall.SIGSTOP))
			kept := c.tip(t)
			store, saved := filepath.Join(dir, "db", x.store), t.TempDir()
			copyAll(t, store, saved)
			ok(t, node.cmd.Process.Signal(syscall.SIGCONT))
			chained(t, c, alice, bob, 20)
			n = c.tip(t).BlockNumber()
			c.await(t, "more", func(b ledger.Block) bool { return b.BlockNumber() >= n+3 })
			node.kill(t)
			if !x.blocks {
				kept = c.tip(t)
			}
			gone, err := filepath.Glob(store)
			ok(t, err)
			for _, path := range gone {
				ok(t, os.RemoveAll(path))
			}
			copyAll(t, filepath.Join(saved, "*"), filepath.Join(dir, "db"))
			goesOn(t, start(t, dir), kept, alice, bob)
		})
	}
}

// copyAll copies the files and directories that match a pattern into a directory. The blocks lie in large sparse files.
func copyAll(t *testing.T, pattern, to string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	ok(t, err)
	if len(paths) == 0 {
		t.Fatalf("nothing is %s", pattern)
	}
	ok(t, exec.Command("cp", append(append([]string{"-r", "--sparse=always"}, paths...), to)...).Run())
}

// chained submits n payments, each from the change of the one before, and waits for none.
func chained(t *testing.T, c *client, from, to key, n int) {
	t.Helper()
	at := wallet(t, c, from)
	for range n {
		tx := pay(c, from, at, to.address(), 1_000_000).bytes(t)
		if err := c.submit(tx); err != nil {
			t.Fatalf("refused: %v", err)
		}
		at = output{txID(t, tx), 0, at.lovelace - 1_000_000 - plainFee, true}
	}
}
