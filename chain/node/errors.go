package node

import (
	"errors"

	"github.com/tallycompute/tally/chain"
)

// Sentinel kinds of this package's errors.
var (
	// ErrUnreachable is a node that cannot be reached: no socket, nobody listening, or not a node.
	ErrUnreachable = errors.New("node unreachable")
	// ErrWrongNetwork is a node of another network than the one asked for.
	ErrWrongNetwork = errors.New("wrong network")
	// ErrConnection is a connection that broke, or an answer that did not come in time. After Submit the outcome is
	// unknown: submitting the same bytes again is safe.
	ErrConnection = errors.New("connection to the node lost")
	// ErrRejected is a transaction that the node's ledger refused; the text carries its reason.
	ErrRejected = chain.ErrRejected
	// ErrNoIntersection is a chain that has none of the points given.
	ErrNoIntersection = chain.ErrNoIntersection
	// ErrUnexpected is an answer that this package does not understand.
	ErrUnexpected = errors.New("unexpected answer from the node")
	// ErrClosed is a Node used after Close.
	ErrClosed = errors.New("node closed")
)
