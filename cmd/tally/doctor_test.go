package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

// examined is what the doctor says of a home, by check.
func (s *street) examined(t *testing.T, code int, home string, args ...string) map[string]check {
	t.Helper()
	a := s.run(t, home, "", nil, append([]string{"doctor", "-o", "json"}, args...)...)
	if a.code != code {
		t.Fatalf("exit code %d, not %d:\n%s%s", a.code, code, a.out, a.err)
	}
	var r struct{ Checks []check }
	if err := json.Unmarshal([]byte(a.out), &r); err != nil {
		t.Fatal(err)
	}
	by := map[string]check{}
	for _, c := range r.Checks {
		if by[c.Name] = c; c.Detail == "" || (c.Verdict == fine) != (c.Next == "") {
			t.Errorf("%+v", c)
		}
	}
	return by
}

// doctor looks at a healthy participant, one without money, and one whose network file has gone wrong.
func (s *street) doctor(t *testing.T) {
	home := s.Providers[0].Home
	by := s.examined(t, exitOK, home)
	for _, name := range []string{"network", "wallet", "node", "chain", "protocol", "parameters", "clock", "scripts", "funds", "collateral", "engine", "peers"} {
		if c, ok := by[name]; !ok || c.Verdict != fine {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := s.examined(t, exitFunds, s.visitor(t, "poor"))["funds"]; c.Verdict != broken {
		t.Errorf("no money: %+v", c)
	}
	astray := s.visitor(t, "astray")
	n, err := testnet.Load(filepath.Join(astray, "network.json"))
	if err != nil {
		t.Fatal(err)
	}
	n.Magic = 2
	n.Bootstrap = slices.Clone(n.Bootstrap)
	n.Bootstrap[0] = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	if err := n.Save(filepath.Join(astray, "network.json")); err != nil {
		t.Fatal(err)
	}
	by = s.examined(t, exitConfig, astray, "--wait", time.Second.String())
	if by["node"].Verdict != broken || by["peers"].Verdict != broken || by["wallet"].Verdict != fine {
		t.Errorf("astray: %+v", by)
	}
}

// TestDoctorJudges: what the doctor makes of a node's chain and of the clock.
func TestDoctorJudges(t *testing.T) {
	now := time.Now()
	// A chain with slots of a second whose tip, in slot 1000, is so old; a block may come that is younger by one slot.
	status := func(age time.Duration) node.Status {
		start := chain.Time(now.Add(-1000*time.Second - age).UnixMilli())
		return node.Status{
			Tip: chain.Point{Slot: 1000}, Height: 900, Era: "conway", Params: chain.Params{ProtocolMajor: 10},
			Clock: chain.Clock{SystemStart: start, Eras: []chain.Era{{SlotLength: 1000}}},
		}
	}
	for name, c := range map[string]struct {
		age          time.Duration
		block        bool
		chain, clock verdict
		says         string
	}{
		"healthy":         {2 * time.Second, true, fine, fine, "agrees"},
		"quiet":           {20 * time.Second, false, fine, warned, "no block came"},
		"clock ahead":     {61 * time.Second, true, fine, warned, "1m0s ahead"},
		"clock behind":    {-59 * time.Second, true, fine, warned, "1m0s behind"},
		"behind, no sign": {-60 * time.Second, false, fine, warned, "behind the chain"},
		"stalled":         {10 * time.Minute, false, broken, warned, "no new block"},
		"syncing":         {10 * time.Minute, true, broken, warned, "catching up"},
	} {
		d := doctor{wait: time.Second}
		b := arrival{}
		if c.block {
			b = arrival{chain.Point{Slot: 1001, Hash: chain.BlockHash{1}}, now}
		}
		d.synced(status(c.age), b)
		d.clock(status(c.age), b)
		text := d.checks[0].Detail + d.checks[0].Next + d.checks[1].Detail
		if d.checks[0].Verdict != c.chain || d.checks[1].Verdict != c.clock || !strings.Contains(text, c.says) {
			t.Errorf("%s: %+v", name, d.checks)
		}
	}
	d := doctor{}
	s := status(0)
	s.Era, s.Params = "babbage", chain.Params{}
	if d.protocol(s); len(d.checks) != 1 || d.checks[0].Verdict != broken || d.checks[0].code != exitConfig {
		t.Errorf("another era: %+v", d.checks)
	}
}
