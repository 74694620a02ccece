package escrow

import "github.com/tallycompute/tally/chain"

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
}

// Policy is when a party acts within what the terms allow. All in milliseconds.
type Policy struct {
	DeclineLead int64 // a provider without its inputs declines this long before decline_by
	CommitLead  int64 // a provider whose result is not paid commits at the latest this long before commit_by
	Patience    int64 // and at the earliest this long after its result was signed
	Grace       int64 // the provider refunds, in place of an absent requester, this long after commit_by
}

// Due says which transition the party should make at time now (empty: none), and when to ask again if nothing happens
// before that (0: only something new can change the answer).
func Due(r Role, l Lot, f Facts, p Policy, now chain.Time) (Kind, chain.Time) {
	if r == Requester {
		return dueRequester(l, f, now)
	}
	return dueProvider(l, f, p, now)
}

func dueRequester(l Lot, f Facts, now chain.Time) (Kind, chain.Time) {
	switch l.Status {
	case Open:
		if f.Verified {
			return KindApprove, 0
		}
		return at(KindRefund, l.Terms.CommitBy, now)
	case Committed:
		if f.Verified {
			return KindApprove, 0
		}
	}
	return "", 0
}

func dueProvider(l Lot, f Facts, p Policy, now chain.Time) (Kind, chain.Time) {
	t := l.Terms
	switch {
	case l.Status == Committed:
		return at(KindClaim, l.ClaimAt, now)
	case l.Status != Open:
		return "", 0
	case now >= t.CommitBy:
		return at(KindRefund, t.CommitBy+chain.Time(p.Grace), now)
	case f.Result != nil:
		when := min(f.ResultAt+chain.Time(p.Patience), t.CommitBy-chain.Time(p.CommitLead))
		return at(KindCommit, when, now)
	case !f.InputsReady && now < t.DeclineBy:
		return at(KindDecline, t.DeclineBy-chain.Time(p.DeclineLead), now)
	}
	return "", t.CommitBy
}

// at is k once its time has come, and before that nothing until then.
func at(k Kind, when, now chain.Time) (Kind, chain.Time) {
	if now >= when {
		return k, 0
	}
	return "", when
}
