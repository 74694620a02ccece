// Package wire stands between the node's socket and the node, at local-tx-submission only. What dingo decides before its
// ledger rules run reaches the submitter as a made-up "InputSetEmpty", and bytes after a transaction do not reach the
// rules at all; so a gate reads each submission first, and answers a refused one itself, with the reason. The node
// never sees it. Everything else passes through untouched.
package wire
