package provider

import (
	"errors"
	"fmt"

	"github.com/tallycompute/tally/market"
)

// Sentinel kinds of this package's errors.
var (
	// ErrConfig is a configuration that the daemon cannot work with.
	ErrConfig = errors.New("provider configuration")
	// ErrStore is the daemon's database failing.
	ErrStore = errors.New("provider database")
	// ErrLostPeer is a collective that ended because another rank's machine went away: it can be tried again.
	ErrLostPeer = errors.New("a peer of the collective went away")
	// ErrNotJoined is a collective that this rank could not join, such as for want of a way to another one. It is of no use
	// to try again.
	ErrNotJoined = errors.New("the collective could not be joined")
	// ErrInputs is inputs that cannot be fetched or are not what was agreed.
	ErrInputs = errors.New("inputs")
)

// errNotOurs is what makes a shard impossible and is no fault of this machine: its receipt says so, and is due the
// price like any other result.
var errNotOurs = errors.New("not this provider's fault")

// refuse is a no to a requester.
func refuse(code, format string, args ...any) error {
	return market.Refusal{Code: code, Sentence: market.Line(fmt.Sprintf(format, args...), maxSentence)}
}
