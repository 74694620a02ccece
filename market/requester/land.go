package requester

import (
	"context"
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// land gets the signed opening into the chain: the same bytes again and again until they are as deep as wanted, or can
// never come.
func (j *job) land(ctx context.Context) error {
	var last error
	submitted := chain.Slot(0)
	for {
		changed := j.r.Book.Changed()
		depth, err := j.r.Blocks.Confirmations(ctx, j.tx.ID())
		if err != nil {
			return fmt.Errorf("look for %s: %w", j.tx.ID(), err)
		}
		if depth > 0 && j.rec.Phase == Signed {
			return j.enter(ctx, Submitted, "")
		}
		if depth >= j.r.cfg.Confirmations {
			return j.locked(ctx, depth)
		}
		if tip := j.r.Book.Tip(); depth == 0 && (tip != submitted || last != nil || j.rec.Phase == Signed) {
			submitted = tip
			if last = j.r.Ledger.Submit(ctx, j.rec.Tx); last == nil && j.rec.Phase == Signed {
				return j.enter(ctx, Submitted, "")
			}
		}
		if err := j.expired(ctx, depth > 0, last); err != nil {
			return err
		}
		if err := wait(ctx, j.r.cfg.Poll, changed); err != nil {
			return err
		}
	}
}

// locked checks in the book that every lot is what was agreed.
func (j *job) locked(ctx context.Context, depth uint64) error {
	lots, err := j.lots(ctx)
	if err != nil {
		return err
	}
	for i, l := range lots {
		if l.Status == escrow.Absent || !l.Mine(j.r.key) || l.PriceUNTX != j.terms.Lots[i].PriceUNTX {
			return fmt.Errorf("the lot of %s is %s with %d µNTX: %w", j.rec.Lots[i].Offer.Peer, l.Status, l.PriceUNTX, escrow.ErrNotMine)
		}
	}
	return j.enter(ctx, Locked, fmt.Sprintf("confirmations: %d", depth))
}

// expired ends the job if the opening is not in the chain and cannot come into it any more: its validity ended so long
// ago that the book would show it.
func (j *job) expired(ctx context.Context, there bool, cause error) error {
	now, err := j.r.now(ctx)
	if err != nil {
		return err
	}
	if there || now <= j.terms.LockUntil+chain.Time(j.r.cfg.LockMargin.Milliseconds()) {
		return nil
	}
	if cause != nil {
		return fmt.Errorf("%w: the node's last word was: %w", ErrLockExpired, cause)
	}
	return fmt.Errorf("%w: no block took it", ErrLockExpired)
}

// notify tells the providers which transaction to look for. They see it on chain all the same.
func (j *job) notify(ctx context.Context) error {
	each(j.rec.Lots, func(_ int, l lotRecord) {
		call, cancel := context.WithTimeout(ctx, j.r.cfg.CallTime)
		defer cancel()
		m := market.Locked{Reservation: l.Reservation, Job: j.rec.Job, Tx: j.tx.ID()}
		if err := j.r.Workers.Locked(call, l.Offer.Peer, m); err != nil {
			j.r.Log.Debug("requester: a provider did not hear of the lock", "id", j.rec.ID, "provider", l.Offer.Peer, "error", err)
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return j.enter(ctx, Sent, "")
}
