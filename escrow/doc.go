// Package escrow is the life of one lot: a provider's paid part of one job, on chain one UTxO at a time.
//
// The states and the transitions between them carry the names they have on chain:
//
//	          Open            Commit                  Dispute
//	Absent ─────────▶ Open ───────────▶ Committed ───────────────▶ Disputed
//	                   │                    │                          │
//	                   ├──── Approve ───────┼─▶ Approved               ├─ Verdict ─▶ Judged
//	                   ├──── Redeem ────────┼─▶ Redeemed               ├─ Concede ─▶ Conceded
//	                   ├──── Close ─────────┼─▶ Closed ◀──── Close ────┤
//	                   │                    └─ Claim ──▶ Claimed       └─ Lapse ───▶ Lapsed
//	                   ├──── Decline ──▶ Declined
//	                   └──── Refund ───▶ Refunded
//
// Up to thirty lots of one job may begin in one output, a slice, and leave it one by one:
//
//	        Start            Leave
//	Absent ───────▶ Sliced ─────────▶ Open, Committed; Sliced, if others leave
//	                  ├─── Settle ──▶ Approved
//	                  ├─── Finish ──▶ Approved, Open
//	                  └── Dissolve ─▶ Refunded
//
// A lot's state is a fold of [Step] over the events that the index found in blocks, so a rollback truncates the events
// and folds again. What a party has to do next is never remembered: [Due] derives it from the state, from what the
// party itself knows ([Facts]) and from the time. An [Actor] does what is due and submits; submitting changes no
// state, only a block does.
package escrow
