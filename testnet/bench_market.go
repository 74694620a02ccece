package testnet

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
)

// trained is what the metrics of a training's ranks say.
type trained struct {
	began      time.Time // when it was asked for
	ranks      [][]Metric
	parameters []float32 // after 10 steps
}

// readTrained reads the outputs of a training, a directory for each rank, and checks that all ranks trained one model.
func readTrained(began time.Time, dirs []string) (t trained, err error) {
	t.began = began
	for _, dir := range dirs {
		ms, err := readMetrics(filepath.Join(dir, metricsFile))
		if err != nil {
			return t, err
		}
		if len(ms) < 3 || ms[0].Step != 1 {
			return t, fmt.Errorf("%w: the metrics of %s do not begin with the first step", ErrBench, filepath.Base(dir))
		}
		t.ranks = append(t.ranks, ms)
	}
	if err := sameHashes(t.ranks); err != nil {
		return t, err
	}
	t.parameters, err = parameters(filepath.Join(dirs[0], parameterFile))
	return t, err
}

// steps is how many there were.
func (t trained) steps() (n int) {
	for _, m := range t.ranks[0] {
		n = max(n, m.Step)
	}
	return n
}

// first is when the first rank ended its first step.
func (t trained) first() time.Time {
	at := t.ranks[0][0].Time
	for _, ms := range t.ranks {
		at = min(at, ms[0].Time)
	}
	return unixTime(at)
}

// last is when the last rank ended its last step.
func (t trained) last() time.Time {
	at := 0.0
	for _, ms := range t.ranks {
		for _, m := range ms {
			if m.Loss != nil { // a line without one comes after training
				at = max(at, m.Time)
			}
		}
	}
	return unixTime(at)
}

// training is the seconds from the first step's end to the last one's.
func (t trained) training() float64 { return t.last().Sub(t.first()).Seconds() }

func (t trained) toFirst() float64 { return t.first().Sub(t.began).Seconds() }

func unixTime(s float64) time.Time { return time.UnixMilli(int64(s * 1000)) }

// marketRound is a training over the market.
type marketRound struct {
	trained
	phases  []entered // in their order
	paid    time.Time // of the block that paid the last provider
	figures Figures
}

// entered is when a job entered a phase.
type entered struct {
	phase requester.Phase
	at    time.Time
}

// until is the seconds from the phase before, or the start, until a phase was entered; ok if it was.
func (r marketRound) until(phase requester.Phase) (seconds float64, ok bool) {
	from := r.began
	for _, e := range r.phases {
		if e.phase == phase {
			return e.at.Sub(from).Seconds(), true
		}
		from = e.at
	}
	return 0, false
}

// overMarket runs the job in dir as a process of the requester's, to its end.
func (b *bench) overMarket(ctx context.Context, dir, results string) (r marketRound, err error) {
	ctx, cancel := context.WithTimeout(ctx, benchPatience)
	defer cancel()
	run, err := b.w.Requester.StartRun(filepath.Join(dir, "job.yaml"), results)
	if err != nil {
		return r, err
	}
	_, err = run.Follow(ctx, func(e requester.Event, at time.Time) bool {
		if e.Entered {
			r.phases = append(r.phases, entered{e.Phase, at})
		}
		return false
	})
	if err != nil {
		return r, err
	}
	o, code, err := run.Outcome(ctx)
	if err != nil {
		return r, err
	}
	if code != 0 || o.Outcome != "approved" || o.Job == nil {
		return r, b.w.Requester.Process().fail("the job", fmt.Errorf("%w: it ended %q with exit code %d: %s", ErrBench, o.Outcome, code, o.Error))
	}
	var dirs []string
	for i := range o.Lots {
		dirs = append(dirs, filepath.Join(o.Dir, "outputs", fmt.Sprintf("shard-%d", i)))
	}
	if r.trained, err = readTrained(run.Began, dirs); err != nil {
		return r, err
	}
	return r, b.settle(ctx, *o.Job, &r)
}

// settle reads from the chain when the last provider was paid, and what the job cost.
func (b *bench) settle(ctx context.Context, id market.JobID, r *marketRound) error {
	var job *DerivedJob
	err := b.chain.until(ctx, func(d *Derived) bool {
		job = d.Jobs[plutus.JobID(id)]
		return job != nil && job.Settled()
	})
	if err != nil {
		return err
	}
	_, to := job.Span()
	length := time.Duration(b.w.Process.SlotLengthMS) * time.Millisecond
	r.paid, r.figures = b.w.Process.SystemStart.Add(time.Duration(to)*length), shareOf(job)
	return nil
}
