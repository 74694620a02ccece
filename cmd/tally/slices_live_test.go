//go:build disputes

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet"
)

// newSlices is a street of four providers, of ten shards at a time each.
func newSlices(t *testing.T) *court {
	p := testnet.DevnetPace()
	p.LockMS = 15_000
	p.Policy.Meeting = 4000 // a busy machine takes longer to ask
	s := newStreet(t, p, func(c *testnet.WorldConfig) { c.Rates = []string{"0.001", "0.001", "0.001", "0.001"} })
	for _, p := range s.Providers {
		path := filepath.Join(p.Home, "provider.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var x shop
		if err := json.Unmarshal(b, &x); err != nil {
			t.Fatal(err)
		}
		x.Slots = 10
		if b, err = json.Marshal(x); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.StartProviders(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &court{street: s, payee: s.Requester.Address}
	c.before = c.ntx(t)
	return c
}

// tenth is a job of shards that fit ten times on a provider, run so long at most; run is their program.
func (c *court) tenth(t *testing.T, shards, program, run, verify string) string {
	return c.job(t, map[string]string{
		"run": program, "shards": shards, "resources": "{cpus: 0.1, memory_gib: 0.0625, disk_gib: 0.125}", "verify": verify,
		"timeouts": "{match: 20s, start: 40s, run: " + run + ", collect: 25s}",
	})
}

// TestSlicesLive: jobs of four providers on a real node, in slices: settled, left by one provider, by the requester, and by
// both.
func TestSlicesLive(t *testing.T) {
	c := newSlices(t)
	t.Run("settled", c.settled)
	t.Run("requester gone", c.left)
	t.Run("both gone", c.abandoned)
	t.Run("provider gone", c.finished)
}

// of checks the transitions of each lot of a job, in the order of blocks, and gives the lots.
func (c *court) of(t *testing.T, id string, want ...[]escrow.Kind) []lotStory {
	t.Helper()
	a := c.run(t, c.Requester.Home, "", nil, "escrow", id, "-o", "json")
	a.wants(t, 0)
	var all []lotStory
	if err := json.Unmarshal([]byte(a.out), &all); err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		var kinds []escrow.Kind
		for _, s := range l.Steps {
			kinds = append(kinds, s.Kind)
		}
		if !slices.ContainsFunc(want, func(w []escrow.Kind) bool { return slices.Equal(w, kinds) }) {
			t.Errorf("a lot is %s by %s", l.Status, kinds)
		}
	}
	return all
}

// settled: forty shards of four providers, paid by one transaction.
func (c *court) settled(t *testing.T) {
	run, id := c.begun(t, c.tenth(t, "{count: 40}", "echo 1 > $OUTPUT_DIR/n", "60s", "{policy: accept, window: 5s}"), requester.Locked)
	c.run(t, c.Requester.Home, "", nil, "escrow", id).wants(t, 0, "in a slice, 4 of 4", "settle")
	o, code, err := run.Outcome(t.Context())
	if err != nil || code != 0 || o.Outcome != "approved" || len(o.Lots) != 4 {
		t.Fatalf("%d %+v %v", code, o, err)
	}
	all := c.of(t, id, []escrow.Kind{escrow.KindStart, escrow.KindSettle})
	for _, l := range all {
		if len(l.Steps) == 2 && l.Steps[1].Tx != all[0].Steps[1].Tx {
			t.Errorf("settled by %s and %s", l.Steps[1].Tx, all[0].Steps[1].Tx)
		}
	}
	t.Logf("fees of the requester: %d lovelace", o.Fees)
	want := map[string]int64{}
	for i, p := range c.Providers {
		for _, l := range o.Lots {
			if l.Address == p.Address {
				want[p.Name] = int64(l.PaidUNTX)
				want["requester"] -= int64(l.PaidUNTX)
			}
		}
		if want[p.Name] == 0 {
			t.Errorf("provider %d sold nothing", i)
		}
	}
	want["payee"] = want["requester"]
	c.moved(t, want)
}

// left: the requester is gone, and all providers leave with their results in one transaction, which one of them pays; each
// claims.
func (c *court) left(t *testing.T) {
	before := c.lovelace(t)
	run, id := c.begun(t, c.tenth(t, "{count: 40}", "echo 1 > $OUTPUT_DIR/n", "40s", "{policy: review, window: 5s}"), requester.Gathered)
	if err := run.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, l := range c.waits(t, id, 8*time.Minute) {
		if l.Status != escrow.Claimed {
			t.Errorf("a lot is %s", l.Status)
		}
	}
	all := c.of(t, id, []escrow.Kind{escrow.KindStart, escrow.KindLeave, escrow.KindClaim})
	if n := together(all); n != 4 {
		t.Errorf("%d left together", n)
	}
	for who, n := range c.lovelace(t) {
		t.Logf("%s: %+d lovelace", who, n-before[who])
	}
	c.before = c.ntx(t)
}

// lovelace is what the providers' addresses hold.
func (c *court) lovelace(t *testing.T) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, p := range c.Providers {
		us, err := c.Node.UTxOs(t.Context(), p.Address)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range us {
			all[p.Name] += int64(u.Value.Coin)
		}
	}
	return all
}

// together is how many lots left their slice in the transaction of the first of them that left.
func together(all []lotStory) (n int) {
	var first chain.TxID
	for _, l := range all {
		if len(l.Steps) < 2 || l.Steps[1].Kind != escrow.KindLeave {
			continue
		}
		if first == (chain.TxID{}) {
			first = l.Steps[1].Tx
		}
		if l.Steps[1].Tx == first {
			n++
		}
	}
	return n
}

// abandoned: the requester is gone, and one provider. The others leave together without it, and what it left behind it ends
// when it is back.
func (c *court) abandoned(t *testing.T) {
	run, id := c.begun(t, c.tenth(t, "{count: 40}", "echo 1 > $OUTPUT_DIR/n", "40s", "{policy: review, window: 5s}"), requester.Gathered)
	gone := -1
	for _, l := range c.of(t, id, []escrow.Kind{escrow.KindStart}) {
		if l.Place.Index == 0 {
			gone = slices.IndexFunc(c.Providers, func(p *testnet.Participant) bool { return p.Address == l.Address })
		}
	}
	if err := errors.Join(run.Kill(), c.Providers[gone].Process().Kill()); err != nil {
		t.Fatal(err)
	}
	claimed := func() (n int) {
		for _, l := range c.of(t, id, []escrow.Kind{escrow.KindStart},
			[]escrow.Kind{escrow.KindStart, escrow.KindLeave}, []escrow.Kind{escrow.KindStart, escrow.KindLeave, escrow.KindClaim}) {
			if l.Status == escrow.Claimed {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(8 * time.Minute); claimed() < 3; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("three lots should be claimed")
		}
	}
	if err := c.StartProvider(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	all := c.waits(t, id, 2*time.Minute)
	if n := together(all); n != 3 {
		t.Errorf("%d left together", n)
	}
	c.of(t, id, []escrow.Kind{escrow.KindStart, escrow.KindLeave, escrow.KindClaim}, []escrow.Kind{escrow.KindStart, escrow.KindDissolve})
	c.before = c.ntx(t)
}

// finished: one provider is gone, and the others are paid long before commit_by.
func (c *court) finished(t *testing.T) {
	run, id := c.begun(t, c.tenth(t, "{count: 40, min: 30}", "sleep 3; echo 1 > $OUTPUT_DIR/n", "60s", "{policy: accept, window: 5s}"), requester.Running)
	if err := c.Providers[3].Process().Kill(); err != nil {
		t.Fatal(err)
	}
	o, code, err := run.Outcome(t.Context())
	if err != nil || code != 0 || o.Outcome != "mixed" {
		t.Fatalf("%d %+v %v", code, o, err)
	}
	c.of(t, id, []escrow.Kind{escrow.KindStart, escrow.KindFinish}, []escrow.Kind{escrow.KindStart, escrow.KindFinish, escrow.KindRefund})
}

// waits until all lots of a job have ended.
func (c *court) waits(t *testing.T, id string, most time.Duration) []lotStory {
	t.Helper()
	last := ""
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(time.Second) {
		var all []lotStory
		a := c.run(t, c.Requester.Home, "", nil, "escrow", id, "-o", "json")
		a.wants(t, 0)
		if err := json.Unmarshal([]byte(a.out), &all); err != nil {
			t.Fatal(errors.Join(err, errors.New(a.out)))
		}
		if !slices.ContainsFunc(all, func(l lotStory) bool { return !l.Status.Final() }) {
			return all
		}
		last = a.out
	}
	t.Fatal(last)
	return nil
}
