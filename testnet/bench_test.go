package testnet

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet/measure"
)

// ran is a training of two ranks: its first step ends so many seconds after it was asked for, its last so many later.
func ran(toFirst, training float64) trained {
	loss := 1.0
	rank := func(late float64) []Metric {
		return []Metric{
			{Time: 1000 + toFirst + late, Step: 1, Loss: &loss},
			{Time: 1000 + toFirst + training - 1 + late, Step: 101, Loss: &loss},
			{Time: 5000, Step: 101}, // evaluated long after
		}
	}
	return trained{began: unixTime(1000), ranks: [][]Metric{rank(0), rank(1)}, parameters: []float32{1, 2}}
}

func ranRound(market, gloo float64) round {
	r := round{market: marketRound{trained: ran(10, market)}, gloo: glooRound{trained: ran(4, gloo)}}
	r.market.phases = []entered{{requester.Planned, unixTime(1001)}, {requester.Quoted, unixTime(1003)}, {requester.Running, unixTime(1006)}, {requester.Gathered, unixTime(9000)}}
	r.market.paid = r.market.last().Add(2 * time.Second)
	r.market.figures = Figures{RequesterFeesPerShard: 250_000, ProviderLockedPerShard: 3_000_000}
	return r
}

func TestMeasuresAreMedians(t *testing.T) {
	rounds := []round{ranRound(100, 50), ranRound(300, 75), ranRound(200, 70)}
	found := map[string]measure.Measure{}
	for _, m := range measures(rounds, executor.Info{CPUs: 2, MemoryBytes: 8 << 30}, "1.13") {
		if _, twice := found[m.Name]; twice {
			t.Errorf("%s is there twice", m.Name)
		}
		found[m.Name] = m
	}
	for name, want := range map[string][2]float64{ // value, anchor
		"loop/training_seconds":                 {200, 70},
		"loop/training_seconds/round_2":         {300, 75},
		"loop/step_milliseconds":                {2000, 700},
		"loop/market_overhead":                  {200.0 / 70, 0},
		"loop/steps":                            {101, 0},
		"loop/seconds_to_first_step":            {10, 4},
		"loop/seconds_to_first_step/planned":    {1, 0},
		"loop/seconds_to_first_step/quoted":     {2, 0},
		"loop/seconds_to_first_step/running":    {3, 0},
		"loop/seconds_to_first_step/first_step": {4, 0},
		"loop/paid_after_last_step":             {2, 0},
		"loop/requester_fee_per_shard":          {0.25, 0},
		"loop/provider_fee_per_shard":           {0, 0},
		"loop/requester_locked_per_shard":       {0, 0},
		"loop/provider_locked_per_shard":        {3, 0},
		"machine/cores":                         {2, 0},
		"machine/memory":                        {8, 0},
	} {
		m, ok := found[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if math.Abs(m.Value-want[0]) > 1e-6 {
			t.Errorf("%s: %v, want %v", name, m.Value, want[0])
		}
		switch {
		case want[1] == 0 && (m.Anchor != nil || m.Ratio != nil || m.AnchorSource != nil):
			t.Errorf("%s has an anchor", name)
		case want[1] != 0 && (m.Anchor == nil || math.Abs(*m.Anchor-want[1]) > 1e-6 || math.Abs(*m.Ratio-want[1]/want[0]) > 1e-6):
			t.Errorf("%s: anchor %v, ratio %v", name, m.Anchor, m.Ratio)
		case want[1] != 0 && !strings.Contains(*m.AnchorSource, "torch 1.13"):
			t.Errorf("%s: anchor of %q", name, *m.AnchorSource)
		}
	}
	if m, ok := found["loop/seconds_to_first_step/locked"]; ok {
		t.Errorf("a phase that was never entered took %v s", m.Value)
	}
	b, err := json.Marshal(found["loop/market_overhead"])
	if err != nil || !bytes.Contains(b, []byte(`"anchor":null`)) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestEnoughEpochs(t *testing.T) {
	for _, c := range []struct {
		name         string
		market, gloo float64 // seconds of 10 epochs
		want         int
	}{
		{"the faster side decides", 20, 25, 39},
		{"whichever it is", 25, 20, 39},
		{"but not for hours", 100, 1, 22},
		{"and the market's side is long enough in any case", 1, 100, 780},
	} {
		got, err := enough(ranRound(c.market, c.gloo), 10)
		if err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, got, err, c.want)
		}
	}
	still := ranRound(10, 10)
	still.gloo.ranks = [][]Metric{still.gloo.ranks[0][:1]}
	if _, err := enough(still, 10); !errors.Is(err, ErrBench) {
		t.Errorf("a trial that took no time: %v", err)
	}
}

