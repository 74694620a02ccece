package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/testnet/images"
	"github.com/tallycompute/tally/testnet/measure"
)

// ErrBench is a measurement that is worth nothing.
var ErrBench = errors.New("benchmark failed")

const (
	benchRounds   = 3
	benchSeconds  = 60.0 // of training that a round lasts at least
	benchMargin   = 1.3  // aimed higher: the trial may have been slow
	benchTrial    = 200  // epochs
	benchMost     = 220  // seconds of training, both sides together, that a round is meant to last at most
	benchTries    = 3    // until the rounds are long enough
	benchPatience = 10 * time.Minute
)

// BenchConfig says where to measure and what to leave.
type BenchConfig struct {
	Out      string    // file to write, JSON
	Bin      string    // the program tally; "": this one
	NodeBin  string    // tally-devnet; "": beside this program, or built from the source
	Examples string    // directory with the example digits; "": examples, here or above
	Progress io.Writer // what happens, for people
	Table    io.Writer // the results
}

// bench is one under way.
type bench struct {
	cfg     BenchConfig
	say     *teller
	scratch string
	engine  *container.Runtime
	image   executor.ImageDigest
	info    executor.Info
	w       *World
	chain   *watch
	label   string // on the engine
	script  []byte // what stands in for tally.torch over Gloo
	torch   string // its version
}

// round is one training over the market and the same one without it.
type round struct {
	market marketRound
	gloo   glooRound
}

