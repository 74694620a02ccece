package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger"
)

// TestRollback takes blocks off a chain that a client follows, with a payment in the first of them.
func TestRollback(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--epoch-length", "500")
	c := dial(t, node.announcement)
	before := wallet(t, c, alice)
	paid := pay(c, alice, before, bob.address(), 5_000_000).bytes(t)
	c.accepted(t, paid)
	id := txID(t, paid)
	block := c.await(t, "the payment", func(b ledger.Block) bool { return includes(b, id) }).BlockNumber()
	c.await(t, "blocks on it", func(b ledger.Block) bool { return b.BlockNumber() >= block+4 })
	node.do(t, "stall?for=30s")
	tip := node.do(t, "tip").Height
	c.await(t, "the last block", func(b ledger.Block) bool { return b.BlockNumber() >= tip })
	depth := tip - block + 1

	to := node.do(t, fmt.Sprintf("rollback?blocks=%d", depth))
	c.eventually(t, "the rollback", func() bool { return len(c.rollbacks) == 1 })
	if r := c.rollbacks[0]; uint64(r.depth) != depth || r.to.Slot != to.Slot || to.Height != block-1 {
		t.Errorf("saw %d blocks rolled back to slot %d, not %d to %+v", r.depth, r.to.Slot, depth, to)
	}
	node.do(t, "stall?for=0s")
	c.eventually(t, "another chain", func() bool { return len(c.chain) > 0 && c.chain[len(c.chain)-1].BlockNumber() > block+2*depth })
	if c.holds(id) {
		t.Error("the payment is still there")
	}
	if now := wallet(t, c, alice); now != before {
		t.Errorf("the wallet holds %v, not %v as before", now, before)
	}
	c.accepted(t, paid) // the same bytes are good again
	if len(c.rollbacks) > 1 {
		t.Errorf("more rollbacks than one: %v", c.rollbacks)
	}

	for _, wrong := range []string{"rollback", "rollback?blocks=0", "rollback?blocks=51", "rollback?blocks=x", "rollback?blocks=1&blocks=1", "rollback?n=1", "stall?for=1h", "stall?for=-1s", "slow?every=x", "follow?address=there"} {
		if status, said := node.command(t, wrong); status != http.StatusBadRequest || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: %d %q", wrong, status, said)
		}
	}
	if status, _ := node.command(t, "walk"); status != http.StatusNotFound {
		t.Errorf("an unknown command: %d", status)
	}
}

// TestStall stops the chain for a while; what is submitted meanwhile waits.
func TestStall(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--slot-length", "100ms")
	c := dial(t, node.announcement)
	until := node.slot() + 20
	node.do(t, "stall?for=2s")
	paid := pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t)
	ok(t, c.submit(paid))
	id := txID(t, paid)
	if b := c.await(t, "the payment", func(b ledger.Block) bool { return includes(b, id) }); b.SlotNumber() < until {
		t.Errorf("a block at slot %d, in a stall until %d", b.SlotNumber(), until)
	}

	node.do(t, "stall?for=1m")
	until = node.slot() + 590
	height := c.tip(t).BlockNumber()
	node.do(t, "stall?for=0s")
	if b := c.await(t, "a block after the stall's end", func(b ledger.Block) bool { return b.BlockNumber() > height+1 }); b.SlotNumber() >= until {
		t.Errorf("the stall was not ended: slot %d", b.SlotNumber())
	}
}

// TestSlow spaces the blocks out.
func TestSlow(t *testing.T) {
	t.Parallel()
	node := start(t, t.TempDir(), "--fund", fund(newKey(1)), "--slot-length", "100ms")
	c := dial(t, node.announcement)
	node.do(t, "slow?every=500ms")
	prev := c.tip(t)
	prev = c.await(t, "the last block in haste", func(b ledger.Block) bool { return b.BlockNumber() == prev.BlockNumber()+2 })
	for range 4 {
		next := c.await(t, "the next block", func(b ledger.Block) bool { return b.BlockNumber() == prev.BlockNumber()+1 })
		if gap := next.SlotNumber() - prev.SlotNumber(); gap < 5 {
			t.Errorf("%d slots between blocks, not 5", gap)
		}
		prev = next
	}
	node.do(t, "slow?every=0s")
	c.await(t, "blocks in consecutive slots", func(b ledger.Block) bool {
		consecutive := b.SlotNumber() == prev.SlotNumber()+1
		prev = b
		return consecutive
	})
}

// TestDrop breaks clients' connections. They come back to the same chain.
func TestDrop(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice))
	c := dial(t, node.announcement)
	paid := pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t)
	if n := node.do(t, "drop").Dropped; n != 2 {
		t.Errorf("%d connections dropped, not 2", n)
	}
	if err := c.submit(paid); err == nil {
		t.Error("a dropped connection still submits")
	}
	again := dial(t, node.announcement)
	again.accepted(t, paid)
	last := c.tip(t)
	again.await(t, "what the first connection saw", func(b ledger.Block) bool { return b.Hash() == last.Hash() })
	if n := node.do(t, "drop").Dropped; n != 2 {
		t.Errorf("%d connections dropped, not 2: the first two are gone", n)
	}
}

// TestFullMempool leaves no room for transactions.
func TestFullMempool(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--fund", fund(bob), "--slot-length", "100ms")
	c := dial(t, node.announcement)
	node.do(t, "stall?for=1m")
	waiting := pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t)
	ok(t, c.submit(waiting))
	node.do(t, "mempool?capacity=0")
	ok(t, c.submit(waiting)) // it is in
	other := pay(c, bob, wallet(t, c, bob), alice.address(), 5_000_000).bytes(t)
	wants(t, c, other, "mempool full")
	node.do(t, "mempool?capacity=1000000")
	ok(t, c.submit(other))
	node.do(t, "stall?for=0s")
	c.eventually(t, "both payments", func() bool { return c.holds(txID(t, waiting)) && c.holds(txID(t, other)) })
}

// TestParams makes a chain with parameters other than mainnet's.
func TestParams(t *testing.T) {
	t.Parallel()
	dir, alice := t.TempDir(), newKey(1)
	node := start(t, dir, "--fund", fund(alice), "--param", "txFeeFixed=200000", "--param", "priceMemory=0.1", "--param", "maxTxMemory=14000000",
		"--param", "utxoCostPerByte=1000", "--param", "collateralPercentage=120", "--param", "minFeeRefScriptCostPerByte=44")
	check := func(c *client) {
		p := c.params
		if p.MinFeeB != 200_000 || p.MinFeeA != 44 || p.MaxTxExUnits.Memory != 14_000_000 || p.AdaPerUtxoByte != 1000 || p.CollateralPercentage != 120 {
			t.Errorf("parameters in force: %+v", p)
		}
		if m, r := p.ExecutionCosts.MemPrice, p.MinFeeRefScriptCostPerByte; m.Num().Int64()*10 != m.Denom().Int64() || r.Num().Int64() != 44*r.Denom().Int64() {
			t.Errorf("memory costs %v, reference scripts %v", m, r)
		}
	}
	check(dial(t, node.announcement))
	node.stop(t)
	if said := refused(t, "run", "--dir", dir, "--param", "txFeeFixed=1"); !strings.Contains(said, "protocol parameters differ") {
		t.Errorf("it said %q", said)
	}
	check(dial(t, start(t, dir).announcement))
}
