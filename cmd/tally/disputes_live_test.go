package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// court is a street with three attesters whom both providers trust.
type court struct {
	*street
	attesters []juror
	payee     chain.Address
	before    map[string]uint64 // what everybody held
}

type juror struct {
	home  string
	addrs []string // with /p2p/
	proc  *testnet.Process
}

func newCourt(t *testing.T, changes ...func(*testnet.WorldConfig)) *court {
	quick := pace()
	quick.Policy.Patience = 1000 // a provider commits at once: its results wait for a person here
	c := &court{street: newStreet(t, quick, changes...)}
	var names []string
	for i := range 3 {
		name := fmt.Sprintf("attester-%d", i)
		j := juror{home: c.visitor(t, name)}
		proc, err := testnet.StartProcess(testnet.Spec{
			Name: name, Program: c.bin, Args: []string{"attest", "--listen", "/ip4/127.0.0.1/tcp/0", "--home", j.home, "-o", "json", "-v"},
			Env: []string{"HOME=" + j.home, "PATH=" + os.Getenv("PATH")}, Dir: j.home, Log: filepath.Join(c.dir, name+".log"),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := proc.Stop(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				b, _ := os.ReadFile(filepath.Join(c.dir, name+".log"))
				t.Logf("%s:\n%s", name, b)
			}
		})
		var ready struct {
			Address chain.Address
			Addrs   []string
		}
		if err := proc.Ready(t.Context(), &ready); err != nil {
			t.Fatal(err)
		}
		j.addrs, j.proc = ready.Addrs, proc
		if key, ok := ready.Address.Key(); ok {
			c.payee = chain.Enterprise(c.Network.Chain(), key)
		}
		c.attesters, names = append(c.attesters, j), append(names, ready.Addrs[0])
	}
	for _, p := range c.Providers {
		path := filepath.Join(p.Home, "provider.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var s shop
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if err := s.trust(names, []string{c.payee.String()}); err != nil {
			t.Fatal(err)
		}
		if b, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.StartProviders(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.before = c.ntx(t)
	return c
}

// Sums of the job that is disputed: 15 s at 0.001 and 0.002 NTX a second.
const (
	priceWrong, priceRight = 15_000, 30_000
	disputeCost            = 2_000
	slashed                = priceWrong * 5 / 100
)

// disputable is a job that the court can judge. run replaces its program; more are other keys of verify, each with its value.
func (c *court) disputable(t *testing.T, run string, shards int, timeout, verdict, cost string, more ...string) string {
	var names []string
	for _, j := range c.attesters {
		names = append(names, j.addrs[0])
	}
	verify := map[string]string{
		"policy": "review", "window": "30s", "attesters": "[" + strings.Join(names, ", ") + "]", "threshold": "2", "verdict_window": verdict,
		"dispute_cost_ntx": cost, "payee": c.payee.String(), "slash_percent": "5",
	}
	for i := 0; i+1 < len(more); i += 2 {
		verify[more[i]] = more[i+1]
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(verify)) {
		pairs = append(pairs, k+": "+verify[k])
	}
	return c.job(t, map[string]string{
		"run": run, "shards": fmt.Sprintf("{count: %d}", shards), "timeouts": "{match: 10s, start: 20s, run: " + timeout + ", collect: 10s}",
		"verify": "{" + strings.Join(pairs, ", ") + "}",
	})
}

// tamper writes 43 over every file of a pattern for as long as ctx lasts: what the owner of a machine can always do.
func tamper(ctx context.Context, pattern string) {
	for ctx.Err() == nil {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			if b, err := os.ReadFile(f); err == nil && string(b) == "42\n" {
				_ = os.WriteFile(f, []byte("43\n"), 0o644)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestDisputes has one provider return a wrong result and one an honest one. The requester disputes both. Of three
// attesters one is dishonest: it finds the wrong one right, and the right one wrong.
func TestDisputes(t *testing.T) {
	c := newCourt(t)
	go tamper(t.Context(), filepath.Join(c.Providers[0].Home, "jobs", "*", "shard-*", "out", "n"))
	go tamper(t.Context(), filepath.Join(c.attesters[2].home, "cases", "*", "out-*", "n"))

	results := filepath.Join(t.TempDir(), "out")
	run, err := c.Requester.StartRun(c.disputable(t, "echo 42 > $OUTPUT_DIR/n; sleep 3", 2, "15s", "2m", "0.002"), results)
	if err != nil {
		t.Fatal(err)
	}
	gathered, err := run.Until(t.Context(), requester.Gathered)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(results, "shard-0", "n")); err != nil || string(b) != "43\n" {
		t.Fatalf("shard 0 left %q: %v", b, err)
	}
	home := c.Requester.Home
	c.run(t, home, "", nil, "concede", gathered.ID, "0").wants(t, exitRejected, "not disputed")
	c.run(t, home, "", nil, "dispute", gathered.ID, "7").wants(t, exitNotFound, "no shard 7")
	c.run(t, home, "", nil, "dispute", gathered.ID, "0", "1").wants(t, 0, "shard 0", "shard 1", "dispute")
	out, code, err := run.Outcome(t.Context())
	if err != nil || code != 0 || len(out.Lots) != 2 {
		t.Fatalf("%d %+v %v", code, out, err)
	}
	for i, want := range []requester.LotOutcome{
		{Status: escrow.Judged, PriceUNTX: priceWrong, RefundedUNTX: priceWrong, PenaltyUNTX: disputeCost + slashed},
		{Status: escrow.Judged, PriceUNTX: priceRight, PaidUNTX: priceRight, DisputeUNTX: disputeCost},
	} {
		l := out.Lots[i]
		if l.Status != want.Status || l.PriceUNTX != want.PriceUNTX || l.PaidUNTX != want.PaidUNTX || l.RefundedUNTX != want.RefundedUNTX ||
			l.PenaltyUNTX != want.PenaltyUNTX || l.DisputeUNTX != want.DisputeUNTX {
			t.Errorf("lot %d: %+v", i, l)
		}
	}
	c.moved(t, map[string]int64{
		"requester": -priceRight - disputeCost, "provider-0": -disputeCost - slashed, "provider-1": priceRight,
		"payee": 2 * disputeCost, "sink": slashed,
	})
	c.run(t, home, "", nil, "escrow", gathered.ID).wants(t, 0, "judged", "dispute", "verdict", "the dispute cost 0.002")
	c.run(t, home, "", nil, "dispute", gathered.ID, "0").wants(t, exitRejected, "it is judged")
	for i, says := range []string{"0.00075", "0.00075", "0.0015"} {
		c.run(t, c.attesters[i].home, "", nil, "attest", "log").wants(t, 0, says)
	}
}

// moved compares what everybody holds with what they held before, exactly.
func (c *court) moved(t *testing.T, want map[string]int64) {
	t.Helper()
	after := c.ntx(t)
	for who := range after {
		if got := int64(after[who]) - int64(c.before[who]); got != want[who] {
			t.Errorf("%s has %d µNTX more, not %d", who, got, want[who])
		}
	}
	c.before = after
}

// ntx is what everybody holds.
func (c *court) ntx(t *testing.T) map[string]uint64 {
	t.Helper()
	where := map[string]chain.Address{"payee": c.payee, "sink": chain.ScriptAddress(c.Network.Chain(), plutus.Sink())}
	for _, p := range c.Participants() {
		where[p.Name] = p.Address
	}
	all := map[string]uint64{}
	for who, a := range where {
		us, err := c.Node.UTxOs(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range us {
			all[who] += u.Value.Of(c.Faucet.NTX())
		}
	}
	return all
}
