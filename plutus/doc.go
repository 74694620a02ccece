// Package plutus is the escrow's contracts as the rest of Tally sees them: the compiled scripts with a network's
// parameters applied, the codecs of everything they read, a draft for every transition, what a block did to the lots,
// and the checks before a party signs. It is pure: transactions in, drafts and events out.
//
// A lot is one provider's part of one job, one output at the stub's address. Its transitions:
//
//	          Open                   Commit                     Dispute
//	∅ ────────────────▶ Open ──────────────────▶ Committed ───────────────▶ Disputed
//	   requester and     │ Approve (requester)     │ Approve (requester)      │ Verdict (attesters)
//	   every provider    │ Redeem (provider)       │ Redeem (provider)        │ Concede (requester)
//	                     │ Decline (provider)      │ Claim (provider)         │ Lapse (anyone)
//	                     │ Refund (anyone)         │                          │
//	                     │ Close (both)            │ Close (both)             │ Close (both)
//	                     ▼                         ▼                          ▼
//	                    done                      done                       done
//
// The policy of the lots' tokens runs in every one of them and checks the whole transaction; the stub, which guards
// the outputs, only sees to it that the policy runs. Both are written in Aiken under contracts/ and compiled into
// plutus.json (deployed) and traced.json (the same with a trace before every check, run locally to name a failure).
package plutus
