// Package market holds what requester and provider say to each other, pure: the job file, signed offers, matching,
// the terms of a job, the messages that lead to them and the results that follow. No I/O, no clock, no keys kept.
//
//	requester                                                                   provider
//	job.yaml ─ParseJob→ Job ─Needs→ ┐                                   ┌── Offer ─SignOffer→ DHT
//	DHT ─OpenOffer→ []Offer ────────┴─Match→ Plan (chosen, rejected and why, relaxations)
//	     QuoteRequest ──────────────────────────────────────────────────→ admission
//	     OpenQuote ←──────────────────── Quote (signed, firm, bond input named) or Refusal
//	Terms (all lots, all shards; Hash is the packed terms' `rest`)
//	     TermsProposal (Terms, unsigned transaction) ───────────────────→ checks every byte
//	     adds it to the body ←─────────────────────── Witness or Refusal
//	transaction on chain ─ Locked ──────────────────────────────────────→ sees the lock on chain, starts
//	     StatusRequest ─────────────────────────────────────────────────→
//	     ←──────────────────────────────────────────────────── JobStatus
//	     OpenResult ←────────────────────────────── Result (signed; its Root is what Commit puts on chain)
//	GatherPlan → outputs in shard order
//	     Receipt (countersigns the Result) ─────────────────────────────→ OpenReceipt
//
// # Wire format
//
// Each document is one CBOR map in core deterministic encoding and has a size limit that is checked before it is
// decoded; anything not in that one form is refused. What is signed is a domain such as "tally/offer/1" followed by the
// document's bytes. Documents carry a version:
//
//   - 1: the first.
package market
