package provider

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Ledger is what the daemon asks a Cardano node.
type Ledger interface {
	Params(ctx context.Context) (chain.Params, error)
	Clock(ctx context.Context) (chain.Clock, error)
	// Outputs are those of refs that are unspent in the chain.
	Outputs(ctx context.Context, refs []chain.OutRef) ([]chain.UTxO, error)
}

// Book is the daemon's own view of the chain.
type Book interface {
	// Tip is the slot up to which the book is written; 0: nothing yet.
	Tip() chain.Slot
	// Coins are the wallet's unspent outputs.
	Coins(ctx context.Context) ([]chain.UTxO, error)
	// Owns says whether an output is one of the wallet's, spent or not.
	Owns(ctx context.Context, ref chain.OutRef) (bool, error)
	// Lot folds a lot; its status is Absent if no block opened it.
	Lot(ctx context.Context, k escrow.Key) (escrow.Lot, error)
	// References are the published scripts, if any.
	References(ctx context.Context) ([]chain.UTxO, error)
	// Changed is closed at the next block applied or undone.
	Changed() <-chan struct{}

	Slices
}

// Slices is what a book knows of slices.
type Slices interface {
	// JobLots are all lots of a job, whoever's.
	JobLots(ctx context.Context, id plutus.JobID) ([]escrow.Lot, error)
	// Held is an output that holds lots; false: it is spent, or not known.
	Held(ctx context.Context, ref chain.OutRef) (chain.UTxO, bool, error)
}

// Fellows are the other providers of a job, asked over the network.
type Fellows interface {
	Connect(ctx context.Context, to peer.ID, addrs []string) error
	// Invite asks one whether it leaves a slice too.
	Invite(ctx context.Context, to peer.ID, i market.LeaveInvitation) (market.LeaveWish, error)
	// ProposeLeave asks one for its witness.
	ProposeLeave(ctx context.Context, to peer.ID, p market.LeaveProposal) (market.Witness, error)
}

// Wallet keeps the daemon's payment key.
type Wallet interface {
	Address() chain.Address
	Keys() []chain.KeyHash // payment key first
	// Available are the coins that no transaction under way uses.
	Available(ctx context.Context, coins []chain.UTxO) ([]chain.UTxO, error)
	// Reserve keeps an output for one purpose until a time; it fails if another purpose has it.
	Reserve(ctx context.Context, ref chain.OutRef, purpose string, until chain.Time) error
	Release(ctx context.Context, purpose string) error
	// SignChecked signs a body that was built elsewhere, if check passes on the very same transaction.
	SignChecked(ctx context.Context, tx *chain.Tx, check func(*chain.Tx) error) (vkey, sig []byte, err error)
}

// Files moves content-addressed bundles between peers and directories.
type Files interface {
	// Fetch gets a bundle from a peer into the store; what is there already is not fetched again.
	Fetch(ctx context.Context, from peer.ID, root market.Hash) error
	// Unpack writes a bundle that is in the store to a directory.
	Unpack(ctx context.Context, root market.Hash, dir string) error
	// PackOutputs puts the plain files that a task left into the store.
	PackOutputs(ctx context.Context, dir string, limits executor.OutputLimits) (market.Hash, error)
	// Grant lets a peer fetch a bundle.
	Grant(root market.Hash, to peer.ID)
}

// SessionSpec places one shard in its job's collective.
type SessionSpec struct {
	Job       market.JobID
	Name      string          // for the program, and for people
	Peers     []peer.AddrInfo // by rank, and the spares after them
	Rank      int             // the place in Peers
	SocketDir string          // what the container mounts

	Least      int           // with how many ranks the collective goes on where others are lost; 0: it does not
	Spares     int           // so many of the peers wait for a rank that is lost
	Epoch      uint64        // which attempt: equal on all ranks that are to meet
	Run        time.Duration // how long the program may take
	JoinWithin time.Duration // how long to wait for the others; 0: the collective's own default
}

// Session is one shard's membership in a collective.
type Session interface {
	// Run joins the group and serves the container until it says goodbye. The error is a LostPeer if another rank's
	// machine went away, and anything else if the program or this machine failed. A spare waits until it is called in, or
	// the others have come to their end, which ends its program too.
	Run(ctx context.Context) error
	// Ended says that the container has ended: one that never said goodbye ends the group for all ranks.
	Ended()
	// Traffic is the payload exchanged with each peer so far.
	Traffic() map[peer.ID]Traffic
	// Ending is who was there at the end of a collective with spares, once Run has returned without an error.
	Ending() Ending
	// Note says what is to be known of the ways to the other ranks, such as that one leads through a relay; "": nothing.
	Note() string
	// Close frees the socket and the arena; Run must have returned.
	Close() error
}

// Ending is who one rank saw at the end of a collective. A spare that was not called in sees itself only, as one that
// stood by.
type Ending struct{ Members, StoodBy []peer.ID }

// Traffic is payload bytes.
type Traffic struct{ Sent, Received uint64 }

// Collectives joins collectives.
type Collectives interface {
	// Open makes the socket, so that a container can be started; Run joins.
	Open(spec SessionSpec) (Session, error)
}

// Engine runs containers and knows the images that are there.
type Engine interface {
	executor.Runtime
	executor.Images
}

// Publisher puts signed offers where requesters find them.
type Publisher interface {
	Publish(ctx context.Context, offer []byte, capabilities []market.Capability) error
}
