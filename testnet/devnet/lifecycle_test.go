package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blinklabs-io/gouroboros/ledger"
)

// TestResume stops a node and starts it again: the chain goes on from the same blocks.
func TestResume(t *testing.T) {
	t.Parallel()
	dir, alice, bob := t.TempDir(), newKey(1), newKey(2)
	first := start(t, dir, "--fund", fund(alice))
	c := dial(t, first.announcement)
	c.accepted(t, pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t))
	before := c.tip(t)
	first.stop(t)

	second := start(t, dir)
	if !second.SystemStart.Equal(first.SystemStart) {
		t.Errorf("the chain's start moved from %v to %v for a short stop", first.SystemStart, second.SystemStart)
	}
	goesOn(t, second, before, alice, bob)
}

// TestResumeAfterEpochs stops a node for longer than its epoch.
func TestResumeAfterEpochs(t *testing.T) {
	t.Parallel()
	dir, alice, bob := t.TempDir(), newKey(1), newKey(2)
	first := start(t, dir, "--fund", fund(alice), "--slot-length", "100ms", "--epoch-length", "50")
	before := dial(t, first.announcement).tip(t)
	first.stop(t)
	time.Sleep(12 * time.Second) // more than two epochs of 5 seconds: the stop itself is what is tested

	second := start(t, dir)
	if !second.SystemStart.After(first.SystemStart) {
		t.Errorf("the chain's start stayed at %v over a long stop", first.SystemStart)
	}
	goesOn(t, second, before, alice, bob)
	second.stop(t)
	goesOn(t, start(t, dir), before, alice, bob)
}

// TestHorizon looks at the era history while epochs pass: it always reaches 3k/f past the present, and what it says of the
// time of its end is the end's time.
func TestHorizon(t *testing.T) {
	t.Parallel()
	const epoch, k, slotMS = 50, 5, 100
	node := start(t, t.TempDir(), "--fund", fund(newKey(1)), "--slot-length", "100ms", "--epoch-length", "50")
	c := dial(t, node.announcement)
	for n := uint64(0); n < 2*epoch; n += 3 {
		c.await(t, "a later slot", func(b ledger.Block) bool { return b.SlotNumber() >= n })
		q := c.LocalStateQuery().Client
		ok(t, q.AcquireVolatileTip())
		history, err := q.GetEraHistory()
		ok(t, err)
		ok(t, q.Release())
		end := history[len(history)-1].End
		if end.SlotNo < int(n)+3*k-5 || end.SlotNo != epoch*end.EpochNo {
			t.Errorf("at slot %d the horizon is slot %d, epoch %d", n, end.SlotNo, end.EpochNo)
		}
		if pico, is := end.Timespan.(uint64); !is || pico != uint64(end.SlotNo)*slotMS*1_000_000_000 {
			t.Errorf("slot %d at %v ps", end.SlotNo, end.Timespan)
		}
	}
}

// goesOn checks that a node's chain holds a block of before the stop, extends it, and takes payments.
func goesOn(t *testing.T, node *child, before ledger.Block, alice, bob key) {
	t.Helper()
	c := dial(t, node.announcement)
	kept := c.await(t, "the old tip", func(b ledger.Block) bool { return b.BlockNumber() == before.BlockNumber() })
	if kept.Hash() != before.Hash() {
		t.Fatalf("block %d is %s, was %s", before.BlockNumber(), kept.Hash(), before.Hash())
	}
	prev := kept
	for range 5 {
		n := prev.BlockNumber() + 1
		next := c.await(t, "the next block", func(b ledger.Block) bool { return b.BlockNumber() == n })
		if next.PrevHash() != prev.Hash() {
			t.Fatalf("block %d does not extend %s", n, prev.Hash())
		}
		prev = next
	}
	c.accepted(t, pay(c, alice, wallet(t, c, alice), bob.address(), 3_000_000).bytes(t))
}

