package escrow

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// dueShare is what a provider does with its lot in a slice: it leaves when its turn comes, so that those with a place
// after its own still have time. Whoever leaves takes no turn from them.
func dueShare(l Lot, f Facts, p Policy, now chain.Time) (Kind, chain.Time) {
	t := l.Terms
	turn := chain.Time(p.LeaveStep) * chain.Time(l.Place.Of-l.Place.Index)
	switch {
	case now >= t.CommitBy:
		return at(KindDissolve, t.CommitBy+chain.Time(p.Grace), now)
	case f.Result != nil || f.Voucher != nil:
		return at(KindLeave, t.CommitBy-chain.Time(p.CommitLead)-turn, now)
	case !f.InputsReady && now < t.DeclineBy: // which is for a lot of its own
		return at(KindLeave, t.DeclineBy-chain.Time(p.DeclineLead)-turn, now)
	}
	return "", t.CommitBy
}

// DueSlice is Due for a requester and all the lots of one slice, with what it knows of each. In the last marginMS before
// commit_by the contracts let it make no lots.
func DueSlice(lots []Lot, facts []Facts, p Policy, marginMS uint64, now chain.Time) (Kind, chain.Time) {
	verified, unknown := 0, 0
	for _, f := range facts {
		switch {
		case f.Verified:
			verified++
		case !f.Faulty && !f.Apart:
			unknown++
		}
	}
	by := lots[0].Terms.CommitBy
	switch {
	case verified == len(lots):
		return KindSettle, 0
	case verified == 0:
		return at(KindDissolve, by, now)
	case now >= by-chain.Time(marginMS):
		return at(KindFinish, by, now)
	case unknown == 0:
		return KindFinish, 0
	}
	return at(KindFinish, by-p.meets(len(lots))-chain.Time(p.LeaveStep), now)
}

// leastShares is from how many providers on slices cost less than lots, even if every third job has a provider that fails.
const leastShares = 4

// Slices says whether a job of these terms is better opened in slices than in lots, as far as terms say: there are enough
// providers with turns, and neither vouchers, which are redeemed from lots, nor disputes, for which each lot is committed.
func (p Policy) Slices(t market.Terms) bool {
	return p.LeaveStep > 0 && len(t.Lots) >= leastShares && t.VoucherEvery == 0 && t.Disputes == nil && p.RoomForSlices(t)
}

// RoomForSlices says whether all providers of a slice have a turn to leave it: after the time for inputs and before
// decline_by, and after the time for the program, the requester's finish and the meetings, and before commit_by.
func (p Policy) RoomForSlices(t market.Terms) bool {
	most := min(len(t.Lots), plutus.MaxShares)
	turns := chain.Time(p.LeaveStep) * chain.Time(most)
	start := t.Timeouts.Start.After(t.LockUntil)
	run := t.Timeouts.Run.After(start)
	return start+turns+chain.Time(p.DeclineLead) <= t.DeclineBy &&
		run+chain.Time(p.LeaveStep)+p.meets(most) <= t.CommitBy
}

// SliceOf puts a slice together from the lots of its job and the output that they are in.
func SliceOf(c *plutus.Contracts, job []Lot, held chain.UTxO) (plutus.Slice, error) {
	job = slices.DeleteFunc(slices.Clone(job), func(l Lot) bool { return l.Status != Sliced || l.Ref != held.Ref })
	if len(job) == 0 {
		return plutus.Slice{}, fmt.Errorf("no lot is in %s: %w", held.Ref, ErrTransition)
	}
	slices.SortFunc(job, func(a, b Lot) int { return bytes.Compare(a.Key.Provider[:], b.Key.Provider[:]) })
	shares := make([]plutus.Share, len(job))
	for i, l := range job {
		shares[i] = plutus.Share{Provider: l.Address, PriceUNTX: l.PriceUNTX, BondUNTX: l.BondUNTX}
	}
	return c.ReadSlice(held, job[0].Terms, shares)
}

// slices are those that hold the lots of a batch.
func (a *Actor) slices(ctx context.Context, b *batch) (all []plutus.Slice, terms []plutus.Terms, err error) {
	for _, l := range b.outputs() {
		job, err := a.Book.JobLots(ctx, l.Key.Job)
		if err != nil {
			return nil, nil, err
		}
		u, err := a.held(ctx, l)
		if err != nil {
			return nil, nil, err
		}
		s, err := SliceOf(a.Contracts, job, u)
		if err != nil {
			return nil, nil, err
		}
		all, terms = append(all, s), append(terms, l.Terms)
	}
	return all, terms, nil
}

// sliceDraft is the transaction of a batch of lots in slices.
func (a *Actor) sliceDraft(ctx context.Context, b *batch, f plutus.Frame, clock chain.Clock) (chain.Draft, error) {
	of, terms, err := a.slices(ctx, b)
	if err != nil {
		return chain.Draft{}, err
	}
	s, t := of[0], terms[0]
	switch b.kind {
	case KindSettle:
		return a.Contracts.Settle(of, terms, f)
	case KindDissolve:
		return a.Contracts.Dissolve(s, t, f)
	case KindFinish:
		var unpaid []int
		for i, l := range b.lots {
			if !b.facts[i].Verified {
				unpaid = append(unpaid, l.Place.Index)
			}
		}
		return a.Contracts.Finish(s, t, unpaid, f)
	}
	var leavers []plutus.Leaver
	for i, l := range b.lots {
		x := plutus.Leaver{Index: l.Place.Index}
		if r := b.facts[i].Result; r != nil {
			x.Root = *r
		}
		leavers = append(leavers, x)
	}
	return a.Contracts.Leave(s, t, leavers, plutus.ClaimAt(t, f.Until, clock), f)
}
