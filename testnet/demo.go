package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet/images"
)

// ErrDemo is a demo in which something that must hold does not.
var ErrDemo = errors.New("demo failed")

// DemoConfig says where a demo runs and what it leaves.
type DemoConfig struct {
	Out      string    // directory to leave; made anew
	Bin      string    // the program tally; "": this one
	NodeBin  string    // tally-devnet; "": beside this program, or built from the source
	Examples string    // directory with the three jobs; "": examples, here or above
	Progress io.Writer // what happens, for people
	Table    io.Writer // the end: who ran what and was paid
	Pace     *Pace     // nil: DevnetPace
	// Edits of the examples' job files: what to replace by what, by example. For smaller runs of the same thing.
	Edits map[string]map[string]string
	// Started hears of the world when all its participants run, and before the first job; nil: nobody does.
	Started func(*World) error
}

// marker says that a directory is a demo's own, and where its world was.
const marker = ".tally-demo"

// demo is one under way.
type demo struct {
	cfg     DemoConfig
	w       *World
	chain   *watch
	images  map[string]executor.ImageDigest
	say     *teller
	jobs    string // copies of the examples
	scratch string // of the world
	sum     Summary
	ran     []*ranJob
	books   map[*Participant][]jobRecord
	staked  map[chain.Address]uint64 // µNTX, by the offers
}

// ranJob is what the demo knows of one of its jobs.
type ranJob struct {
	name    string
	began   time.Time
	shards  map[uint32]market.Phase // told last
	outcome *requester.Outcome      // nil: its requester did not live to say it
	id      string                  // on chain
	dir     string                  // the requester's own
	out     string                  // gathered outputs
	ranks   [][]Metric              // training
	result  string
	said    string // the last message that was told
}

// Demo runs the whole market on this machine, as a person would: three jobs, each a process of its own, over four
// providers. It fails if any of what it shows does not hold.
func Demo(ctx context.Context, cfg DemoConfig) (err error) {
	d := &demo{cfg: cfg, say: newTeller(cfg.Progress)}
	if err := d.prepare(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.end(context.WithoutCancel(ctx), err != nil)) }()
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"images", d.makeImages},
		{"node", d.startNode},
		{"market", d.startMarket},
		{"training", d.training},
		{"alone", d.alone},
		{"general", d.general},
		{"inference", d.inference},
		{"summary", d.summarise},
	} {
		if err := d.say.step(s.name, func() error { return s.do(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// prepare finds programs and examples and makes directories.
func (d *demo) prepare() (err error) {
	if d.cfg.Bin == "" {
		if d.cfg.Bin, err = os.Executable(); err != nil {
			return err
		}
	}
	if d.cfg.NodeBin == "" {
		d.cfg.NodeBin = besides("tally-devnet")
	}
	if d.cfg.Examples == "" {
		if d.cfg.Examples, err = above("examples"); err != nil {
			return err
		}
	}
	if d.cfg.Pace == nil {
		p := DevnetPace()
		d.cfg.Pace = &p
	}
	if d.cfg.Out, err = filepath.Abs(d.cfg.Out); err != nil {
		return err
	}
	if err := clear(d.cfg.Out); err != nil {
		return err
	}
	// Unix sockets have short paths, and the world has many.
	if d.scratch, err = os.MkdirTemp("", "t"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.cfg.Out, marker), []byte(d.scratch+"\n"), 0o600); err != nil {
		return err
	}
	d.jobs = filepath.Join(d.scratch, "examples")
	return d.copyExamples()
}

// above is a directory of that name here or in the nearest directory above.
func above(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.IsDir() {
			return filepath.Join(dir, name), nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%w: no directory %s here or above: run this inside the source tree", ErrDemo, name)
		}
	}
}

// clear makes an empty directory in place of what an earlier demo left, and of nothing else.
func clear(out string) error {
	left, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDemo, err)
	}
	if len(left) > 0 {
		old, err := os.ReadFile(filepath.Join(out, marker))
		if err != nil {
			return fmt.Errorf("%w: %s is not empty and no demo's: name another directory with --out", ErrDemo, out)
		}
		world := strings.TrimSpace(string(old))
		if filepath.Dir(world) == filepath.Clean(os.TempDir()) {
			err = os.RemoveAll(world)
		}
		if err = errors.Join(err, os.RemoveAll(out)); err != nil {
			return fmt.Errorf("%w: removing what the last demo left: %w", ErrDemo, err)
		}
	}
	return os.MkdirAll(out, 0o755)
}

