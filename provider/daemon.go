package provider

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Deps is what a daemon works with.
type Deps struct {
	Dir         string // of jobs, private
	DB          *sql.DB
	Peer        crypto.PrivKey
	Contracts   *plutus.Contracts
	Ledger      Ledger
	Book        Book
	Wallet      Wallet
	SignBinding func(msg []byte) (vkey, sig []byte, err error)
	Engine      Engine
	Files       Files
	Collectives Collectives
	Publisher   Publisher
	SDK         string // directory with the Python SDK, mounted into every container
	Log         *slog.Logger
}

// Daemon is a provider.
type Daemon struct {
	Deps
	cfg   Config
	id    peer.ID
	key   chain.KeyHash
	store *store

	mu       sync.Mutex // admission and witnessing, one at a time
	jobs     map[market.JobID]*job
	start    chan record // jobs that Run shall take up
	offer    []byte      // last published
	offerSeq uint64
}

// New opens the daemon's state. Nothing runs before Run.
func New(ctx context.Context, cfg Config, deps Deps) (*Daemon, error) {
	cfg = cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(deps.Peer)
	if err != nil {
		return nil, fmt.Errorf("%w: peer key: %w", ErrConfig, err)
	}
	st, err := openStore(ctx, deps.DB)
	if err != nil {
		return nil, err
	}
	key, ok := deps.Wallet.Address().Key()
	if !ok {
		return nil, fmt.Errorf("%w: the wallet's address %s has no payment key", ErrConfig, deps.Wallet.Address())
	}
	return &Daemon{Deps: deps, cfg: cfg, id: id, key: key, store: st, jobs: map[market.JobID]*job{}, start: make(chan record, 64)}, nil
}

// Run takes up the jobs that were under way, publishes offers, and goes on until ctx ends; it returns ctx's error or
// what made going on impossible.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 2)
	run := func(f func(context.Context) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(ctx); err != nil && ctx.Err() == nil {
				failed <- err
			}
		}()
	}
	run(d.publish)
	run(d.sweep)
	unfinished, err := d.store.jobs(ctx, false)
	if err != nil {
		return err
	}
	if err := d.removeStrays(ctx, unfinished); err != nil {
		d.Log.Warn("provider: cannot look for containers left behind", "error", err)
	}
	take := func(r record) {
		j, err := d.newJob(ctx, r)
		if err != nil {
			d.Log.Error("provider: cannot take up a job", "job", r.Job, "error", err)
			return
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			j.run(ctx)
			d.forget(j)
		}()
	}
	for _, r := range unfinished {
		d.Log.Info("provider: taking up a job", "job", r.Job, "phase", r.Phase)
		take(r)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case r := <-d.start:
			take(r)
		}
	}
}

// Facts is what the escrow's actor asks about a lot.
func (d *Daemon) Facts(ctx context.Context, k escrow.Key) (escrow.Facts, error) {
	r, ok, err := d.store.job(ctx, market.JobID(k.Job))
	if err != nil || !ok {
		return escrow.Facts{}, err
	}
	f := escrow.Facts{InputsReady: r.InputsReady, ResultAt: r.ResultAt}
	if r.Result != nil {
		root, err := resultRoot(r.Result)
		if err != nil {
			return escrow.Facts{}, err
		}
		f.Result = &root
	}
	return f, nil
}

// Known says whether the daemon witnessed the opening of a job: only such lots are its own.
func (d *Daemon) Known(ctx context.Context, id plutus.JobID) (bool, error) {
	_, ok, err := d.store.job(ctx, market.JobID(id))
	return ok, err
}

// now is the chain's time at the book's tip.
func (d *Daemon) now(ctx context.Context) (chain.Time, error) {
	c, err := d.Ledger.Clock(ctx)
	if err != nil {
		return 0, fmt.Errorf("the chain's time: %w", err)
	}
	return c.SlotToTime(d.Book.Tip()), nil
}

func (d *Daemon) forget(j *job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.jobs, j.id)
}

func (d *Daemon) jobDir(id market.JobID) string { return filepath.Join(d.Dir, id.String()) }

func newID() (id market.ReservationID, err error) {
	_, err = rand.Read(id[:])
	return id, err
}

// sweep ends what has expired, at every block.
func (d *Daemon) sweep(ctx context.Context) error {
	for {
		changed := d.Book.Changed()
		if err := d.expire(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("provider: cannot end expired reservations", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (d *Daemon) expire(ctx context.Context) error {
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	live, err := d.store.live(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range live {
		if r.State == reserved && now > r.Expires {
			errs = append(errs, d.release(ctx, r.ID))
		}
	}
	return errors.Join(errs...)
}

// release ends a reservation that nothing was signed for.
func (d *Daemon) release(ctx context.Context, id market.ReservationID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	done, err := d.store.endReservation(ctx, id, false)
	if err != nil || !done {
		return err
	}
	return d.Wallet.Release(ctx, id.String())
}
