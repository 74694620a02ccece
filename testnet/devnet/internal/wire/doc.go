// Package wire stands between the node's socket and the node, at two places where dingo cannot be told otherwise. What it
// decides before its ledger rules run reaches a submitter as a made-up "InputSetEmpty", and bytes after a transaction do
// not reach the rules at all: a gate reads each submission first and answers a refused one itself, with the reason; the
// node never sees it. And dingo's era history ends with the epoch under way: the gate puts in the ledger's horizon.
// Everything else passes through untouched. Between two nodes it makes a connection one-way.
package wire
