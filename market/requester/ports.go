package requester

import (
	"context"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// Offers finds what the market has.
type Offers interface {
	// Find looks for offers under a capability: those that passed market.OpenOffer, and why others were dropped.
	Find(ctx context.Context, c market.Capability) ([]market.Offer, []Dropped, error)
}

// Dropped is a peer named as a provider whose offer cannot be used.
type Dropped struct {
	Peer   peer.ID       `json:"peer"`
	Reason market.Reason `json:"reason"`
}

// Sellers are the providers before a job is locked. A no is a market.Refusal.
type Sellers interface {
	Connect(ctx context.Context, to peer.ID, addrs []string) error
	Quote(ctx context.Context, to peer.ID, r market.QuoteRequest) (signed []byte, err error)
	Propose(ctx context.Context, to peer.ID, p market.TermsProposal) (market.Witness, error)
	Release(ctx context.Context, to peer.ID, r market.ReservationID) error
}

// Workers are the providers once a job is locked. A no is a market.Refusal.
type Workers interface {
	Locked(ctx context.Context, to peer.ID, l market.Locked) error
	Status(ctx context.Context, to peer.ID, job market.JobID) (market.JobStatus, error)
	Result(ctx context.Context, to peer.ID, job market.JobID) (signed []byte, err error)
	Voucher(ctx context.Context, to peer.ID, v market.Voucher) error
	Receipt(ctx context.Context, to peer.ID, signed []byte) error
}

// Logger copies what a shard's program wrote.
type Logger interface {
	Logs(ctx context.Context, to peer.ID, job market.JobID, shard uint32, w io.Writer) error
}

// Ledger is what the requester asks a Cardano node.
type Ledger interface {
	Params(ctx context.Context) (chain.Params, error)
	Clock(ctx context.Context) (chain.Clock, error)
	// Submit hands a transaction to the mempool. Submitting the same bytes again is safe.
	Submit(ctx context.Context, tx []byte) error
}

// Book is the requester's own view of the chain.
type Book interface {
	// Tip is the slot up to which the book is written.
	Tip() chain.Slot
	// Lot folds a lot; its status is Absent if no block opened it.
	Lot(ctx context.Context, k escrow.Key) (escrow.Lot, error)
	// Changed is closed at the next block applied or undone.
	Changed() <-chan struct{}
}

// Blocks knows what the chain holds beside the lots.
type Blocks interface {
	// Confirmations is how many blocks a transaction is deep, 1 in the tip itself; 0: it is in none.
	Confirmations(ctx context.Context, tx chain.TxID) (uint64, error)
	// References are the published scripts, if any.
	References(ctx context.Context) ([]chain.UTxO, error)
	// FreeStakes are what providers have at stake beyond what their open lots may lose, in µNTX by payment key.
	FreeStakes(ctx context.Context) (map[chain.KeyHash]uint64, error)
	// Fee is what a transaction cost this wallet; false: it was another's, or is not known.
	Fee(ctx context.Context, tx chain.TxID) (chain.Lovelace, bool, error)
}

// Purse keeps the requester's coins and key.
type Purse interface {
	// Coins are those that no transaction under way uses; the collateral is not among them.
	Coins(ctx context.Context) ([]chain.UTxO, error)
	// Balance adds coins to a draft, and reserves every input of the wallet's, the draft's own included, for the purpose
	// until the draft has expired. Nothing is signed. It fails if another purpose has one of them.
	Balance(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error)
	// Sign adds the wallet's witness if check accepts the body: all of it was built here, maybe by an earlier process.
	Sign(tx *chain.Tx, check func(chain.TxBody) error) error
	// Release gives back all that Balance reserved for a purpose. Each job has a purpose of its own.
	Release(ctx context.Context, purpose string) error
}

// Files moves content-addressed bundles between peers and directories.
type Files interface {
	// Pack puts a directory of plain files into the store.
	Pack(ctx context.Context, dir string) (market.Hash, error)
	// Grant lets a peer fetch a bundle, as long as this process runs.
	Grant(root market.Hash, to peer.ID)
	// Fetch gets a bundle from a peer into the store, checked against its root.
	Fetch(ctx context.Context, from peer.ID, root market.Hash) error
	// Unpack writes a bundle that is in the store to a directory that is missing or empty.
	Unpack(ctx context.Context, root market.Hash, dir string) error
}

// Reduction is a job file's reduce step.
type Reduction struct {
	Job     string               // local name of the job; a job's reduction may run again
	Image   executor.ImageDigest // the job's own
	Script  string               // command line for /bin/sh -c; each shard's directory is an argument, in shard order
	Program string               // directory of what all shards shared: paths are container paths without the leading slash
	Mounts  []string             // container paths to mount from Program
	Shards  []ShardDir           // what is reduced
	Out     string               // empty directory for what the script leaves
}

// ShardDir is what a shard left in its output directory.
type ShardDir struct {
	Index uint32
	Dir   string
}

// Reducer runs a reduce script in a container without network.
type Reducer interface {
	Run(ctx context.Context, r Reduction) error
}
