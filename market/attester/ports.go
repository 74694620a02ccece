package attester

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Sentinel kinds of this package's errors. A no to somebody who asks is a market.Refusal instead.
var (
	// ErrConfig is a configuration that cannot work.
	ErrConfig = errors.New("attester configuration")
	// ErrStore is the attester's database failing.
	ErrStore = errors.New("attester database")
	// ErrUnable is a shard that this machine cannot run again.
	ErrUnable = errors.New("cannot be run again here")
)

// Ledger tells the chain's time.
type Ledger interface {
	Clock(ctx context.Context) (chain.Clock, error)
}

// Book is the attester's own view of the chain.
type Book interface {
	// Tip is the slot up to which the book is written.
	Tip() chain.Slot
	// Lot folds a lot; its status is Absent if no block opened it.
	Lot(ctx context.Context, k escrow.Key) (escrow.Lot, error)
	// Stakes are a provider's, of which verdicts of these contracts may take, whatever state they are in.
	Stakes(ctx context.Context, c *plutus.Contracts, owner chain.KeyHash) ([]plutus.Stake, error)
}

// Peers are the parties of disputed lots.
type Peers interface {
	Connect(ctx context.Context, to peer.ID, addrs []string) error
	// Result asks a provider for its signed result.
	Result(ctx context.Context, to peer.ID, job market.JobID) ([]byte, error)
}

// Files moves content-addressed bundles between peers and directories.
type Files interface {
	// FetchWithin gets a bundle of at most so many bytes from a peer into the store; what is there already is not fetched
	// again.
	FetchWithin(ctx context.Context, from peer.ID, root market.Hash, bytes uint64) error
	// Unpack writes a bundle that is in the store to a directory that is missing or empty.
	Unpack(ctx context.Context, root market.Hash, dir string) error
	// Grant lets a peer fetch a bundle.
	Grant(root market.Hash, to peer.ID)
	// Prune removes every bundle for which keep says no. Nothing is fetched meanwhile.
	Prune(ctx context.Context, keep func(root market.Hash) bool) error
}

// Engine runs containers and knows the images that are there.
type Engine interface {
	executor.Runtime
	executor.Images
}
