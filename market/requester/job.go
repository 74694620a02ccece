package requester

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// job is one job at work.
type job struct {
	r       *Requester
	rec     *record
	confirm func(market.Plan) error // nil: nobody can be asked any more

	// once there is an opening
	terms  market.Terms
	packed plutus.Terms
	tx     *chain.Tx
}

// open reads the opening that the record has.
func (j *job) open() (err error) {
	if j.terms, err = market.DecodeTerms(j.rec.Terms); err != nil {
		return fmt.Errorf("%w: job %s: %w", ErrStore, j.rec.ID, err)
	}
	if j.packed, err = escrow.PackTerms(j.terms); err != nil {
		return fmt.Errorf("%w: job %s: %w", ErrStore, j.rec.ID, err)
	}
	j.tx, err = j.rec.opening()
	return err
}

// drive takes the job from wherever it is to its end.
func (j *job) drive(ctx context.Context) (Outcome, error) {
	j.grant()
	for !j.rec.Done {
		err := j.step(ctx)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return j.outcome(context.WithoutCancel(ctx), ctx.Err())
		case errors.Is(err, ErrStore):
			return j.outcome(ctx, err)
		case !j.rec.signed() || errors.Is(err, ErrLockExpired):
			if err := j.abandon(ctx, Failed, err); err != nil {
				return j.outcome(ctx, err)
			}
		default:
			// The opening may be in the chain: nothing but the chain ends the job now.
			j.r.Log.Warn("requester: stumbled, trying again", "id", j.rec.ID, "phase", j.rec.Phase, "error", err)
			j.tell(Event{Message: err.Error()})
			if err := wait(ctx, j.r.cfg.Poll, nil); err != nil {
				return j.outcome(context.WithoutCancel(ctx), err)
			}
		}
	}
	return j.outcome(ctx, j.rec.err())
}

// step does what the phase asks for, and enters the next.
func (j *job) step(ctx context.Context) error {
	switch j.rec.Phase {
	case Planned:
		return j.quote(ctx)
	case Quoted:
		return j.agree(ctx)
	case Agreed:
		return j.sign(ctx)
	case Signed, Submitted:
		return j.land(ctx)
	case Locked:
		return j.notify(ctx)
	}
	return j.follow(ctx)
}

// enter records that a phase is entered.
func (j *job) enter(ctx context.Context, p Phase, message string) error {
	before, at := j.rec.Phase, j.rec.At[p]
	j.rec.Phase, j.rec.At[p] = p, time.Now().UnixMilli()
	if err := j.save(ctx); err != nil {
		j.rec.Phase, j.rec.At[p] = before, at
		return err
	}
	e := Event{Entered: true, Message: message}
	if j.tx != nil && (p == Agreed || p == Signed || p == Submitted || p == Locked) {
		id := j.tx.ID()
		e.Tx = &id
	}
	j.r.Log.Info("requester: phase", "id", j.rec.ID, "phase", p, "message", message)
	j.tell(e)
	return nil
}

func (j *job) save(ctx context.Context) error { return j.r.store.save(ctx, j.rec) }

// tell fills in what all events of the job have in common.
func (j *job) tell(e Event) {
	e.ID, e.Job, e.Phase = j.rec.ID, j.rec.job(), j.rec.Phase
	e.Seconds = float64(time.Now().UnixMilli()-j.rec.Began) / 1000
	j.r.emit(e)
}

// abandon releases everything and ends the job. The opening can never come into the chain.
func (j *job) abandon(ctx context.Context, p Phase, cause error) error {
	j.release(ctx, j.rec.Lots)
	if err := j.r.Purse.Release(ctx, j.purpose()); err != nil {
		return fmt.Errorf("release the coins of job %s: %w", j.rec.ID, err)
	}
	j.rec.setErr(cause)
	j.rec.Done = true
	return j.enter(ctx, p, cause.Error())
}

// release tells providers that nothing comes of their quotes. One that does not hear it waits until they expire.
func (j *job) release(ctx context.Context, lots []lotRecord) {
	each(lots, func(_ int, l lotRecord) {
		if l.Quote == nil {
			return
		}
		call, cancel := context.WithTimeout(ctx, j.r.cfg.CallTime)
		defer cancel()
		if err := j.r.Sellers.Release(call, l.Offer.Peer, l.Reservation); err != nil {
			j.r.Log.Warn("requester: cannot release a quote", "id", j.rec.ID, "provider", l.Offer.Peer, "error", err)
		}
	})
}

// grant lets the providers fetch their inputs, and the attesters too, anew in every process.
func (j *job) grant() {
	if d := j.rec.Spec.Job.Disputes; d != nil {
		for _, root := range append([]market.Hash{j.rec.Program}, j.rec.Inputs...) {
			for _, a := range d.Attesters {
				j.r.Files.Grant(root, a.Peer)
			}
		}
	}
	for _, l := range j.rec.Lots {
		if l.Quote == nil {
			continue
		}
		if !j.rec.Program.IsZero() {
			j.r.Files.Grant(j.rec.Program, l.Offer.Peer)
		}
		for _, s := range l.Shards {
			if int(s) < len(j.rec.Inputs) {
				j.r.Files.Grant(j.rec.Inputs[s], l.Offer.Peer)
			}
		}
	}
}

func (j *job) purpose() string { return "job " + j.rec.ID }

// dir is the job's own directory.
func (j *job) dir(elem ...string) string {
	return filepath.Join(append([]string{j.r.Dir, j.rec.ID}, elem...)...)
}

func shardName(index uint32) string { return "shard-" + strconv.FormatUint(uint64(index), 10) }

// key names a lot on chain.
func (j *job) key(l lotRecord) escrow.Key {
	k, _ := l.Offer.Payment.Key()
	return escrow.Key{Job: plutus.JobID(j.rec.Job), Provider: k}
}

// lots folds every lot of the job, in the record's order.
func (j *job) lots(ctx context.Context) ([]escrow.Lot, error) {
	all := make([]escrow.Lot, len(j.rec.Lots))
	for i, l := range j.rec.Lots {
		var err error
		if all[i], err = j.r.Book.Lot(ctx, j.key(l)); err != nil {
			return nil, fmt.Errorf("lot of %s: %w", l.Offer.Peer, err)
		}
	}
	return all, nil
}

// each runs f for all items at once.
func each[T any](items []T, f func(i int, item T)) {
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i, item)
		}()
	}
	wg.Wait()
}

// wait ends after d, at a change, or with ctx.
func wait(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-changed:
	}
	return nil
}
