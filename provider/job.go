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
	d     *Daemon
	id    market.JobID
	key   escrow.Key
	terms market.Terms
	lot   market.LotTerms
	res   reservation

	mu     sync.Mutex
	shards map[uint32]*shard // at work in this process
}

// errOver ends a job whose lot is settled or never came to be.
var errOver = errors.New("the lot is over")

// newJob is the job of a record; nil if it is at work already, or over.
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
	lot, ok := t.LotOf(d.id)
	if !ok {
		return nil, fmt.Errorf("%w: job %s has no lot of this provider", ErrStore, r.Job)
	}
	j := &job{
		d: d, id: r.Job, key: escrow.Key{Job: plutus.JobID(r.Job), Provider: d.key}, terms: t, lot: lot, res: res,
		shards: map[uint32]*shard{},
	}
	d.mu.Lock()
	taken := d.jobs[j.id] != nil
	if !taken {
		d.jobs[j.id] = j
	}
	d.mu.Unlock()
	if taken {
		return nil, nil
	}
	// It may have ended between the reading of r and now; once it is forgotten, its record says so.
	if r, ok, err = d.store.job(ctx, j.id); err != nil || !ok || r.Done {
		d.forget(j)
		return nil, err
	}
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
		if sleep(ctx, 2*time.Second) != nil {
			return
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
	wg.Go(func() { stop(j.awaitFinal(work)) })
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
	var results []market.ShardResult
	if r.Unpaid {
		return j.unpaid(ctx)
	}
	if err = j.inputs(ctx, r); errors.Is(err, errNotOurs) {
		results = j.failed(err)
	} else if err != nil {
		return err
	} else if results, err = j.runShards(ctx); errors.Is(err, errUnpaid) {
		return j.unpaid(ctx)
	} else if err != nil {
		return err
	}
	return j.sign(ctx, results)
}

// unpaid ends the work on a job whose vouchers did not come. What the last one says is redeemed before commit_by; if
// none ever came, the receipt of the failure is committed.
func (j *job) unpaid(ctx context.Context) error {
	v, err := j.d.store.voucher(ctx, j.id)
	if err != nil || v != nil {
		return errors.Join(err, j.phase(ctx, market.PhaseFailed, errUnpaid.Error()))
	}
	return j.sign(ctx, j.failed(errUnpaid))
}

// lock says where the opening is that was signed. A lot of another opening, though it names us, is not ours.
func (j *job) lock(ctx context.Context) (lot escrow.Lot, err error) {
	lot, err = j.d.Book.Lot(ctx, j.key)
	if err == nil && lot.Status != escrow.Absent && (lot.OpenedBy() != j.res.Tx || !lot.Mine(j.d.key)) {
		j.d.Log.Debug("provider: a lot names us that we did not witness", "job", j.id, "tx", lot.OpenedBy())
		return escrow.Lot{Key: j.key}, nil
	}
	return lot, err
}

// awaitLock waits until the opening that was signed is in the chain; errOver: it is settled, or can no longer come.
func (j *job) awaitLock(ctx context.Context) error { return j.await(ctx, true) }

// awaitFinal waits until the lot is settled, or its opening was undone and can no longer come, and is errOver then. An
// opening that was undone and may come again stops nobody's work.
func (j *job) awaitFinal(ctx context.Context) error { return j.await(ctx, false) }

func (j *job) await(ctx context.Context, lock bool) error {
	for {
		changed := j.d.Book.Changed()
		lot, err := j.lock(ctx)
		var now chain.Time
		if err == nil {
			now, err = j.d.now(ctx)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			j.d.Log.Warn("provider: cannot look at the chain, trying again at the next block", "job", j.id, "error", err)
		case err != nil:
			return err
		case lot.Status.Final(), lot.Status == escrow.Absent && now > j.res.LockUntil+millis(j.d.cfg.Margin):
			return errOver
		case lot.Status != escrow.Absent && lock:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// over ends the job if err says that its lot is; any other error is handed back. Each step can be done twice, and the
// record is closed last, so that a crash on the way leaves nothing behind.
func (j *job) over(ctx context.Context, err error) error {
	if !errors.Is(err, errOver) {
		return err
	}
	lot, err := j.lock(ctx)
	if err != nil {
		return err
	}
	r, ok, err := j.d.store.job(ctx, j.id)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%w: job %s", ErrStore, j.id))
	}
	phase, message := r.Phase, "the lot is "+lot.Status.String()
	switch {
	case lot.Status == escrow.Absent:
		phase, message = market.PhaseFailed, "the opening never came"
	case lot.Status == escrow.Declined:
		phase = market.PhaseDeclined
	case r.Result == nil:
		phase = market.PhaseFailed
	}
	if err := j.removeContainers(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(j.d.jobDir(j.id)); err != nil {
		return err
	}
	if err := j.d.Wallet.Release(ctx, r.Reservation.String()); err != nil {
		return err
	}
	j.d.Log.Info("provider: job over", "job", j.id, "lot", lot.Status)
	return j.d.store.finish(ctx, r, phase, message)
}

// phase records where the job stands, for people and for the requester.
func (j *job) phase(ctx context.Context, p market.Phase, message string) error {
	j.d.Log.Info("provider: job", "job", j.id, "phase", p, "message", message)
	return j.d.store.setPhase(ctx, j.id, p, message)
}
