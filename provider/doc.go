// Package provider sells this machine: it answers requests for quotes, witnesses openings that pass every check, runs
// the shards of the lots it won, signs their results, and sees to it that it is paid.
//
// A job's way through a provider; each arrow is one transaction on the daemon's database, so that a daemon that is
// killed anywhere goes on from the last one:
//
//	Quote ─▶ reserved ─Witness─▶ witnessed ─lock on chain─▶ inputs ─▶ containers ─▶ signed result ─▶ paid
//	            │                    │                        │
//	         expires            lock expires               declines
//
// What the chain owes or is owed is never stored here: it is the fold in package escrow, and the escrow's actor does
// what is due.
package provider