// TestKilled takes a node down without warning: the directory is free again and the chain goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir, alice, bob := t.TempDir(), newKey(1), newKey(2)
	first := start(t, dir, "--fund", fund(alice))
	c := dial(t, first.announcement)
	paid := pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t)
	c.accepted(t, paid)
	first.kill(t)

	c = dial(t, start(t, dir).announcement)
	c.accepted(t, pay(c, alice, wallet(t, c, alice), bob.address(), 3_000_000).bytes(t))
}

// TestOneProcess starts a second program on a directory in use.
func TestOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	node := start(t, dir, "--fund", fund(newKey(1)))
	if said := refused(t, "run", "--dir", dir); !strings.Contains(said, "in use") {
		t.Errorf("it said %q", said)
	}
	dial(t, node.announcement) // the first still serves
}

// TestStdinGuard closes the child's standard input, as the kernel does when its parent dies.
func TestStdinGuard(t *testing.T) {
	t.Parallel()
	node := start(t, t.TempDir(), "--fund", fund(newKey(1)), "--stdin-guard")
	ok(t, node.stdin.Close())
	node.wait(t)
}

// TestFiles checks that nobody else can read the directory and its keys.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "here")
	node := start(t, dir, "--fund", fund(newKey(1)))
	if node.Socket != filepath.Join(dir, "node.socket") || node.PID != node.cmd.Process.Pid || node.Magic != 42 || node.SlotLengthMS != 200 {
		t.Errorf("announced %+v", node.announcement)
	}
	for path, mode := range map[string]os.FileMode{
		".": 0o700, "keys": 0o700, "keys/vrf.skey": 0o600, "keys/kes.skey": 0o600, "keys/opcert.cert": 0o600,
		"devnet.json": 0o600, "node.log": 0o600, "lock": 0o600,
	} {
		i, err := os.Stat(filepath.Join(dir, path))
		ok(t, err)
		if i.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, not %v", path, i.Mode().Perm(), mode)
		}
	}
}

// TestRefusedCommands gives wrong flags and reads the sentence.
func TestRefusedCommands(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	start(t, made, "--fund", fund(newKey(1)), "--magic", "7").stop(t)
	funds := filepath.Join(t.TempDir(), "funds.json")
	b, err := json.Marshal(map[string]uint64{newKey(1).hex(): genesisLovelace + 1})
	ok(t, err)
	ok(t, os.WriteFile(funds, b, 0o600))
	fresh := func(more ...string) []string {
		return append([]string{"run", "--dir", filepath.Join(t.TempDir(), "d")}, more...)
	}
	alice := fund(newKey(1))
	for _, x := range []struct {
		says string
		args []string
	}{
		{"say what to do", nil},
		{"unknown command", []string{"walk"}},
		{"--dir", []string{"run"}},
		{"unexpected argument", fresh("--fund", alice, "now")},
		{"needs funds", fresh()},
		{"hexadecimal", fresh("--fund", "addr=1")},
		{"test network", fresh("--fund", "61"+newKey(1).hex()[2:]+"=5000000")},
		{"twice", fresh("--fund", alice, "--fund", alice)},
		{"a slot lasts", fresh("--fund", alice, "--slot-length", "1ms")},
		{"an epoch has", fresh("--fund", alice, "--epoch-length", "3")},
		{"protocol major", fresh("--fund", alice, "--protocol-major", "8")},
		{"network magic", fresh("--fund", alice, "--magic", "764824073")},
		{"--magic is 7, not 42", []string{"run", "--dir", made, "--magic", "42"}},
		{"--slot-length is 200ms, not 1s", []string{"run", "--dir", made, "--slot-length", "1s"}},
		{"--epoch-length is", []string{"run", "--dir", made, "--epoch-length", "100"}},
		{"--protocol-major is 10, not 9", []string{"run", "--dir", made, "--protocol-major", "9"}},
		{"funds differ", []string{"run", "--dir", made, "--funds-file", funds}},
		{"longer than", []string{"run", "--fund", alice, "--dir", filepath.Join(t.TempDir(), strings.Repeat("long", 30))}},
	} {
		if said := refused(t, x.args...); !strings.Contains(said, x.says) {
			t.Errorf("%v: it said %q, not %q", x.args, said, x.says)
		}
	}
	start(t, made, "--fund", alice, "--magic", "7") // the same settings again are no mismatch
}
