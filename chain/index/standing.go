package index

// Standing is how sure it is that what a transaction did stays done.
type Standing string

// The standings, in their order.
const (
	Pending   Standing = "pending"   // in no block, or in one that is not deep enough for the policy
	Confirmed Standing = "confirmed" // as deep as the policy asks; a rollback can still take it back
	Settled   Standing = "settled"   // deeper than K: no rollback of this chain reaches it
)

// Standing of what has so many confirmations under a policy that takes wanted of them, at least one, for enough.
func (ix *Index) Standing(confirmations, wanted uint64) Standing {
	return StandingOf(confirmations, wanted, uint64(ix.cfg.K))
}

// StandingOf is the standing on a chain that can roll back k blocks.
func StandingOf(confirmations, wanted, k uint64) Standing {
	switch {
	case confirmations > k:
		return Settled
	case confirmations > 0 && confirmations >= wanted:
		return Confirmed
	}
	return Pending
}
