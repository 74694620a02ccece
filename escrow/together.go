package escrow

import (
	"context"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// callers is how many of a slice call the others together before the turns begin, one after the other: one of them may be
// gone. Who they are depends on the job, as the caller pays.
const callers = 3

// callsAs is in which place of the callers, from 0 on, a lot's provider comes.
func (l Lot) callsAs() int {
	return (l.Place.Index + int(l.Key.Job[len(l.Key.Job)-1])) % l.Place.Of
}

// Meeting is what leaving a slice with others takes.
type Meeting struct {
	Fellows Fellows
	Purse   SharedPurse
}

// SharedPurse pays, as a Purse does, for what others sign first: then it is for Sign, or for Drop, which gives the coins
// back.
type SharedPurse interface {
	Prepare(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error)
	Sign(tx *chain.Tx) error
	Drop(ctx context.Context, tx chain.TxID, purpose string) error
}

// Fellows are the other providers of a slice, asked over the network.
type Fellows interface {
	// Invite asks others, who are in the slice that l is in, whether they leave it with l. It gives those who do.
	Invite(ctx context.Context, l Lot, others []Lot) []Guest
	// Witness has guests sign a transaction, and adds every signature that holds. It gives those who signed.
	Witness(ctx context.Context, l Lot, guests []Guest, tx *chain.Tx) []Guest
}

// Guest is a lot that leaves a slice in another one's transaction.
type Guest struct {
	Lot  Lot
	Root *[32]byte // of its result; nil: it leaves without
}

// meets is how long before commit_by the first meeting of a slice of n is.
func (p Policy) meets(n int) chain.Time {
	return chain.Time(p.CommitLead + p.LeaveStep*int64(n) + callers*p.Meeting)
}

// gathers says whether it is for the provider of l to call the others of its slice together now: before its own turn,
// which it does not need to wait for then.
func gathers(l Lot, f Facts, p Policy, now chain.Time) bool {
	if l.Place.Of < 2 || l.callsAs() >= callers || !Joins(l, f, p, now) {
		return false
	}
	return now >= l.Terms.CommitBy-p.meets(l.Place.Of)+chain.Time(p.Meeting)*chain.Time(l.callsAs())
}

// Joins says whether the provider of l leaves its slice now if another one takes it along: it has something to be paid
// for, and the requester has had its time. What it is to decline it leaves in its turn.
func Joins(l Lot, f Facts, p Policy, now chain.Time) bool {
	return l.Status == Sliced && p.Meeting > 0 && (f.Result != nil || f.Voucher != nil) &&
		now >= l.Terms.CommitBy-p.meets(l.Place.Of) && now < l.Terms.CommitBy
}

// rounds is how often a transaction is built for those who come to a meeting: a second time without those who said that
// they would sign, and did not.
const rounds = 2

// gather leaves a slice with all others in it who want to, for one fee, which the caller pays. If nobody comes, it has
// cost nothing, and everybody leaves in turn.
func (a *Actor) gather(ctx context.Context, b *batch, tip chain.Slot, clock chain.Clock) error {
	l := b.lots[0]
	a.called[l.Ref] = true
	job, err := a.Book.JobLots(ctx, l.Key.Job)
	if err != nil {
		return fmt.Errorf("lots of the slice %s: %w", l.Ref, err)
	}
	var others []Lot
	for _, o := range job {
		if o.Status == Sliced && o.Ref == l.Ref && o.Key != l.Key {
			others = append(others, o)
		}
	}
	guests := a.Meeting.Fellows.Invite(ctx, l, others)
	for round := 0; round < rounds && len(guests) > 0; {
		signed, err := a.leaveWith(ctx, b, guests, tip, clock)
		switch {
		case tooLarge(err):
			guests = guests[:len(guests)/2] // the next one calls the rest
		case err != nil || len(signed) == len(guests):
			return err
		default:
			guests, round = signed, round+1
		}
	}
	a.Log.Info("escrow: nobody leaves the slice together with this lot", "lot", l.Key, "others", len(others))
	return nil
}

// leaveWith builds the leave of a lot and its guests, and submits it if all of them sign; it gives those who did. Only
// then does the caller sign, so that a transaction that was given up can never get into a block.
func (a *Actor) leaveWith(ctx context.Context, b *batch, guests []Guest, tip chain.Slot, clock chain.Clock) ([]Guest, error) {
	all := &batch{kind: KindLeave, lots: b.lots[:1:1], facts: b.facts[:1:1]}
	for _, g := range guests {
		all.add(g.Lot, Facts{Result: g.Root})
	}
	draft, err := a.draft(ctx, all, tip, clock)
	if err != nil {
		return nil, fmt.Errorf("%s together: %w", b.kind, err)
	}
	tx, err := a.Meeting.Purse.Prepare(ctx, draft, string(KindLeave))
	if err != nil {
		return nil, fmt.Errorf("%s of %d lots: %w", b.kind, len(all.lots), err)
	}
	signed := a.Meeting.Fellows.Witness(ctx, b.lots[0], guests, tx)
	if len(signed) < len(guests) {
		return signed, a.Meeting.Purse.Drop(ctx, tx.ID(), string(KindLeave))
	}
	if err := a.Meeting.Purse.Sign(tx); err != nil {
		return nil, fmt.Errorf("%s: %w", b.kind, err)
	}
	return signed, a.handIn(ctx, all, tx, draft.Until)
}
