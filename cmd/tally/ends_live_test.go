//go:build disputes

package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market/requester"
)

// stakes checks what a provider's stakes count, in NTX, and what state each is in.
func (c *court) stakes(t *testing.T, provider int, ntx uint64, states ...string) {
	t.Helper()
	counted, got := c.stakesOf(t, provider)
	if counted != ntx*1_000_000 || !slices.Equal(got, states) {
		t.Errorf("provider %d has %d µNTX at stake, %q", provider, counted, got)
	}
}

func (c *court) states(t *testing.T, provider int) []string {
	t.Helper()
	_, states := c.stakesOf(t, provider)
	return states
}

func (c *court) stakesOf(t *testing.T, provider int) (counted uint64, states []string) {
	t.Helper()
	a := c.run(t, c.Providers[provider].Home, "", nil, "provider", "stake", "show", "-o", "json")
	a.wants(t, 0)
	var v struct {
		Counted uint64 `json:"counted_untx"`
		Stakes  []stakeLine
	}
	if err := json.Unmarshal([]byte(a.out), &v); err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Stakes {
		states = append(states, s.State)
	}
	return v.Counted, states
}

// takesStake has a provider return wrong results: it loses what the terms name of its stake, and all that is left when
// that is less, though it has asked for it back meanwhile.
func (c *court) takesStake(t *testing.T) {
	go tamper(t.Context(), filepath.Join(c.Providers[0].Home, "jobs", "*", "shard-*", "out", "n"))
	for _, x := range []struct {
		stake, left uint64 // NTX
		unstake     bool
	}{{1, 2, false}, {2, 0, true}} {
		const program = "echo 42 > $OUTPUT_DIR/n; sleep 1"
		run, id := c.begun(t, c.disputable(t, program, 1, "6s", "30s", "0.0008", "stake_ntx", []string{"", "1", "2"}[x.stake]), requester.Gathered)
		if x.unstake {
			c.run(t, c.Providers[0].Home, "", nil, "provider", "unstake", "-y").wants(t, 0)
			c.stakes(t, 0, 0, "unbonding")
			c.run(t, c.Providers[0].Home, "", nil, "provider", "status").wants(t, 0, "open lots may lose 2: 0 NTX are offered", "unbonding 2 NTX")
		}
		c.run(t, c.Requester.Home, "", nil, "dispute", id, "0").wants(t, 0)
		c.ends(t, run, escrow.Judged)
		c.moved(t, map[string]int64{
			"provider-0": -smallCost - smallSlashed, "payee": smallCost, "sink": smallSlashed + int64(x.stake)*1_000_000,
		})
		if x.left > 0 {
			c.stakes(t, 0, x.left, "bonded")
		} else {
			c.stakes(t, 0, 0)
		}
		c.run(t, c.Requester.Home, "", nil, "escrow", id).wants(t, 0, "of the provider's stake")
	}
}

// closes ends a lot as both parties want it.
func (c *court) closes(t *testing.T) {
	run, id := c.reviewed(t, "echo 42 > $OUTPUT_DIR/n")
	job := c.until(t, id, escrow.Committed)
	file := filepath.Join(t.TempDir(), "close.tx")
	home, provider := c.Requester.Home, c.Providers[0].Home
	c.run(t, home, "", nil, "close", id, "0", "5", "--out", file, "-y").wants(t, exitUsage, "the lot holds 0.0072")
	c.run(t, home, "", nil, "close", id, "7", "0", "--out", file, "-y").wants(t, exitNotFound, "no shard 7")
	c.run(t, home, "n\n", nil, "close", id, "0", "0.004", "--out", file).wants(t, exitWallet, "would get 0.004 NTX, and you 0.0032 NTX")
	c.run(t, home, "", nil, "close", id, "0", "0.004", "--out", file, "-y").wants(t, 0)
	c.run(t, provider, "n\n", nil, "provider", "close", file).wants(t, exitWallet, "You get 0.004 NTX", "nothing was signed")
	c.run(t, c.Providers[1].Home, "", nil, "provider", "close", file, "-y").wants(t, exitNotFound, "no lot of this provider's")
	c.run(t, provider, "", nil, "provider", "close", file, "-y").wants(t, 0)
	c.ends(t, run, escrow.Closed)
	c.run(t, provider, "", nil, "provider", "close", file, "-y").wants(t, 0, "in the chain already")
	c.moved(t, map[string]int64{"requester": -4000 + smallBond, "provider-0": 4000 - smallBond})
	c.run(t, home, "", nil, "close", id, "0", "0", "--out", file, "-y").wants(t, exitRejected, "is closed")
	c.run(t, home, "", nil, "escrow", job).wants(t, 0, "closed", "the provider got 0.004 NTX")
}

// claims has a requester that says nothing until the review is over.
func (c *court) claims(t *testing.T) {
	run, _ := c.begun(t, c.job(t, map[string]string{
		"run": "echo 42 > $OUTPUT_DIR/n", "verify": "{policy: review, window: 5s}", "timeouts": "{match: 10s, start: 20s, run: 6s, collect: 10s}",
	}), requester.Gathered)
	if err := run.Kill(); err != nil {
		t.Fatal(err)
	}
	c.sold(t, escrow.Claimed)
	c.moved(t, map[string]int64{"requester": -smallPrice, "provider-0": smallPrice})
}

// sold waits until the newest job of provider 0 has ended so, as the provider sees it.
func (c *court) sold(t *testing.T, want escrow.Status) {
	t.Helper()
	var last sold
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		a := c.run(t, c.Providers[0].Home, "", nil, "provider", "status", "-o", "json")
		a.wants(t, 0)
		var all sales
		if err := json.Unmarshal([]byte(a.out), &all); err != nil || len(all.Jobs) == 0 {
			t.Fatalf("%v %s", err, a.out)
		}
		if last = all.Jobs[len(all.Jobs)-1]; last.Lot == want {
			return
		}
	}
	t.Fatalf("the lot is %s, not %s", last.Lot, want)
}

// refunds has a provider that goes away for good while it works.
func (c *court) refunds(t *testing.T) {
	run, id := c.begun(t, c.disputable(t, "sleep 5", 1, "6s", "30s", "0.0008"), requester.Running)
	if err := errors.Join(c.Providers[0].Process().Kill(), run.Kill()); err != nil {
		t.Fatal(err)
	}
	c.run(t, c.Requester.Home, "", nil, "refund", id).wants(t, exitRefunded, "refunded")
	c.moved(t, map[string]int64{"requester": smallPenalty, "provider-0": -smallPenalty})
	if err := c.StartProvider(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

// declines has a requester that goes away before the provider has its inputs, which take longer than the way into a block.
func (c *court) declines(t *testing.T) {
	dir := t.TempDir()
	much := make([]byte, 64<<20)
	_, _ = rand.Read(much)
	if err := os.WriteFile(filepath.Join(dir, "n"), much, 0o644); err != nil {
		t.Fatal(err)
	}
	run, id := c.begun(t, c.job(t, map[string]string{
		"run": "cp /in/n $OUTPUT_DIR/n", "inputs": "[{path: " + filepath.Join(dir, "n") + ", mount: /in/n}]",
		"timeouts": "{match: 10s, start: 20s, run: 6s, collect: 10s}",
	}), requester.Submitted)
	if err := run.Kill(); err != nil {
		t.Fatal(err)
	}
	c.sold(t, escrow.Declined)
	c.run(t, c.Requester.Home, "", nil, "run", "--resume", id).wants(t, exitRefunded, "declined")
	c.moved(t, nil)
}
