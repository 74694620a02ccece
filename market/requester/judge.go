package requester

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// judge decides whether there is a result by now: enough good lots, and nothing more worth waiting for.
func (f *follower) judge(ctx context.Context, lots []escrow.Lot, now chain.Time) error {
	good, hoped, waiting := uint32(0), uint32(0), 0
	for i, l := range f.rec.Lots {
		n := uint32(len(l.Shards))
		switch {
		case l.Good && l.StoodBy: // it is no part of the result
		case l.Good:
			good += n
		case f.decided(i, lots[i], now):
		default:
			hoped += n
			if !f.hopeless(i) {
				waiting++
			}
		}
	}
	least, all := f.rec.Spec.Job.Shards.Min, f.rec.Spec.Job.Shards.Count
	if f.terms.Task.Collective && f.terms.Task.Least == 0 {
		least = all
	}
	switch {
	case good+hoped < least:
		return f.fail(ctx, f.failure(good))
	case good < least || waiting > 0:
		return nil
	}
	if f.terms.Task.Spares > 0 {
		var err error
		if good, err = f.seats(); err != nil {
			return f.fail(ctx, fmt.Errorf("%w: %w", ErrJobFailed, err))
		} else if good < least {
			return f.fail(ctx, f.failure(good))
		}
	}
	if f.terms.Task.Collective {
		if err := f.verifyTraining(); err != nil {
			return f.fail(ctx, fmt.Errorf("%w: %w", ErrJobFailed, err))
		}
	}
	return f.gather(ctx, good)
}

// decided says that lot i will not become good any more.
func (f *follower) decided(i int, l escrow.Lot, now chain.Time) bool {
	switch l.Status {
	case escrow.Refunded, escrow.Declined:
		return true
	case escrow.Open, escrow.Sliced:
		return f.rec.Lots[i].Result != nil || now >= l.Terms.CommitBy
	}
	return f.rec.Lots[i].Result != nil || f.hopeless(i) // it has a result, or had: its provider may yet hand it over
}

// hopeless says that lot i is not waited for where others are enough. It may still come.
func (f *follower) hopeless(i int) bool {
	since := f.trouble[i]
	if since.IsZero() {
		since = f.final[i]
	}
	return !since.IsZero() && time.Since(since) >= f.r.cfg.Unreachable
}

// failure says why there is no result.
func (f *follower) failure(good uint32) error {
	count, least := f.rec.Spec.Job.Shards.Count, f.rec.Spec.Job.Shards.Min
	switch x := f.rec.Failure; {
	case x != nil:
		return fmt.Errorf("%w: shard %d ended with exit code %d: %s", ErrJobFailed, x.Shard, x.ExitCode, x.Message)
	case good > 0:
		return fmt.Errorf("%w: %d of %d shards delivered, at least %d were wanted", ErrJobFailed, good, count, least)
	}
	return fmt.Errorf("%w: no provider delivered", ErrRefunded)
}

// fail records that there will be no result. The lots are still to be settled.
func (f *follower) fail(ctx context.Context, cause error) error {
	f.rec.setErr(cause)
	if f.terms.Task.Collective {
		for i := range f.rec.Lots {
			if l := &f.rec.Lots[i]; l.Good && l.Rejected == "" {
				l.Rejected = cause.Error()
			}
		}
	}
	return f.enter(ctx, Failed, cause.Error())
}

// acceptGood pays those who delivered although others did not. The shards of a collective stand or fall together.
func (f *follower) acceptGood(ctx context.Context) error {
	if f.terms.Task.Collective || f.rec.Spec.Job.Waits() {
		return nil
	}
	accepted := false
	for i := range f.rec.Lots {
		if l := &f.rec.Lots[i]; l.Good && !l.Accepted {
			l.Accepted, accepted = true, true
		}
	}
	if !accepted {
		return nil
	}
	return f.save(ctx)
}

// late gathers anew when a result came that was no longer waited for.
func (f *follower) late(ctx context.Context, lots []escrow.Lot) error {
	good, more := uint32(0), false
	if f.terms.Task.Spares > 0 {
		if _, err := f.seats(); err != nil {
			return nil // what came late casts doubt on what was approved
		}
	}
	for i, l := range f.rec.Lots {
		if l.Good && (l.Accepted || lots[i].Status != escrow.Refunded && lots[i].Status != escrow.Declined) {
			if !l.StoodBy {
				good += uint32(len(l.Shards))
			}
			more = more || !l.Joined
		}
	}
	if !more {
		return nil
	}
	return f.gather(ctx, good)
}

// gather joins the good lots' outputs and accepts them, in one step of the record.
func (f *follower) gather(ctx context.Context, good uint32) error {
	if err := f.gatherOutputs(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		err = fmt.Errorf("%w: the shards' outputs are in %s, but cannot be gathered: %w", ErrJobFailed, f.dir("outputs"), err)
		return f.fail(ctx, err)
	}
	for i := range f.rec.Lots {
		l := &f.rec.Lots[i]
		if l.Joined = l.Good; !f.rec.Spec.Job.Waits() {
			l.Accepted = l.Good
		}
	}
	f.rec.Note = f.note(good)
	if f.rec.Phase == Approved || f.rec.Phase == Gathered {
		f.tell(Event{Message: "a late result was added"})
		return f.save(ctx)
	}
	message := f.rec.Note
	if f.rec.Spec.Job.Verify == market.VerifyReview {
		message = strings.TrimPrefix(message+"; every lot waits for tally approve or tally dispute", "; ")
	} else if f.rec.Spec.Job.AuditBps > 0 {
		message = strings.TrimPrefix(message+"; lots are approved when they are committed and what is drawn of them was run again", "; ")
	}
	return f.enter(ctx, Gathered, message)
}