// copyExamples copies the three jobs, with the edits asked for.
func (d *demo) copyExamples() error {
	for _, name := range []string{"digits", "montecarlo", "inference"} {
		to := filepath.Join(d.jobs, name)
		if err := os.CopyFS(to, os.DirFS(filepath.Join(d.cfg.Examples, name))); err != nil {
			return fmt.Errorf("copying example %s: %w: %w", name, ErrDemo, err)
		}
		file := filepath.Join(to, "job.yaml")
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text := string(b)
		for old, by := range d.cfg.Edits[name] {
			if !strings.Contains(text, old) {
				return fmt.Errorf("%w: example %s has no %q to replace", ErrDemo, name, old)
			}
			text = strings.ReplaceAll(text, old, by)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) makeImages(ctx context.Context) (err error) {
	d.images, err = images.Ensure(ctx, func(step string, elapsed time.Duration, detail string) {
		d.say.line("%s (%.0f s): %s", step, elapsed.Seconds(), detail)
	})
	return err
}

func (d *demo) startNode(ctx context.Context) (err error) {
	d.w, err = NewWorld(WorldConfig{
		Dir: filepath.Join(d.scratch, "w"), Bin: d.cfg.Bin, NodeBin: d.cfg.NodeBin, SlotLength: 200 * time.Millisecond,
		Rates: []string{"0.010", "0.011", "0.012", "0.013"}, Pace: *d.cfg.Pace,
	})
	if err != nil {
		return err
	}
	if d.cfg.NodeBin == "" {
		d.say.line("building tally-devnet, unless this source was built before: minutes the first time")
	}
	if err := d.w.StartNode(ctx); err != nil {
		return err
	}
	d.chain = d.w.watch(context.WithoutCancel(ctx))
	d.say.line("a Cardano node, network magic %d, a block every %d ms, process %d", d.w.Network.Magic, d.w.Process.SlotLengthMS, d.w.Process.PID)
	return nil
}

func (d *demo) startMarket(ctx context.Context) error {
	if err := d.w.StartBootstrap(ctx); err != nil {
		return err
	}
	if err := d.w.Init(ctx, []string{images.Python, images.Torch}); err != nil {
		return err
	}
	d.say.line("keys of a requester and %d providers, each in a directory of its own", len(d.w.Providers))
	if err := d.w.Fund(ctx); err != nil {
		return err
	}
	d.say.line("test NTX minted by policy %s; every wallet has ADA and NTX; contracts published", d.w.Contracts.Params.NTX.Policy)
	if err := d.w.Stake(ctx, demoStake); err != nil {
		return err
	}
	d.say.line("every provider puts %s NTX at stake", market.FormatNTX(demoStake))
	if err := d.w.StartProviders(ctx); err != nil {
		return err
	}
	for _, p := range d.w.Providers {
		d.say.line("%s, process %d: offer published as %s", p.Name, p.Process().PID(), p.Peer)
	}
	if err := d.lookAtOffers(ctx); err != nil {
		return err
	}
	if err := d.balancesBefore(ctx); err != nil {
		return err
	}
	if d.cfg.Started != nil {
		return d.cfg.Started(d.w)
	}
	return nil
}

// demoStake is what each provider puts at stake, in µNTX.
const demoStake = 10 * market.UNTX

// lookAtOffers finds the offers as the requester does, and says what they compute on.
func (d *demo) lookAtOffers(ctx context.Context) error {
	var offers []struct {
		market.Offer
		StakeUNTX uint64 `json:"stake_untx"`
	}
	if err := d.w.Requester.Tally(ctx, &offers, "offers"); err != nil {
		return err
	}
	if len(offers) != len(d.w.Providers) {
		return fmt.Errorf("%w: the DHT has %d offers, not %d", ErrDemo, len(offers), len(d.w.Providers))
	}
	var gpus []string
	d.staked = map[chain.Address]uint64{}
	for _, o := range offers {
		d.staked[o.Payment] = o.StakeUNTX
		if o.StakeUNTX != demoStake {
			return fmt.Errorf("%w: %s has %d µNTX at stake", ErrDemo, o.Peer, o.StakeUNTX)
		}
		for _, g := range o.GPUs {
			gpus = append(gpus, g.Model)
		}
	}
	d.sum.GPUs = "CPU only: no provider's machine has a GPU driver"
	if len(gpus) > 0 {
		d.sum.GPUs = strings.Join(gpus, ", ")
	}
	d.say.line("the requester finds %d offers in the DHT; %s", len(offers), d.sum.GPUs)
	return nil
}

// end stops everything. The world of a demo that failed stays, for who wants to know why.
func (d *demo) end(ctx context.Context, failed bool) error {
	if d.w == nil {
		return os.RemoveAll(d.scratch)
	}
	if d.chain != nil {
		d.chain.close()
	}
	err := errors.Join(d.w.Stop(ctx), d.w.RemoveContainers(ctx))
	if failed {
		d.say.line("every participant's directory and log is left in %s until the next demo", filepath.Join(d.scratch, "w"))
		return err
	}
	return errors.Join(err, d.keepChain(), os.RemoveAll(d.scratch))
}

// keepChain moves the chain's state to where Verify looks for it.
func (d *demo) keepChain() error {
	if err := os.Remove(d.w.Process.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	to := filepath.Join(d.cfg.Out, nodeDir)
	if os.Rename(d.w.NodeDir, to) == nil {
		return nil
	}
	if err := os.CopyFS(to, os.DirFS(d.w.NodeDir)); err != nil { // another file system
		return fmt.Errorf("keeping the chain: %w", err)
	}
	return os.Chmod(to, 0o700)
}
