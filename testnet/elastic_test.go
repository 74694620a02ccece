//go:build crash && linux

package testnet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet"
)

// elastic is the example with other shards, which no review keeps waiting, and with more changes: from, to, and so on.
func elastic(t *testing.T, shards string, more ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "examples", "elastic", "job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	changes := append([]string{"{count: 3, min: 2, spares: 1}", shards, "window: 30s", "window: 5s"}, more...)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			t.Fatalf("the example has no %q", changes[i])
		}
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	return []byte(text)
}

// TestElastic kills a provider in the middle of an elastic training job, once for good and once to come back: the others go
// on without it, or with a spare in its place, and agree; who delivered or stood by is paid.
func TestElastic(t *testing.T) {
	const victim = 1
	x := newCrashWorld(t)
	x.job = filepath.Join(x.dir, "elastic", "job.yaml")
	if err := os.CopyFS(filepath.Dir(x.job), os.DirFS(filepath.Join("..", "examples", "elastic"))); err != nil {
		t.Fatal(err)
	}
	ends := func(t *testing.T, r *testnet.Run, what, seen, note string, good int) {
		t.Helper()
		o, code := x.outcome(t, r)
		x.check(t, what, o, code)
		got, err := os.ReadFile(filepath.Join(o.Out, "ranks.txt"))
		if err != nil || string(got) != seen || o.Note != note {
			t.Errorf("%s: there were %q ranks, want %q; note %q, want %q: %v", what, got, seen, o.Note, note, err)
		}
		paid := 0
		for _, l := range o.Lots {
			if l.Accepted && l.PaidUNTX > 0 {
				paid++
			}
		}
		if paid != good || o.Phase != requester.Approved && o.Phase != requester.Settled {
			t.Errorf("%s: %d of %d lots were paid, want %d; phase %s, %s", what, paid, len(o.Lots), good, o.Phase, o.Error)
		}
		t.Logf("%s: %s; ranks %s; %d paid; %s", what, o.Outcome, strings.TrimSpace(string(got)), paid, o.Note)
	}
	begin := func(t *testing.T, kill int) *testnet.Run {
		t.Helper()
		r, _ := x.begin(t, requester.Running)
		time.Sleep(10 * time.Second) // into the training
		if err := x.Providers[kill].Process().Kill(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	revive := func(t *testing.T, i int) {
		t.Helper()
		if err := x.StartProvider(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	becomes := func(t *testing.T, shards string, more ...string) {
		t.Helper()
		if err := os.WriteFile(x.job, elastic(t, shards, more...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	short := []string{`STEPS: "120"`, `STEPS: "50"`, "run: 180s", "run: 90s"}
	t.Run("spares stand by", func(t *testing.T) {
		becomes(t, "{count: 2, spares: 2}", short...)
		r, _ := x.begin(t, requester.Running)
		ends(t, r, "spares stand by", "2", "", 4)
	})
	t.Run("a spare comes in", func(t *testing.T) { // and the other one stands by
		becomes(t, "{count: 2, spares: 2}", short...)
		ends(t, begin(t, victim), "a spare comes in", "2", "spare 2 came in", 3)
		revive(t, victim)
	})
	t.Run("a spare is killed", func(t *testing.T) {
		const spare = 3
		becomes(t, "{count: 3, spares: 1}", short...)
		ends(t, begin(t, spare), "a spare is killed", "3", "", 3)
		revive(t, spare)
	})
	t.Run("comes back", func(t *testing.T) {
		becomes(t, "{count: 4, min: 2}")
		r := begin(t, victim)
		time.Sleep(5 * time.Second)
		revive(t, victim)
		ends(t, r, "comes back", "4 3 4", "", 4)
	})
	t.Run("stays away", func(t *testing.T) {
		becomes(t, "{count: 4, min: 2}")
		r := begin(t, victim)
		ends(t, r, "stays away", "4 3", "rests on 3 shards of 4", 3)
	})
}
