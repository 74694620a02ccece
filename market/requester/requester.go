package requester

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Deps is what a requester works with.
type Deps struct {
	Dir       string // of jobs, private
	DB        *sql.DB
	Peer      crypto.PrivKey
	Address   chain.Address // the wallet's
	Contracts *plutus.Contracts
	Ledger    Ledger
	Book      Book
	Blocks    Blocks
	Purse     Purse
	Offers    Offers
	Sellers   Sellers
	Workers   Workers
	Logger    Logger
	Files     Files
	Reducer   Reducer
	Auditor   Auditor
	Progress  func(Event) // called by one goroutine at a time; nil: nobody looks on
	Log       *slog.Logger
}

// JobSpec is a job to run.
type JobSpec struct {
	Job   market.Job         `json:"job"`
	Dir   string             `json:"dir"`   // of the job file: inputs are relative to it
	Image market.ImageDigest `json:"image"` // that Job.Image names
	Out   string             `json:"out"`   // where the gathered outputs go

	MaxLocked uint64 `json:"max_locked_untx,omitempty"` // µNTX, in the lots of all jobs that have not ended; 0: no bound
}

// Requester buys jobs.
type Requester struct {
	Deps
	cfg   Config
	id    peer.ID
	key   chain.KeyHash
	store *store

	mu sync.Mutex // of Progress
}

// New opens the requester's state.
func New(ctx context.Context, cfg Config, deps Deps) (*Requester, error) {
	id, err := peer.IDFromPrivateKey(deps.Peer)
	if err != nil {
		return nil, fmt.Errorf("%w: peer key: %w", ErrConfig, err)
	}
	key, ok := deps.Address.Key()
	if !ok {
		return nil, fmt.Errorf("%w: the wallet's address %s has no payment key", ErrConfig, deps.Address)
	}
	st, err := openStore(ctx, deps.DB)
	if err != nil {
		return nil, err
	}
	return &Requester{Deps: deps, cfg: cfg.Defaults(), id: id, key: key, store: st}, nil
}

// Run takes a job from its plan to the end of its last lot. confirm sees the plan before any provider is asked, and
// again if another costs more; its error ends the job. Run ends early with ctx's error: Resume goes on from there. The
// outcome says how far the job came, whatever the error.
func (r *Requester) Run(ctx context.Context, spec JobSpec, confirm func(market.Plan) error) (Outcome, error) {
	j, err := r.plan(ctx, spec, confirm)
	if err != nil {
		return Outcome{Name: spec.Job.Name, Kind: spec.Job.Kind, Error: err.Error()}, err
	}
	return j.drive(ctx)
}

// Resume goes on with a job, wherever it was when its process ended; id is local, or the job's on chain. Of a job that
// is over it tells how it ended; unless a rollback has taken that back.
func (r *Requester) Resume(ctx context.Context, id string) (Outcome, error) {
	rec, err := r.store.load(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	j := &job{r: r, rec: rec}
	if rec.Terms != nil {
		if err := j.open(); err != nil {
			return Outcome{}, err
		}
		if err := j.reopen(ctx); err != nil {
			return Outcome{}, err
		}
	}
	return j.drive(ctx)
}

// reopen takes up a job that was over, and is not any more: a rollback has brought a lot of it back to life.
func (j *job) reopen(ctx context.Context) error {
	if !j.rec.Done {
		return nil
	}
	lots, err := j.lots(ctx)
	if err != nil {
		return err
	}
	alive := func(l escrow.Lot) bool { return l.Status != escrow.Absent && !l.Status.Final() }
	if !slices.ContainsFunc(lots, alive) {
		return nil
	}
	j.rec.Done = false
	p := j.rec.Phase
	if p == Settled {
		p = Approved
	}
	return j.enter(ctx, p, "a rollback took back how a lot had ended")
}

// plan finds the job's providers and inputs, asks for a yes, and records the job.
func (r *Requester) plan(ctx context.Context, spec JobSpec, confirm func(market.Plan) error) (_ *job, err error) {
	for _, p := range []*string{&spec.Dir, &spec.Out} {
		if *p, err = filepath.Abs(*p); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	id, err := newID()
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixMilli()
	j := &job{r: r, confirm: confirm, rec: &record{ID: id, Spec: spec, Began: now, At: map[Phase]int64{}, Lots: []lotRecord{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(j.dir()))
		}
	}()
	if err := os.MkdirAll(j.dir(), 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if err := j.stage(ctx); err != nil {
		return nil, err
	}
	plan, _, err := r.Plan(ctx, spec.Job, spec.Image)
	if err != nil {
		return nil, err
	}
	if err := r.affordable(ctx, plan, spec.MaxLocked); err != nil {
		return nil, err
	}
	if err := j.allow(plan); err != nil {
		return nil, err
	}
	return j, j.enter(ctx, Planned, fmt.Sprintf("%d providers for %s NTX", len(plan.Chosen), market.FormatNTX(plan.TotalUNTX)))
}

// now is the chain's time at the book's tip.
func (r *Requester) now(ctx context.Context) (chain.Time, error) {
	c, err := r.Ledger.Clock(ctx)
	if err != nil {
		return 0, fmt.Errorf("the chain's time: %w", err)
	}
	return c.SlotToTime(r.Book.Tip()), nil
}

func (r *Requester) emit(e Event) {
	if r.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Progress(e)
}
