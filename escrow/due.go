package escrow

import (
	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// Role is the side from which a party looks at a lot.
type Role uint8

// The parties to a lot.
const (
	Requester Role = iota
	Provider
)

// Facts is what a party knows that the chain does not.
type Facts struct {
	InputsReady bool       // provider: every input has arrived and its hash is right
	Result      *[32]byte  // provider: root of the signed result; nil: none yet
	ResultAt    chain.Time // provider: when the result was signed
	Verified    bool       // requester: the result was fetched and is accepted
	Faulty      bool       // requester: what was committed is not the result that is due
	Apart       bool       // requester: others in its slice do not wait for this lot

	Voucher *plutus.Voucher // provider: the last one, verified; nil: none
	Verdict *plutus.Verdict // of the attesters, on the lot as it is now; nil: none yet
	Concede bool            // requester: it gives up the dispute
}

// Policy is when a party acts within what the terms allow. All in milliseconds.
type Policy struct {
	DeclineLead int64 // a provider without its inputs declines this long before decline_by
	CommitLead  int64 // a provider whose result is not paid commits at the latest this long before commit_by
	Patience    int64 // and at the earliest this long after its result was signed; at once where there are disputes
	LeaveStep   int64 // between the turns of those who leave a slice: what a transaction takes to get into a block
	Meeting     int64 // for those who leave a slice to do so together, before the turns; 0: everybody leaves alone
	Grace       int64 // what is the other side's to do is done in its place this long after it could have been
}

// Due says which transition the party should make at time now (empty: none), and when to ask again if nothing happens
// before that (0: only something new can change the answer). What a requester does with a lot in a slice it does with all
// of them: see DueSlice.
func Due(r Role, l Lot, f Facts, p Policy, now chain.Time) (Kind, chain.Time) {
	switch {
	case l.Status == Sliced && r == Provider:
		return dueShare(l, f, p, now)
	case l.Status == Sliced:
		return DueSlice([]Lot{l}, []Facts{f}, p, 0, now)
	case l.Status == Disputed:
		return dueDisputed(r, l, f, p, now)
	case r == Requester:
		return dueRequester(l, f, now)
	}
	return dueProvider(l, f, p, now)
}

// contested says whether there can be disputes over a lot. Then nothing is approved that is not committed: a provider that
// could tell that its result was found wrong would not commit it, and lose the penalty at most.
func contested(l Lot) bool { return l.Terms.Disputes != plutus.Disputes{} }

func dueRequester(l Lot, f Facts, now chain.Time) (Kind, chain.Time) {
	switch {
	case l.Status == Open && f.Verified && !contested(l):
		return KindApprove, 0
	case l.Status == Open:
		return at(KindRefund, l.Terms.CommitBy, now)
	case l.Status != Committed:
		return "", 0
	case f.Verified:
		return KindApprove, 0
	case f.Faulty && contested(l) && now < l.ClaimAt:
		return KindDispute, 0
	}
	return "", 0
}

func dueProvider(l Lot, f Facts, p Policy, now chain.Time) (Kind, chain.Time) {
	t := l.Terms
	last := t.CommitBy - chain.Time(p.CommitLead)
	switch {
	case l.Status == Committed:
		return at(KindClaim, l.ClaimAt, now)
	case l.Status != Open:
		return "", 0
	case f.Voucher != nil && (f.Result == nil || now >= t.CommitBy): // also too late, as long as nobody has refunded
		return at(KindRedeem, last, now)
	case now >= t.CommitBy:
		return at(KindRefund, t.CommitBy+chain.Time(p.Grace), now)
	case f.Result != nil && contested(l):
		return KindCommit, 0
	case f.Result != nil:
		return at(KindCommit, min(f.ResultAt+chain.Time(p.Patience), last), now)
	case !f.InputsReady && now < t.DeclineBy:
		return at(KindDecline, t.DeclineBy-chain.Time(p.DeclineLead), now)
	}
	return "", t.CommitBy
}

// dueDisputed: a verdict until the deadline, then the split without one, which is the provider's to bring about.
func dueDisputed(r Role, l Lot, f Facts, p Policy, now chain.Time) (Kind, chain.Time) {
	when := l.Deadline
	if r == Requester {
		when += chain.Time(p.Grace)
	}
	switch {
	case r == Requester && f.Concede:
		return KindConcede, 0
	case f.Verdict != nil && now < l.Deadline:
		return KindVerdict, 0
	}
	return at(KindLapse, when, now)
}

// at is k once its time has come, and before that nothing until then.
func at(k Kind, when, now chain.Time) (Kind, chain.Time) {
	if now >= when {
		return k, 0
	}
	return "", when
}
