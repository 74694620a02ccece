package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/agree"
	"github.com/tallycompute/tally/market/requester"
)

// buyer is a participant that buys.
type buyer struct {
	*party
	db  *sql.DB
	req *requester.Requester
}

// unreachable is how many polls in vain make a provider one that is not waited for where others are enough.
const unreachable = 20

// openBuyer opens the participant as a requester; progress hears of every event.
func (a *app) openBuyer(ctx context.Context, with access, progress func(requester.Event)) (*buyer, error) {
	p, err := a.open(ctx, with)
	if err != nil {
		return nil, err
	}
	b := &buyer{party: p}
	if b.db, err = openDB(filepath.Join(a.home, "requester.db")); err != nil {
		return nil, errors.Join(err, b.close())
	}
	id, err := peer.IDFromPrivateKey(p.key)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	calls := agree.Client{Host: p.host}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	b.req, err = requester.New(ctx, requester.Config{
		LockTime: ms(p.net.LockMS), LockMargin: ms(p.net.MarginMS), Margin: market.Millis(p.net.MarginMS),
		Turns: p.net.Policy, Confirmations: p.net.Confirmations, Poll: ms(p.net.PollMS), Unreachable: ms(unreachable * p.net.PollMS),
	}, requester.Deps{
		Dir: a.path("jobs"), DB: b.db, Peer: p.key, Address: p.wallet.Address(), Contracts: p.contracts,
		Ledger: p.ledger(), Book: p.book, Blocks: blocks{p}, Purse: coins{p.purse}, Offers: finder{p},
		Sellers: calls, Workers: calls, Logger: calls, Files: p.files, Reducer: reducer{owner: id.String()}, Auditor: auditor{id.String()},
		Progress: progress, Log: a.logger,
	})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	p.book.mine = func(_ context.Context, l escrow.Lot) (bool, error) {
		return l.Terms.Requester == p.wallet.Address() && l.Mine(p.wallet.PaymentKey()), nil
	}
	return b, nil
}

// buy runs f with the chain followed, the DHT joined and what is due on chain done.
func (b *buyer) buy(ctx context.Context, f func(ctx context.Context) error) error {
	return b.run(ctx, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		acting, stop := context.WithCancel(ctx)
		g.Go(func() error {
			if err := b.settling(acting, escrow.Requester, nil, b.req.Evidence, b.req.Facts); acting.Err() == nil {
				return err
			}
			return nil
		})
		g.Go(func() error {
			defer stop()
			return f(ctx)
		})
		return g.Wait()
	})
}

func (b *buyer) close() error {
	err := b.party.close()
	if b.db != nil {
		err = errors.Join(err, b.db.Close())
	}
	return err
}

// reducer runs reduce scripts in a container without network, of the job's own image.
type reducer struct{ owner string }

// limits of a reduce step: it runs on the requester's own machine, on its own code.
const (
	reduceMemory  = 1 << 30
	reduceTimeout = 10 * time.Minute
)

// Run implements requester.Reducer.
func (r reducer) Run(ctx context.Context, red requester.Reduction) (err error) {
	engine, err := container.New(container.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	task := executor.Task{
		ID: red.Job + "-reduce", Owner: r.owner, Image: red.Image, OutputDir: red.Out,
		Env: map[string]string{"OUTPUT_DIR": executor.DefaultOutputTarget}, Limits: executor.Limits{CPUs: 1, MemoryBytes: reduceMemory},
		Timeout: reduceTimeout, Command: []string{"/bin/sh", "-c", red.Script + ` "$@"`, "reduce"},
	}
	for _, m := range red.Mounts {
		source := filepath.Join(red.Program, filepath.FromSlash(m))
		if _, err := os.Stat(source); err == nil {
			task.Inputs = append(task.Inputs, executor.Mount{Source: source, Target: m})
		}
	}
	for _, s := range red.Shards {
		target := fmt.Sprintf("/shards/%d", s.Index)
		task.Inputs = append(task.Inputs, executor.Mount{Source: s.Dir, Target: target})
		task.Command = append(task.Command, target)
	}
	return runTask(ctx, engine, task)
}

// runTask runs a task to its end and removes it; a program that fails is an error with its last lines.
func runTask(ctx context.Context, engine *container.Runtime, task executor.Task) (err error) {
	h, err := engine.Start(ctx, task)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Remove(context.WithoutCancel(ctx), h)) }()
	st, err := engine.Wait(ctx, h)
	if err != nil || st.OK() {
		return err
	}
	var log tail
	if err := engine.Logs(ctx, h, false, &log); err != nil {
		return err
	}
	return fmt.Errorf("%s with exit code %d:\n%s", st.Reason, st.ExitCode, log.String())
}

// tail keeps the last of what is written to it.
type tail struct{ b []byte }

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// readJob reads a job file.
func readJob(path string) (market.Job, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return market.Job{}, fail(exitUsage, err, "name the job file: tally run job.yaml")
	}
	j, err := market.ParseJob(b)
	if err != nil {
		return j, fail(exitUsage, fmt.Errorf("%s: %w", path, err), "tally validate %s checks it again", path)
	}
	var missing market.JobErrors
	for i, in := range j.Inputs {
		src := in.Path
		if !filepath.IsAbs(src) {
			src = filepath.Join(filepath.Dir(path), src)
		}
		if _, err := os.Stat(src); err != nil {
			missing = append(missing, market.JobError{Line: in.Line, Field: fmt.Sprintf("inputs[%d].path", i), Message: in.Path + " is not there, beside the job file"})
		}
	}
	if len(missing) > 0 {
		return j, fail(exitUsage, fmt.Errorf("%s: %w", path, missing), "paths are relative to the job file's directory")
	}
	return j, nil
}

// imageOf is the config digest of a job's image: as the job file says, or as this machine's engine knows it.
func imageOf(ctx context.Context, j market.Job) (id market.ImageDigest, err error) {
	if d := market.ImageDigest(j.Image); d.Validate() == nil && j.AuditBps == 0 {
		return d, nil
	}
	engine, err := container.New(container.Config{})
	if err == nil {
		defer func() { err = errors.Join(err, engine.Close()) }()
		id, err = engine.ImageID(ctx, j.Image)
	}
	hint := "build or load it here, or write the image's config digest (sha256:…) into the job file"
	if err != nil && j.AuditBps > 0 {
		err, hint = fmt.Errorf("verify.audit_percent runs shards again on this machine: %w", err), "build or load it here"
	}
	if errors.Is(err, executor.ErrImageMissing) {
		return "", fail(exitConfig, err, "%s", hint)
	}
	return id, err
}
