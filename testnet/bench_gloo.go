package testnet

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/executor/python"
	"github.com/tallycompute/tally/market"
)

const (
	glooLabel    = "tally-bench" // of its bridges; names the owner of the containers on one
	glooPython   = "/opt/tally/python"
	glooScript   = "/opt/tally/bench/gloo.py"
	glooMeet     = "/opt/tally/meet" // directory that gets the address of rank 0
	glooAddress  = "address"
	jobStartsRun = "python3 " // what the example's run command starts with
)

//go:embed bench/gloo.py
var glooProgram []byte

// glooRound is a training without the market.
type glooRound struct {
	trained
	torch string // version
}

// gloo runs a job's containers as a provider would, with a network.
type gloo struct {
	cli    *client.Client
	engine *container.Runtime
	label  string
	owner  string // of the containers
	bridge string // id of the network
	dir    string
	script []byte
	ranks  []executor.Task
	begun  []executor.Handle
}

// overGloo runs the job in dir in containers like those of the providers', which differ in one thing: they are put on a
// bridge, over which Gloo adds up the gradients.
func (b *bench) overGloo(ctx context.Context, job market.Job, dir, work string) (r glooRound, err error) {
	ctx, cancel := context.WithTimeout(ctx, benchPatience)
	defer cancel()
	g := &gloo{engine: b.engine, label: b.label, owner: b.label + "-" + strings.ToLower(rand.Text()), dir: work, script: b.script}
	if g.cli, err = container.Dial(""); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, g.cli.Close()) }()
	if err := g.stage(job, b.image, dir); err != nil {
		return r, fmt.Errorf("preparing the containers: %w", err)
	}
	if err := g.removeOld(ctx, time.Now().Add(-2*benchPatience)); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, g.remove(context.WithoutCancel(ctx))) }()
	if err := g.makeBridge(ctx); err != nil {
		return r, err
	}
	began := time.Now()
	if err := g.start(ctx); err != nil {
		return r, err
	}
	if err := g.wait(ctx); err != nil {
		return r, err
	}
	var dirs []string
	for _, t := range g.ranks {
		dirs = append(dirs, t.OutputDir)
	}
	if r.trained, err = readTrained(began, dirs); err != nil {
		return r, err
	}
	r.torch, err = aboutGloo(dirs[0], len(dirs))
	return r, err
}

