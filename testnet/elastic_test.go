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

// elasticProgram trains for a minute, and says in the end with how many ranks it began and ended.
const elasticProgram = `
import array, hashlib, os, time
import tally
from tally import elastic, metrics

tally.init()
first = tally.size()
state = elastic.State(step=0, seen=[], weights=array.array("f", [0.0]) * 50_000)

@elastic.run
def train(state):
    place = tally.session().places[tally.rank()]
    while state.step < 120:
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
// on without it, and agree; who delivered is paid.
func TestElastic(t *testing.T) {
	const victim = 1
	x := newCrashWorld(t)
	dir := filepath.Join(x.dir, "elastic")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	x.job = filepath.Join(dir, "job.yaml")
	for name, text := range map[string]string{"job.yaml": elasticJob, "train.py": elasticProgram} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
	begin := func(t *testing.T) *testnet.Run {
		t.Helper()
		r, _ := x.begin(t, requester.Running)
		time.Sleep(10 * time.Second) // into the training
		if err := x.Providers[victim].Process.Kill(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	t.Run("comes back", func(t *testing.T) {
		r := begin(t)
		time.Sleep(5 * time.Second)
		if err := x.StartProvider(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		ends(t, r, "comes back", "4 3 4", 4)
	})
	t.Run("stays away", func(t *testing.T) {
		r := begin(t)
		ends(t, r, "stays away", "4 3", 3)
	})
}
