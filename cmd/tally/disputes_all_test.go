//go:build disputes

package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// Sums of the small jobs: 6 s at 0.001 NTX a second, by one provider.
const (
	smallPrice   = 6000
	smallBond    = smallPrice * market.DefaultBondBps / 10_000
	smallPenalty = smallPrice * market.DefaultPenaltyBps / 10_000
	smallCost    = 800
	smallSlashed = smallPrice * 5 / 100
)

// brief are contracts whose lots live so short that a stake comes back within minutes.
func brief(cfg *testnet.WorldConfig) {
	cfg.Contracts = func(p *plutus.Params) {
		p.MaxRangeMS, p.MaxHorizonMS, p.MaxReviewMS, p.MaxVerdictMS, p.UnbondMS = 30_000, 90_000, 30_000, 30_000, 180_000
	}
}

// TestDisputesAll is every way in which a lot can end, and everything that can become of a stake, one after the other in
// one market. TestVouchersLive has the rest: what is redeemed.
func TestDisputesAll(t *testing.T) {
	c := newCourt(t, brief)
	c.run(t, c.Providers[0].Home, "", nil, "provider", "stake", "3", "-y").wants(t, 0)
	c.run(t, c.Providers[1].Home, "", nil, "provider", "stake", "2", "-y").wants(t, 0)
	c.run(t, c.Providers[1].Home, "", nil, "provider", "unstake", "-y").wants(t, 0)
	c.stakes(t, 1, 0, "unbonding")
	c.before = c.ntx(t)
	t.Run("a wrong result costs of the stake, bonded or coming back", c.takesStake)
	c.run(t, c.Providers[1].Home, "", nil, "provider", "stake", "withdraw", "-y").wants(t, 0, "No stake is free")
	t.Run("a program that never gives the same twice", func(t *testing.T) {
		run, id := c.reviewed(t, "cat /proc/sys/kernel/random/uuid > $OUTPUT_DIR/n")
		c.run(t, c.Requester.Home, "", nil, "dispute", id, "0").wants(t, 0)
		c.ends(t, run, escrow.Judged)
		c.moved(t, map[string]int64{"requester": -smallPrice - smallCost, "provider-0": smallPrice, "payee": smallCost})
		c.run(t, c.attesters[0].home, "", nil, "attest", "log").wants(t, 0, "nobody can tell")
	})
	t.Run("a right result, approved by hand", func(t *testing.T) {
		run, id := c.reviewed(t, "echo 42 > $OUTPUT_DIR/n")
		c.run(t, c.Requester.Home, "", nil, "approve", id).wants(t, 0, "approve")
		c.ends(t, run, escrow.Approved)
		c.moved(t, map[string]int64{"requester": -smallPrice, "provider-0": smallPrice})
	})
	t.Run("outputs that nobody can have", func(t *testing.T) {
		run, id := c.reviewed(t, "echo 42 > $OUTPUT_DIR/n")
		c.until(t, id, escrow.Committed)
		if err := c.Providers[0].Process().Kill(); err != nil {
			t.Fatal(err)
		}
		c.run(t, c.Requester.Home, "", nil, "dispute", id, "0").wants(t, 0)
		c.ends(t, run, escrow.Judged)
		c.moved(t, map[string]int64{"provider-0": -smallCost - smallSlashed, "payee": smallCost, "sink": smallSlashed})
		c.run(t, c.attesters[0].home, "", nil, "attest", "log").wants(t, 0, "cannot be had")
		if err := c.StartProvider(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("closed by both", c.closes)
	t.Run("claimed from a silent requester", c.claims)
	t.Run("refunded", c.refunds)
	t.Run("declined", c.declines)
	c.quiet(t)
	t.Run("the requester concedes", func(t *testing.T) {
		run, id := c.reviewed(t, "echo 42 > $OUTPUT_DIR/n")
		c.run(t, c.Requester.Home, "", nil, "dispute", id, "0").wants(t, 0)
		c.until(t, id, escrow.Disputed)
		c.run(t, c.Requester.Home, "", nil, "concede", id, "0").wants(t, 0)
		c.ends(t, run, escrow.Conceded)
		c.moved(t, map[string]int64{"requester": -smallPrice - smallCost, "provider-0": smallPrice, "payee": smallCost})
	})
	t.Run("silent attesters", func(t *testing.T) {
		run, id := c.reviewed(t, "echo 42 > $OUTPUT_DIR/n")
		c.run(t, c.Requester.Home, "", nil, "dispute", id, "0").wants(t, 0)
		c.ends(t, run, escrow.Lapsed)
		c.moved(t, map[string]int64{"requester": -smallPrice - smallCost, "provider-0": smallPrice + smallCost})
	})
	t.Run("a stake comes back", func(t *testing.T) {
		for end := time.Now().Add(4 * time.Minute); !slices.Equal(c.states(t, 1), []string{"free"}); time.Sleep(time.Second) {
			if time.Now().After(end) {
				t.Fatal("it is never free")
			}
		}
		c.run(t, c.Providers[1].Home, "", nil, "provider", "stake", "withdraw", "-y").wants(t, 0)
		c.moved(t, map[string]int64{"provider-1": 2_000_000})
		c.stakes(t, 1, 0)
	})
}

// quiet stops all attesters.
func (c *court) quiet(t *testing.T) {
	t.Helper()
	for _, j := range c.attesters {
		if err := j.proc.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// reviewed runs a job of one shard until its results wait for a decision.
func (c *court) reviewed(t *testing.T, program string) (*testnet.Run, string) {
	t.Helper()
	return c.begun(t, c.disputable(t, program, 1, "6s", "30s", "0.0008"), requester.Gathered)
}

// begun runs a job until it enters a phase. Providers that are not done with an earlier job are asked again.
func (s *street) begun(t *testing.T, file string, phase requester.Phase) (*testnet.Run, string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		run, err := s.Requester.StartRun(file, filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		e, err := run.Until(t.Context(), phase)
		if err == nil {
			return run, e.ID
		}
		if !strings.Contains(e.Message, market.RefusedBusy) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// until waits for a lot's state, as another terminal sees it, and says the job's name on chain.
func (c *court) until(t *testing.T, id string, want escrow.Status) string {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		a := c.run(t, c.Requester.Home, "", nil, "status", id, "-o", "json")
		var o requester.Outcome
		if err := json.Unmarshal([]byte(a.out), &o); err != nil {
			t.Fatalf("%v: %s", err, a.err)
		}
		if o.Lots[0].Status == want {
			return o.Job.String()
		}
	}
	t.Fatalf("the lot is never %s", want)
	return ""
}

// ends waits for the end of a job whose only lot ends so.
func (c *court) ends(t *testing.T, run *testnet.Run, want escrow.Status) {
	t.Helper()
	out, code, err := run.Outcome(t.Context())
	if err != nil || code != 0 || len(out.Lots) != 1 || out.Lots[0].Status != want {
		t.Fatalf("%d %+v %v", code, out, err)
	}
}
