package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// stakeKilled kills what puts at stake, and what takes back, before it is handed in and before it is known that the node
// has it: the same command goes on, and there is one stake, one transaction that takes it back, and nothing left to do.
func (b *bank) stakeKilled(t *testing.T, from account) {
	run := func(args ...string) answer {
		t.Helper()
		a := b.run(t, from.home, "", []string{
			"TALLY_WALLET_PASSPHRASE=the passphrase of " + filepath.Base(from.home), "TALLY_NETWORK=" + filepath.Join(b.dir, "network.json"),
		}, args...)
		a.wants(t, 0)
		return a
	}
	shown := func() (states []string) {
		t.Helper()
		var v struct{ Stakes []stakeLine }
		if err := json.Unmarshal([]byte(run("provider", "stake", "show", "-o", "json").out), &v); err != nil {
			t.Fatal(err)
		}
		for _, s := range v.Stakes {
			states = append(states, s.State)
		}
		return states
	}
	want := []string{}
	for name, die := range map[string]func(segment) bool{
		"before it is handed in":   func(g segment) bool { return g.protocol == protocolSubmit && g.toNode },
		"before the node answered": func(g segment) bool { return g.protocol == protocolSubmit && !g.toNode },
	} {
		for _, c := range []struct {
			args []string
			then string
		}{{[]string{"provider", "stake", "5", "-y"}, "bonded"}, {[]string{"provider", "unstake", "-y"}, "unbonding"}} {
			b.killedAt(t, from, die, c.args...)
			again := run(c.args...)
			if !strings.Contains(again.err, "nothing is paid twice") {
				t.Errorf("%v, killed %s, did not go on: %s", c.args, name, again.err)
			}
			if c.then == "bonded" {
				want = append(want, "")
			}
			want[len(want)-1] = c.then
			got := shown()
			if len(got) != len(want) || strings.Count(strings.Join(got, " "), c.then) != strings.Count(strings.Join(want, " "), c.then) {
				t.Errorf("%v, killed %s and repeated: %v, want %v", c.args, name, got, want)
			}
		}
	}
	if a := b.tally(t, from.home, "", "send", "--dry-run", "--to", from.at.String(), "1", "ADA"); strings.Contains(a.err, "interrupted") {
		t.Errorf("something is still under way: %s", a.err)
	}
}
