package collective

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Kinds of error. Everything this package returns wraps one of them.
var (
	// ErrView: the view is not one this host can join.
	ErrView = errors.New("bad view")
	// ErrArgument: the caller's buffers or options cannot be used. The group goes on.
	ErrArgument = errors.New("bad argument")
	// ErrValue: a value has no place in the wire format that was asked for.
	ErrValue = errors.New("value cannot travel")
	// ErrMismatch: two ranks are in different operations, or joined different views.
	ErrMismatch = errors.New("ranks disagree")
	// ErrLost: a peer left, died or fell silent.
	ErrLost = errors.New("peer lost")
	// ErrTimeout: a wait passed its limit.
	ErrTimeout = errors.New("timed out")
	// ErrPath: two ranks reach each other in no way that passes what the job does.
	ErrPath = errors.New("no path")
	// ErrAborted: this rank, or the one named, gave up.
	ErrAborted = errors.New("aborted")
	// ErrFrame: a peer or a container sent bytes that are no frame of this protocol.
	ErrFrame = errors.New("malformed frame")
	// ErrOver: the circle has come to its end, and this host was not in it.
	ErrOver = errors.New("over without this rank")
	// ErrClosed: the group or the service is closed.
	ErrClosed = errors.New("closed")
	// ErrGuest: the container left without a goodbye or broke the gate's protocol.
	ErrGuest = errors.New("container")
	// ErrUnsupported: this operating system has no sealed shared memory.
	ErrUnsupported = errors.New("unsupported on this system")
)

// A PeerError blames one rank. Kind is one of the package's sentinels.
type PeerError struct {
	Rank int
	Peer peer.ID
	Kind error
	Text string
}

// Error names the rank, its peer and what went wrong.
func (e *PeerError) Error() string {
	return fmt.Sprintf("%v: rank %d (%s): %s", e.Kind, e.Rank, e.Peer, e.Text)
}

// Unwrap gives the kind.
func (e *PeerError) Unwrap() error { return e.Kind }
