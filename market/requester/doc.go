// Package requester buys: it takes a job file through the market to its results. Each arrow below is one transaction on
// the requester's database that stores all that going on needs, so that a job that was killed anywhere is resumed from
// the last one:
//
//	planned ─▶ quoted ─▶ agreed ─▶ signed ─▶ submitted ─▶ locked ─▶ sent ─▶ running ─▶ gathered ─▶ approved ─▶ settled
//	    └─────────┴─────────┴─ failed, cancelled: all is released, nothing was signed              │
//	                                   └───────────┴─ failed: the opening never came               │
//	                                                             └─────────┴─ failed: refunds follow, then settled
//
// Nothing of the requester's moves before it has signed, and it signs last, after every provider. What the chain owes
// or is owed is never stored here: it is the fold in package escrow, and the escrow's actor, which runs beside this
// package, approves what Facts says is verified and refunds the rest when it is due.
package requester
