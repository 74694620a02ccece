package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// job is one lot at work.
type job struct {
	d         *Daemon
	id        market.JobID
	key       escrow.Key
	terms     market.Terms
	packed    plutus.Terms
	lot       market.LotTerms
	requester reservation

	mu     sync.Mutex
	shards map[uint32]*shard // at work in this process
}

// errOver ends a job whose lot is settled or never came to be.
var errOver = errors.New("the lot is over")

func (d *Daemon) newJob(ctx context.Context, r record) (*job, error) {
	res, ok, err := d.store.reservation(ctx, r.Reservation)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: job %s has no reservation", ErrStore, r.Job)
	}
	t, err := market.DecodeTerms(res.Terms)
	if err != nil {
		return nil, fmt.Errorf("%w: job %s: %w", ErrStore, r.Job, err)
	}
	packed, err := escrow.PackTerms(t)
	if err != nil {
		return nil, fmt.Errorf("%w: job %s: %w", ErrStore, r.Job, err)
	}
	lot, ok := t.LotOf(d.id)
	if !ok {
		return nil, fmt.Errorf("%w: job %s has no lot of this provider", ErrStore, r.Job)
	}
	j := &job{
		d: d, id: r.Job, key: escrow.Key{Job: plutus.JobID(r.Job), Provider: d.key}, terms: t, packed: packed, lot: lot,
		requester: res, shards: map[uint32]*shard{},
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs[j.id] != nil {
		return nil, fmt.Errorf("job %s is at work already", j.id)
	}
	d.jobs[j.id] = j
	return j, nil
}

// run brings the job from wherever it is to its end, and tries again what fails on this machine.
func (j *job) run(ctx context.Context) {
	for {
		err := j.once(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		j.d.Log.Warn("provider: job stumbled, trying again", "job", j.id, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// once takes the job through all its steps; each is skipped if it was done before.
func (j *job) once(ctx context.Context) error {
	if err := j.awaitLock(ctx); err != nil {
		return j.over(ctx, err)
	}
	work, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		if err := j.awaitFinal(work); err != nil {
			stop(err)
			return
		}
		stop(errOver)
	}()
	err := j.work(work)
	if err == nil {
		<-work.Done() // served until settled
		err = context.Cause(work)
	} else if cause := context.Cause(work); cause != nil {
		err = cause
	}
	stop(err)
	wg.Wait()
	return j.over(ctx, err)
}

// work fetches, runs and signs.
func (j *job) work(ctx context.Context) error {
	r, ok, err := j.d.store.job(ctx, j.id)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%w: job %s", ErrStore, j.id))
	}
	if r.Result != nil {
		return j.serve(r.Result)
	}
	if err := j.inputs(ctx); err != nil {
		return err
	}
	results, err := j.runShards(ctx)
	if err != nil {
		return err
	}
	return j.sign(ctx, results)
}

// awaitLock waits until the opening that was signed is in the chain, or can no longer come.
func (j *job) awaitLock(ctx context.Context) error {
	for {
		changed := j.d.Book.Changed()
		lot, err := j.d.Book.Lot(ctx, j.key)
		if err != nil {
			return err
		}
		switch {
		case lot.Status.Final():
			return errOver
		case lot.Status != escrow.Absent:
			if !lot.Mine(j.d.key) {
				return fmt.Errorf("lot %s: %w", j.key, escrow.ErrNotMine)
			}
			return nil
		}
		now, err := j.d.now(ctx)
		if err != nil {
			return err
		}
		if now > j.requester.LockUntil+lockMargin {
			return errOver
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// lockMargin is how long after an opening's end we still wait for the book to show it.
const lockMargin = chain.Time(30_000)

// awaitFinal returns nil when the lot is settled.
func (j *job) awaitFinal(ctx context.Context) error {
	for {
		changed := j.d.Book.Changed()
		lot, err := j.d.Book.Lot(ctx, j.key)
		if err != nil {
			return err
		}
		if lot.Status.Final() {
			return nil
		}
		if lot.Status == escrow.Absent {
			return fmt.Errorf("lot %s was rolled back", j.key)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// over ends the job if err says that its lot is; any other error is handed back.
func (j *job) over(ctx context.Context, err error) error {
	if !errors.Is(err, errOver) {
		return err
	}
	lot, err := j.d.Book.Lot(ctx, j.key)
	if err != nil {
		return err
	}
	r, ok, err := j.d.store.job(ctx, j.id)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%w: job %s", ErrStore, j.id))
	}
	if err := j.removeContainers(ctx); err != nil {
		return err
	}
	phase, message := market.PhaseDone, "the lot is "+lot.Status.String()
	switch {
	case lot.Status == escrow.Absent:
		phase, message = market.PhaseFailed, "the opening never came"
	case lot.Status == escrow.Declined:
		phase = market.PhaseDeclined
	case r.Result == nil:
		phase = market.PhaseFailed
	}
	if err := j.d.store.finish(ctx, r, phase, message); err != nil {
		return err
	}
	if err := j.d.Wallet.Release(ctx, r.Reservation.String()); err != nil {
		return err
	}
	j.d.Log.Info("provider: job over", "job", j.id, "lot", lot.Status)
	return os.RemoveAll(j.d.jobDir(j.id))
}

// phase records where the job stands, for people and for the requester.
func (j *job) phase(ctx context.Context, p market.Phase, message string) error {
	j.d.Log.Info("provider: job", "job", j.id, "phase", p, "message", message)
	return j.d.store.setPhase(ctx, j.id, p, message)
}
