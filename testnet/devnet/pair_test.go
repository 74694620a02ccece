package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blinklabs-io/gouroboros/ledger"
)

// together waits until two clients are at one block.
func together(t *testing.T, a, b *client) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if a.tip(t).Hash() == b.tip(t).Hash() {
			return
		}
	}
	t.Fatalf("still apart: block %d and block %d", a.tip(t).BlockNumber(), b.tip(t).BlockNumber())
}

// TestFork cuts two producers apart, pays the same money to different people on either side, and joins them again: one
// payment stays, and the client of the side that loses sees the rollback. What that side is sent from then on gets to the other.
func TestFork(t *testing.T) {
	t.Parallel()
	const depth = 6
	alice, bob, carol := newKey(1), newKey(2), newKey(3)
	chain := start(t, t.TempDir(), "--fund", fund(alice), "--producers", "2")
	var sides [2]*client
	for i := range sides {
		sides[i] = dial(t, chain.producer(i))
	}
	together(t, sides[0], sides[1])
	for winner := range sides {
		loser := 1 - winner
		w, l := sides[winner], sides[loser]
		seen := len(l.rollbacks)
		together(t, w, l)
		fork := l.tip(t).BlockNumber()
		chain.do(t, "cut")
		in := wallet(t, l, alice)
		kept := pay(w, alice, in, bob.address(), 5_000_000).bytes(t)
		lost := pay(l, alice, in, carol.address(), 7_000_000).bytes(t)
		w.accepted(t, kept)
		l.accepted(t, lost)
		l.await(t, "blocks to lose", func(b ledger.Block) bool { return b.BlockNumber() >= fork+depth })
		chain.producer(loser).do(t, "stall?for=1m")
		if err := l.submit(pay(l, alice, wallet(t, l, alice), carol.address(), 3_000_000).bytes(t)); err != nil { // waits, and is nothing to the winner
			t.Fatal(err)
		}
		height := l.tip(t).BlockNumber() + 3
		w.await(t, "the longer chain", func(b ledger.Block) bool { return b.BlockNumber() > height })
		chain.do(t, "heal")
		l.eventually(t, "the rollback", func() bool {
			return len(l.rollbacks) > seen && l.holds(txID(t, kept)) && !l.holds(txID(t, lost))
		})
		t.Logf("%d blocks rolled back", l.rollbacks[seen].depth)
		chain.producer(loser).do(t, "stall?for=0s")
		wants(t, l, lost, "BadInputsUTxO")
		together(t, w, l)
		next := pay(l, alice, wallet(t, l, alice), bob.address(), 2_000_000).bytes(t)
		l.accepted(t, next)
		w.eventually(t, "what the one that follows was sent", func() bool { return w.holds(txID(t, next)) })
	}
	if status, said := chain.producer(0).command(t, "rollback?blocks=1"); status != http.StatusBadRequest || !strings.Contains(said, "cut the link") {
		t.Errorf("a rollback of one of two: %d %q", status, said)
	}
}

// TestPairResumes stops two producers for longer than an epoch, and kills them.
func TestPairResumes(t *testing.T) {
	t.Parallel()
	dir, alice, bob := t.TempDir(), newKey(1), newKey(2)
	first := start(t, dir, "--fund", fund(alice), "--producers", "2", "--slot-length", "100ms", "--epoch-length", "50")
	c := dial(t, first.announcement)
	c.accepted(t, pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t))
	before := c.tip(t)
	first.stop(t)
	time.Sleep(6 * time.Second) // more than an epoch of 5 seconds: the stop itself is what is tested

	second := start(t, dir)
	if !second.SystemStart.After(first.SystemStart) {
		t.Errorf("the chain's start stayed at %v over a long stop", first.SystemStart)
	}
	goesOn(t, second, before, alice, bob)
	together(t, dial(t, second.producer(0)), dial(t, second.producer(1)))
	before = dial(t, second.announcement).tip(t)
	second.kill(t)
	for _, p := range second.Producers { // they see their parent's end
		for end := time.Now().Add(patience); syscall.Kill(p.PID, 0) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("producer %d outlives its parent", p.PID)
			}
		}
	}
	goesOn(t, start(t, dir), before, alice, bob)
}

// TestTooFarApart lets both sides of a cut grow by more than k blocks: nothing joins them any more.
func TestTooFarApart(t *testing.T) {
	t.Parallel()
	const k = 5
	chain := start(t, t.TempDir(), "--fund", fund(newKey(1)), "--producers", "2", "--slot-length", "100ms", "--epoch-length", "50")
	chain.do(t, "cut")
	for i := range chain.Producers {
		c := dial(t, chain.producer(i))
		height := c.tip(t).BlockNumber() + 2*k
		c.await(t, "more than k blocks", func(b ledger.Block) bool { return b.BlockNumber() > height })
	}
	if status, said := chain.command(t, "heal"); status != http.StatusBadRequest || !strings.Contains(said, "more than k = 5 blocks") {
		t.Errorf("%d %q", status, said)
	}
}
