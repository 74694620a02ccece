package escrow

import (
	"context"
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// draft is the transaction of a batch.
func (a *Actor) draft(ctx context.Context, b *batch, tip chain.Slot, clock chain.Clock) (chain.Draft, error) {
	terms := b.lots[0].Terms
	frame, err := a.frame(ctx, b.kind, b.lots[0], tip, clock)
	if err != nil {
		return chain.Draft{}, err
	}
	if b.lots[0].Status == Sliced {
		return a.sliceDraft(ctx, b, frame, clock)
	}
	held := make([]plutus.Lot, len(b.lots))
	for i, l := range b.lots {
		u, err := a.held(ctx, l)
		if err != nil {
			return chain.Draft{}, err
		}
		if held[i], err = a.Contracts.ReadLot(u, l.Terms); err != nil {
			return chain.Draft{}, fmt.Errorf("lot %s: %w", l.Key, err)
		}
	}
	facts := b.facts[0]
	switch b.kind {
	case KindApprove:
		return a.Contracts.Approve(held, terms, frame)
	case KindClaim:
		return a.Contracts.Claim(held, frame)
	case KindRefund:
		return a.Contracts.Refund(held, terms, frame)
	case KindCommit:
		return a.Contracts.Commit(held[0], terms, *facts.Result, plutus.ClaimAt(terms, frame.Until, clock), frame)
	case KindDecline:
		return a.Contracts.Decline(held[0], terms, frame)
	case KindRedeem:
		earned := make([]plutus.Earned, len(held))
		for i, l := range held {
			earned[i] = plutus.Earned{Lot: l, Terms: b.lots[i].Terms, Voucher: *b.facts[i].Voucher}
		}
		return a.Contracts.Redeem(earned, frame)
	case KindDispute:
		return a.Contracts.Dispute(held[0], terms, plutus.Deadline(terms, frame.Until, clock), frame)
	case KindVerdict:
		stakes, err := a.Book.Stakes(ctx, a.Contracts, b.lots[0].Key.Provider)
		if err != nil {
			return chain.Draft{}, fmt.Errorf("stakes of %s: %w", b.lots[0].Key.Provider, err)
		}
		return a.Contracts.Verdict(held[0], terms, *facts.Verdict, frame, stakes...)
	case KindConcede:
		return a.Contracts.Concede(held[0], terms, frame)
	case KindLapse:
		return a.Contracts.Lapse(held[0], terms, frame)
	}
	return chain.Draft{}, fmt.Errorf("%s: %w", b.kind, ErrTransition)
}

// held is the output that a lot is in.
func (a *Actor) held(ctx context.Context, l Lot) (chain.UTxO, error) {
	u, ok, err := a.Book.Held(ctx, l.Ref)
	if err == nil && !ok {
		err = fmt.Errorf("lot %s: its output %s is not there: %w", l.Key, l.Ref, ErrTransition)
	}
	return u, err
}

// frame is the validity range of a transition: from the tip on, as long as allowed, before any deadline.
func (a *Actor) frame(ctx context.Context, k Kind, l Lot, tip chain.Slot, clock chain.Clock) (plutus.Frame, error) {
	length := min(chain.Time(a.Validity.Milliseconds()), chain.Time(a.Contracts.Params.MaxRangeMS))
	end := clock.SlotToTime(tip) + length
	switch k {
	case KindCommit, KindLeave:
		end = min(end, l.Terms.CommitBy)
	case KindFinish:
		if clock.SlotToTime(tip) < l.Terms.CommitBy {
			end = min(end, l.Terms.CommitBy-chain.Time(a.Contracts.Params.MarginMS))
		}
	case KindDecline:
		end = min(end, l.Terms.DeclineBy)
	case KindDispute:
		end = min(end, l.ClaimAt)
	case KindVerdict:
		end = min(end, l.Deadline)
	}
	until, err := clock.TimeToSlot(end)
	if err != nil {
		return plutus.Frame{}, fmt.Errorf("validity of %s: %w", k, err)
	}
	if until <= tip {
		return plutus.Frame{}, fmt.Errorf("%s: its deadline has passed: %w", k, ErrTransition)
	}
	refs, err := a.Book.References(ctx)
	if err != nil {
		return plutus.Frame{}, fmt.Errorf("published scripts: %w", err)
	}
	return plutus.Frame{From: tip, Until: until, References: refs}, nil
}