// aboutGloo reads the version of torch, and makes sure that it was Gloo, over all ranks.
func aboutGloo(dir string, ranks int) (string, error) {
	var about struct {
		Torch   string `json:"torch"`
		Backend string `json:"backend"`
		Ranks   int    `json:"ranks"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "gloo.json"))
	if err == nil {
		err = json.Unmarshal(text, &about)
	}
	if err != nil {
		return "", fmt.Errorf("%w: what ran: %w", ErrBench, err)
	}
	if about.Backend != "gloo" || about.Ranks != ranks {
		return "", fmt.Errorf("%w: %d ranks over %s, not %d over Gloo", ErrBench, about.Ranks, about.Backend, ranks)
	}
	return about.Torch, nil
}

// stage splits the inputs and writes down a task for each rank, with the limits that a provider would give it.
func (g *gloo) stage(job market.Job, image executor.ImageDigest, dir string) error {
	task := job.Task(image)
	run, ok := strings.CutPrefix(task.Command, jobStartsRun)
	if !ok {
		return fmt.Errorf("%w: the example runs %q, no Python script", ErrBench, task.Command)
	}
	sdk, script := filepath.Join(g.dir, "sdk"), filepath.Join(g.dir, "gloo.py")
	if err := errors.Join(os.MkdirAll(filepath.Join(g.dir, "meet"), 0o755), os.CopyFS(sdk, python.Files), os.WriteFile(script, g.script, 0o644)); err != nil {
		return err
	}
	for rank := range job.Shards.Count {
		env, err := market.ShardEnv(task, rank)
		if err != nil {
			return err
		}
		env["PYTHONPATH"], env["MEET"] = glooPython, glooMeet+"/"+glooAddress
		t := executor.Task{
			ID: fmt.Sprintf("rank-%d", rank), Owner: g.owner, Image: image,
			Command: []string{"/bin/sh", "-c", jobStartsRun + glooScript + " " + run}, Env: env, WorkDir: market.WorkDir,
			OutputDir: filepath.Join(g.dir, fmt.Sprintf("out-%d", rank)), OutputTarget: market.OutputDir,
			Inputs: []executor.Mount{
				{Source: sdk, Target: glooPython},
				{Source: script, Target: glooScript},
				{Source: filepath.Join(g.dir, "meet"), Target: glooMeet},
			},
			Limits: executor.Limits{
				CPUs: float64(task.Resources.MilliCPU) / 1000, MemoryBytes: int64(task.Resources.MemoryMiB) << 20,
				Output: executor.OutputLimits{Bytes: int64(task.Resources.DiskMiB) << 20},
			},
			Timeout: job.Timeouts.Run.Duration(),
		}
		if err := os.MkdirAll(t.OutputDir, 0o777); err != nil {
			return err
		}
		for i, in := range job.Inputs {
			source := filepath.Join(dir, in.Path)
			if in.Split != market.SplitNone {
				if source, err = g.split(source, in.Split, i, rank, job.Shards.Count); err != nil {
					return err
				}
			}
			t.Inputs = append(t.Inputs, executor.Mount{Source: source, Target: in.Mount})
		}
		g.ranks = append(g.ranks, t)
	}
	return nil
}

// split writes a rank's part of an input file and returns its path.
func (g *gloo) split(file string, how market.Split, input int, rank, count uint32) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	parts, err := market.SplitFile(how, data, count)
	if err != nil {
		return "", err
	}
	path := filepath.Join(g.dir, fmt.Sprintf("input-%d-%d", input, rank))
	return path, os.WriteFile(path, parts[rank].Of(data), 0o644)
}

// makeBridge makes a bridge network that leads nowhere else.
func (g *gloo) makeBridge(ctx context.Context) error {
	made, err := g.cli.NetworkCreate(ctx, g.owner, network.CreateOptions{
		Driver: "bridge", Internal: true, Labels: map[string]string{g.label: g.owner},
	})
	g.bridge = made.ID
	return container.EngineError("make a bridge network", err)
}

// start starts the containers, without a network like any, then puts them on the bridge and says where rank 0 is.
func (g *gloo) start(ctx context.Context) error {
	g.begun = make([]executor.Handle, len(g.ranks))
	addresses := make([]string, len(g.ranks))
	all, ctx := errgroup.WithContext(ctx)
	for i, t := range g.ranks {
		all.Go(func() (err error) {
			if g.begun[i], err = g.engine.Start(ctx, t); err != nil {
				return err
			}
			addresses[i], err = g.connect(ctx, g.begun[i].ID)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return writeFile(filepath.Join(g.dir, "meet", glooAddress), []byte(addresses[0]+"\n"), 0o644)
}

// connect puts a container on the bridge and returns its address there.
func (g *gloo) connect(ctx context.Context, id string) (string, error) {
	if err := g.cli.NetworkDisconnect(ctx, network.NetworkNone, id, false); err != nil {
		return "", container.EngineError("connect a container", err)
	}
	if err := g.cli.NetworkConnect(ctx, g.bridge, id, nil); err != nil {
		return "", container.EngineError("connect a container", err)
	}
	c, err := g.cli.ContainerInspect(ctx, id)
	if err != nil {
		return "", container.EngineError("look up a container's address", err)
	}
	for _, n := range c.NetworkSettings.Networks {
		if n.NetworkID == g.bridge && n.IPAddress != "" {
			return n.IPAddress, nil
		}
	}
	return "", fmt.Errorf("%w: the engine gave a container no address", ErrBench)
}

// wait returns when every container has ended, or the first one badly.
func (g *gloo) wait(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for rank, h := range g.begun {
		all.Go(func() error {
			st, err := g.engine.Wait(ctx, h)
			if err != nil || st.OK() {
				return err
			}
			var log strings.Builder
			err = g.engine.Logs(ctx, h, false, &log)
			return errors.Join(fmt.Errorf("%w: rank %d: %s, exit code %d: %s", ErrBench, rank, st.Reason, st.ExitCode, log.String()), err)
		})
	}
	return all.Wait()
}

// remove removes the containers, then the bridge.
func (g *gloo) remove(ctx context.Context) error {
	var errs []error
	for _, h := range g.begun {
		if h.ID != "" {
			errs = append(errs, g.engine.Remove(ctx, h))
		}
	}
	if g.bridge != "" {
		errs = append(errs, container.EngineError("remove the bridge network", g.cli.NetworkRemove(ctx, g.bridge)))
	}
	return errors.Join(errs...)
}

// removeOld removes what benchmarks left that were killed: bridges made before a time at which none can be in use.
func (g *gloo) removeOld(ctx context.Context, before time.Time) error {
	bridges, err := g.cli.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", g.label))})
	if err != nil {
		return container.EngineError("look for bridge networks left", err)
	}
	for _, n := range bridges {
		if !n.Created.Before(before) {
			continue
		}
		left := &gloo{cli: g.cli, engine: g.engine, bridge: n.ID}
		if left.begun, err = g.engine.List(ctx, n.Labels[g.label]); err != nil {
			return err
		}
		if err := left.remove(ctx); err != nil {
			return err
		}
	}
	return nil
}