// Bench trains the digits over a whole market, and in the same containers with plain torch.distributed over Gloo on a
// Docker bridge, in turns, and writes how long each took. Without Docker it fails with the sentence that says what to
// type.
func Bench(ctx context.Context, cfg BenchConfig) (err error) {
	b := &bench{cfg: cfg, say: newTeller(cfg.Progress), label: glooLabel, script: glooProgram}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.end(context.WithoutCancel(ctx), err != nil && !errors.Is(err, context.Canceled)))
	}()
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{{"images", b.makeImages}, {"market", b.startMarket}} {
		if err := b.say.step(s.name, func() error { return s.do(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	rounds, epochs, err := b.rounds(ctx)
	if err != nil {
		return err
	}
	ms := measures(rounds, b.info, b.torch)
	if err := measure.Write(cfg.Out, ms); err != nil {
		return err
	}
	b.say.line("%s is written", cfg.Out)
	return b.table(ms, rounds, epochs)
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if b.engine, err = container.New(container.Config{}); err != nil {
		return err
	}
	if b.info, err = b.engine.Info(ctx); err != nil {
		return errors.Join(err, b.engine.Close())
	}
	if b.cfg.Bin == "" {
		if b.cfg.Bin, err = os.Executable(); err != nil {
			return err
		}
	}
	if b.cfg.NodeBin == "" {
		b.cfg.NodeBin = besides("tally-devnet")
	}
	if b.cfg.Examples == "" {
		if b.cfg.Examples, err = above("examples"); err != nil {
			return err
		}
	}
	b.scratch, err = os.MkdirTemp("", "t") // unix sockets have short paths
	return err
}

func (b *bench) makeImages(ctx context.Context) error {
	all, err := images.Ensure(ctx, func(step string, elapsed time.Duration, detail string) {
		b.say.line("%s (%.0f s): %s", step, elapsed.Seconds(), detail)
	})
	b.image = all[images.Torch]
	return err
}

func (b *bench) startMarket(ctx context.Context) (err error) {
	b.w, err = NewWorld(WorldConfig{
		Dir: filepath.Join(b.scratch, "w"), Bin: b.cfg.Bin, NodeBin: b.cfg.NodeBin, SlotLength: 200 * time.Millisecond,
		Rates: []string{"0.010", "0.011", "0.012", "0.013"}, Pace: DevnetPace(),
	})
	if err != nil {
		return err
	}
	if err := b.w.StartNode(ctx); err != nil {
		return err
	}
	b.chain = b.w.watch(context.WithoutCancel(ctx))
	if err := b.w.StartBootstrap(ctx); err != nil {
		return err
	}
	if err := b.w.Init(ctx, []string{images.Torch}); err != nil {
		return err
	}
	if err := b.w.Fund(ctx); err != nil {
		return err
	}
	return b.w.StartProviders(ctx)
}

// rounds finds out how many epochs are long enough, and measures. A round that turns out too short is the next trial.
func (b *bench) rounds(ctx context.Context) (all []round, epochs int, err error) {
	epochs = benchTrial
	trial, err := b.round(ctx, "trial", epochs)
	if err != nil {
		return nil, 0, err
	}
	for range benchTries {
		if epochs, err = enough(trial, epochs); err != nil {
			return nil, 0, err
		}
		all = nil
		for len(all) < benchRounds {
			r, err := b.round(ctx, fmt.Sprintf("round %d of %d", len(all)+1, benchRounds), epochs)
			if err != nil {
				return nil, 0, err
			}
			if r.market.training() < benchSeconds {
				b.say.line("shorter than %.0f s of training: more epochs, and all over again", benchSeconds)
				trial = r
				break
			}
			all = append(all, r)
		}
		if len(all) == benchRounds {
			return all, epochs, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: the rounds are of too different lengths: is the machine busy with something else?", ErrBench)
}

// enough is how many epochs last the benchmark's seconds on the faster side, if that does not take too long on the
// slower one, and on the market's side in any case.
func enough(trial round, epochs int) (int, error) {
	m, g := trial.market.training()/float64(epochs), trial.gloo.training()/float64(epochs)
	if m <= 0 || g <= 0 {
		return 0, fmt.Errorf("%w: the trial took no time", ErrBench)
	}
	want := benchMargin * benchSeconds / min(m, g)
	want = min(want, benchMost/(m+g))
	return int(math.Ceil(max(want, benchMargin*benchSeconds/m))), nil
}

// round trains over the market, then without it, and checks that both trained the same model.
func (b *bench) round(ctx context.Context, name string, epochs int) (r round, err error) {
	dir := filepath.Join(b.scratch, strings.ReplaceAll(fmt.Sprintf("%s %d", name, epochs), " ", "-"))
	err = b.say.step(fmt.Sprintf("%s, %d epochs", name, epochs), func() (err error) {
		job, err := b.copyJob(filepath.Join(dir, "digits"), epochs)
		if err != nil {
			return err
		}
		if r.market, err = b.overMarket(ctx, filepath.Join(dir, "digits"), filepath.Join(dir, "results")); err != nil {
			return fmt.Errorf("over the market: %w", err)
		}
		b.say.line("market: %d steps in %.1f s; %.1f s to the first, %.1f s from the last to the last wallet",
			r.market.steps(), r.market.training(), r.market.toFirst(), r.market.paid.Sub(r.market.last()).Seconds())
		if r.gloo, err = b.overGloo(ctx, job, filepath.Join(dir, "digits"), filepath.Join(dir, "gloo")); err != nil {
			return fmt.Errorf("over Gloo: %w", err)
		}
		b.torch = r.gloo.torch
		b.say.line("Gloo: %d steps in %.1f s; %.1f s to the first", r.gloo.steps(), r.gloo.training(), r.gloo.toFirst())
		return r.comparable()
	})
	return r, err
}

// comparable says why the two trainings of a round are not one and the same, if they are not.
func (r round) comparable() error {
	if r.market.steps() != r.gloo.steps() {
		return fmt.Errorf("%w: %d steps over the market, %d over Gloo", ErrBench, r.market.steps(), r.gloo.steps())
	}
	d, err := relDiff(r.market.parameters, r.gloo.parameters)
	if err != nil {
		return err
	}
	if d > maxRelDiff {
		return fmt.Errorf("%w: after 10 steps the parameters differ by %.2g, more than %.0e: this is not the same training", ErrBench, d, maxRelDiff)
	}
	return nil
}

// copyJob copies the example with so many epochs, and time and money for them.
func (b *bench) copyJob(dir string, epochs int) (job market.Job, err error) {
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(b.cfg.Examples, "digits"))); err != nil {
		return job, fmt.Errorf("copying the example: %w: %w", ErrBench, err)
	}
	file := filepath.Join(dir, "job.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return job, err
	}
	s := string(text)
	for _, e := range [][2]string{
		{`EPOCHS: "10"`, fmt.Sprintf(`EPOCHS: "%d"`, epochs)},
		{"run: 120s", fmt.Sprintf("run: %.0fs", benchPatience.Seconds())},
		{"max_ntx: 10", "max_ntx: 100"},
	} {
		if !strings.Contains(s, e[0]) {
			return job, fmt.Errorf("%w: the example has no %q to replace", ErrBench, e[0])
		}
		s = strings.Replace(s, e[0], e[1], 1)
	}
	if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
		return job, err
	}
	return market.ParseJob([]byte(s))
}

// end stops everything. The world of a benchmark that failed stays, for who wants to know why.
func (b *bench) end(ctx context.Context, failed bool) error {
	if b.chain != nil {
		b.chain.close()
	}
	err := b.engine.Close()
	if b.w != nil {
		err = errors.Join(err, b.w.Stop(ctx))
	}
	if failed {
		b.say.line("every participant's directory and log is left in %s", b.scratch)
		return err
	}
	return errors.Join(err, os.RemoveAll(b.scratch))
}
