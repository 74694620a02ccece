//go:build crash && linux

package testnet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet"
	"github.com/tallycompute/tally/testnet/images"
)

const elasticJob = `version: 1
name: elastic
kind: training
image: ` + images.Python + `
run: python3 /job/train.py
inputs:
  - {path: train.py, mount: /job/train.py, split: none}
shards: {count: 4, min: 2}
resources: {cpus: 1, memory_gib: 1}
budget: {max_ntx: 10}
verify: {policy: accept, window: 5s}
timeouts: {match: 30s, start: 40s, run: 180s, collect: 30s}
`

// spareJob has no fewer shards than it begins with, and spares beside them.
func spareJob(count, spares int) string {
	return strings.NewReplacer(
		"{count: 4, min: 2}", fmt.Sprintf("{count: %d, spares: %d}", count, spares), "run: 180s", "run: 90s",
		"run: python3 /job/train.py", "run: python3 /job/train.py 50",
	).Replace(elasticJob)
}

// elasticProgram trains for a minute, and says in the end with how many ranks it began and ended.
const elasticProgram = `
import array, hashlib, os, sys, time
import tally
from tally import elastic, metrics

tally.init()
steps = int((sys.argv + ["120"])[1])
state = elastic.State(step=0, seen=[], weights=array.array("f", [0.0]) * 50_000)

@elastic.run
def train(state):
    place = tally.session().places[tally.rank()]
    while state.step < steps:
        gradient = array.array("f", [float((place + 1) * (state.step % 7) - 9)]) * 50_000
        tally.allreduce(gradient, tally.MEAN)
        for i in range(0, 50_000, 100):
            state.weights[i] -= 0.01 * gradient[i]
        state.step += 1
        if not state.seen or state.seen[-1] != tally.size():
            state.seen.append(tally.size())
        metrics.log(step=state.step, ranks=tally.size(), parameter_hash=hashlib.sha256(state.weights).hexdigest())
        time.sleep(0.5)
        state.commit()

train(state)
with open(os.path.join(os.environ["OUTPUT_DIR"], "seen.txt"), "w") as f:
    f.write(" ".join(str(n) for n in state.seen))
`

// TestElastic kills a provider in the middle of an elastic training job, once for good and once to come back: the others go
// on without it, or with a spare in its place, and agree; who delivered or stood by is paid.
func TestElastic(t *testing.T) {
	const victim = 1
	x := newCrashWorld(t)
	dir := filepath.Join(x.dir, "elastic")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	x.job = filepath.Join(dir, "job.yaml")
	ends := func(t *testing.T, r *testnet.Run, what, seen string, good int) {
		t.Helper()
		o, code := x.outcome(t, r)
		x.check(t, what, o, code)
		got, err := os.ReadFile(filepath.Join(o.Out, "seen.txt"))
		if err != nil || string(got) != seen {
			t.Errorf("%s: there were %q ranks, want %q: %v", what, got, seen, err)
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
		if err := x.Providers[kill].Process.Kill(); err != nil {
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
	write := func(t *testing.T, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "train.py", elasticProgram)
	t.Run("spares stand by", func(t *testing.T) {
		write(t, "job.yaml", spareJob(2, 2))
		r, _ := x.begin(t, requester.Running)
		ends(t, r, "spares stand by", "2", 4)
	})
	t.Run("a spare comes in", func(t *testing.T) { // and the other one stands by
		write(t, "job.yaml", spareJob(2, 2))
		ends(t, begin(t, victim), "a spare comes in", "2", 3)
		revive(t, victim)
	})
	t.Run("a spare is killed", func(t *testing.T) {
		const spare = 3
		write(t, "job.yaml", spareJob(3, 1))
		ends(t, begin(t, spare), "a spare is killed", "3", 3)
		revive(t, spare)
	})
	t.Run("comes back", func(t *testing.T) {
		write(t, "job.yaml", elasticJob)
		r := begin(t, victim)
		time.Sleep(5 * time.Second)
		revive(t, victim)
		ends(t, r, "comes back", "4 3 4", 4)
	})
	t.Run("stays away", func(t *testing.T) {
		write(t, "job.yaml", elasticJob)
		r := begin(t, victim)
		ends(t, r, "stays away", "4 3", 3)
	})
}
