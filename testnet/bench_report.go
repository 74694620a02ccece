package testnet

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet/measure"
)

// startPhases are a job's phases until a program runs.
var startPhases = []requester.Phase{
	requester.Planned, requester.Quoted, requester.Agreed, requester.Signed, requester.Submitted, requester.Locked,
	requester.Sent, requester.Running,
}

// measures are the medians of the rounds, and each round's training.
func measures(rounds []round, info executor.Info, torch string) (ms []measure.Measure) {
	source := fmt.Sprintf("torch %s: torch.distributed all_reduce of one flat gradient over Gloo, the same containers on a Docker bridge, the same run", torch)
	of := func(f func(round) float64) float64 { return medianOf(rounds, f) }
	add := func(m measure.Measure) { ms = append(ms, m) }
	seconds := func(name string, f func(round) float64) measure.Measure {
		return measure.Measure{Name: name, Value: of(f), Unit: "s"}
	}

	ours, theirs := func(r round) float64 { return r.market.training() }, func(r round) float64 { return r.gloo.training() }
	add(seconds("loop/training_seconds", ours).AgainstTime(of(theirs), source))
	perStep := func(t trained) float64 { return 1000 * t.training() / float64(t.steps()-1) }
	add(measure.Measure{Name: "loop/step_milliseconds", Value: of(func(r round) float64 { return perStep(r.market.trained) }), Unit: "ms"}.
		AgainstTime(of(func(r round) float64 { return perStep(r.gloo.trained) }), source))
	add(measure.Measure{Name: "loop/market_overhead", Value: of(ours) / of(theirs), Unit: "times"})
	for i, r := range rounds {
		add(measure.Measure{Name: fmt.Sprintf("loop/training_seconds/round_%d", i+1), Value: ours(r), Unit: "s"}.AgainstTime(theirs(r), source))
	}
	add(measure.Measure{Name: "loop/steps", Value: float64(rounds[0].market.steps()), Unit: "steps"})

	add(seconds("loop/seconds_to_first_step", func(r round) float64 { return r.market.toFirst() }).
		AgainstTime(of(func(r round) float64 { return r.gloo.toFirst() }), source))
	for _, p := range startPhases {
		all := true // rounds entered it
		m := seconds("loop/seconds_to_first_step/"+string(p), func(r round) float64 {
			s, ok := r.market.until(p)
			all = all && ok
			return s
		})
		if all {
			add(m)
		}
	}
	add(seconds("loop/seconds_to_first_step/first_step", marketRoundFirst))
	add(seconds("loop/paid_after_last_step", func(r round) float64 { return r.market.paid.Sub(r.market.last()).Seconds() }))

	for _, m := range []struct {
		name string
		of   func(Figures) float64
	}{
		{"loop/requester_fee_per_shard", func(f Figures) float64 { return float64(f.RequesterFeesPerShard) }},
		{"loop/provider_fee_per_shard", func(f Figures) float64 { return float64(f.ProviderFeesPerShard) }},
		{"loop/requester_locked_per_shard", func(f Figures) float64 { return float64(f.RequesterLockedPerShard) }},
		{"loop/provider_locked_per_shard", func(f Figures) float64 { return float64(f.ProviderLockedPerShard) }},
	} {
		add(measure.Measure{Name: m.name, Value: of(func(r round) float64 { return m.of(r.market.figures) }) / 1e6, Unit: "ADA"})
	}
	add(measure.Measure{Name: "machine/cores", Value: float64(info.CPUs), Unit: "cores"})
	add(measure.Measure{Name: "machine/memory", Value: float64(info.MemoryBytes) / (1 << 30), Unit: "GiB"})
	return ms
}

// marketRoundFirst is the seconds from the last phase before it to the first step's end.
func marketRoundFirst(r round) float64 {
	from := r.market.began
	for _, e := range r.market.phases {
		if slices.Contains(startPhases, e.phase) {
			from = e.at
		}
	}
	return r.market.first().Sub(from).Seconds()
}

// medianOf is the median of a round's number; of an even number of rounds, the mean of the two in the middle.
func medianOf(rounds []round, f func(round) float64) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, f(r))
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// table prints the results for people.
func (b *bench) table(ms []measure.Measure, rounds []round, epochs int) error {
	if b.cfg.Table == nil {
		return nil
	}
	if err := measure.Table(b.cfg.Table, ms); err != nil {
		return err
	}
	_, err := fmt.Fprintf(b.cfg.Table, `
Medians of %d rounds of %d epochs, market and anchor in turns, one thread a rank. Anchor: the same containers and script
with torch.distributed over Gloo on a Docker bridge (torch %s). Ratio: anchor divided by value; above 1 the market is faster.
Machine: %d cores, %.1f GiB of memory, %s %s, %s.
`, len(rounds), epochs, b.torch, b.info.CPUs, float64(b.info.MemoryBytes)/(1<<30), b.info.Engine, b.info.Version, b.info.Isolation.Runtime)
	return err
}
