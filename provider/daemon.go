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
	Fellows     Fellows
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

	desk sync.Mutex    // admission and witnessing, one at a time
	wake chan struct{} // a job was stored

	mu       sync.Mutex // what follows; held for moments only
	jobs     map[market.JobID]*job
	offerSeq uint64 // the newest that may have been published
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
	// Containers are told host paths in full.
	if deps.Dir, err = filepath.Abs(deps.Dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if deps.SDK, err = filepath.Abs(deps.SDK); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	st, err := openStore(ctx, deps.DB)
	if err != nil {
		return nil, err
	}
	key, ok := deps.Wallet.Address().Key()
	if !ok {
		return nil, fmt.Errorf("%w: the wallet's address %s has no payment key", ErrConfig, deps.Wallet.Address())
	}
	seq, err := st.sequence(ctx)
	if err != nil {
		return nil, err
	}
	return &Daemon{
		Deps: deps, cfg: cfg, id: id, key: key, store: st, wake: make(chan struct{}, 1), jobs: map[market.JobID]*job{}, offerSeq: seq,
	}, nil
}

// Run takes up the jobs that were under way, publishes offers, and goes on until ctx ends; it returns ctx's error.
func (d *Daemon) Run(ctx context.Context) error {
	if err := d.removeStrays(ctx); err != nil {
		d.Log.Warn("provider: cannot look for containers left behind", "error", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.publish(ctx) })
	wg.Go(func() { d.sweep(ctx) })
	for {
		changed := d.Book.Changed()
		if err := d.takeUp(ctx, &wg); err != nil && ctx.Err() == nil {
			d.Log.Error("provider: cannot take up jobs, trying again at the next block", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.wake:
		case <-changed:
		}
	}
}

// takeUp starts on every job that is stored as unfinished and not at work yet: the database is the queue.
func (d *Daemon) takeUp(ctx context.Context, wg *sync.WaitGroup) error {
	unfinished, err := d.store.jobs(ctx, false)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range unfinished {
		j, err := d.newJob(ctx, r)
		if err != nil {
			errs = append(errs, err)
		}
		if j == nil {
			continue
		}
		d.Log.Info("provider: taking up a job", "job", r.Job, "phase", r.Phase)
		wg.Go(func() {
			defer d.forget(j)
			j.run(ctx)
		})
	}
	return errors.Join(errs...)
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
	if f.Voucher, err = d.store.voucher(ctx, r.Job); f.Voucher != nil {
		f.Voucher.Provider = d.key
	}
	return f, err
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
func (d *Daemon) sweep(ctx context.Context) {
	for {
		changed := d.Book.Changed()
		if err := d.expire(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("provider: cannot end expired reservations", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (d *Daemon) expire(ctx context.Context) error {
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	d.desk.Lock()
	defer d.desk.Unlock()
	live, err := d.store.live(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range live {
		if r.State == reserved && now > r.Expires {
			errs = append(errs, d.release(ctx, r))
		}
	}
	return errors.Join(errs...)
}

// release ends a reservation for which nothing was signed: the coin first, so that a crash in between leaves a
// reservation that expires, and never a coin that nobody gives back. The desk is held.
func (d *Daemon) release(ctx context.Context, r reservation) error {
	if r.State != reserved {
		return nil // a signature cannot be taken back
	}
	if err := d.Wallet.Release(ctx, r.ID.String()); err != nil {
		return err
	}
	return d.store.drop(ctx, r.ID)
}