func TestOnlyTheSameTrainingIsComparable(t *testing.T) {
	if err := ranRound(2, 1).comparable(); err != nil {
		t.Error(err)
	}
	r := ranRound(2, 1)
	r.gloo.parameters = []float32{1, 2.001}
	if err := r.comparable(); !errors.Is(err, ErrBench) {
		t.Errorf("other parameters: %v", err)
	}
	r = ranRound(2, 1)
	r.gloo.ranks[0][1].Step = 102
	if err := r.comparable(); !errors.Is(err, ErrBench) {
		t.Errorf("another number of steps: %v", err)
	}
}

func TestBenchNeedsDocker(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "no.sock"))
	out := filepath.Join(t.TempDir(), "loop.json")
	err := Bench(t.Context(), BenchConfig{Out: out})
	if !errors.Is(err, executor.ErrEngineUnavailable) || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("without an engine: %v", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("results without a measurement: %v", err)
	}
}

// glooBench is a benchmark that has its engine and image, and the example with two epochs.
func glooBench(t *testing.T) (b *bench, dir string) {
	b = &bench{cfg: BenchConfig{Examples: filepath.Join("..", "examples")}, say: newTeller(t.Output()), label: "tally-bench-" + strings.ToLower(rand.Text()), script: glooProgram}
	var err error
	if b.engine, err = container.New(container.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.engine.Close() })
	if err := b.makeImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b, filepath.Join(t.TempDir(), "digits")
}

// TestGloo trains over Gloo in real containers and looks at what is left of them; then without adding up gradients.
func TestGloo(t *testing.T) {
	b, dir := glooBench(t)
	job, err := b.copyJob(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	cli, err := container.Dial("")
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	r, err := b.overGloo(t.Context(), job, dir, filepath.Join(t.TempDir(), "gloo"))
	if err != nil {
		t.Fatal(err)
	}
	if r.steps() != 24 || len(r.ranks) != 4 || r.training() <= 0 || r.toFirst() <= 0 || r.torch == "" {
		t.Errorf("%d steps of %d ranks in %v s, %v s to the first; torch %q", r.steps(), len(r.ranks), r.training(), r.toFirst(), r.torch)
	}
	b.script = bytes.Replace(glooProgram, []byte("dist.all_reduce(flat)"), []byte("pass"), 1)
	if _, err := b.overGloo(t.Context(), job, dir, filepath.Join(t.TempDir(), "identity")); !errors.Is(err, ErrTraining) {
		t.Errorf("gradients that are not added up: %v", err)
	}
	filter := network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", b.label))}
	if bridges, err := cli.NetworkList(t.Context(), filter); err != nil || len(bridges) > 0 {
		t.Errorf("bridges left: %v, %v", bridges, err)
	}

	// One that was killed has left its containers and its bridge; a young bridge may be another's that is alive.
	killed := &gloo{cli: cli, engine: b.engine, label: b.label, owner: b.label + "-killed", dir: filepath.Join(t.TempDir(), "killed"), script: []byte("import time; time.sleep(600)")}
	if err := killed.stage(job, b.image, dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(killed.makeBridge(t.Context()), killed.start(t.Context())); err != nil {
		t.Fatal(err)
	}
	next := &gloo{cli: cli, engine: b.engine, label: b.label}
	for _, c := range []struct {
		before time.Time
		left   int
	}{{time.Now().Add(-time.Hour), 4}, {time.Now().Add(time.Hour), 0}} {
		if err := next.removeOld(t.Context(), c.before); err != nil {
			t.Fatal(err)
		}
		left, err := b.engine.List(t.Context(), killed.owner)
		if err != nil || len(left) != c.left {
			t.Errorf("%d containers left, not %d: %v", len(left), c.left, err)
		}
		if bridges, err := cli.NetworkList(t.Context(), filter); err != nil || len(bridges) != min(1, c.left) {
			t.Errorf("%d bridges left: %v", len(bridges), err)
		}
	}
}
