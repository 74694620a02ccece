package requester

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// New opens the requester's state.
func New(ctx context.Context, cfg Config, deps Deps) (*Requester, error) {
	id, err := peer.IDFromPrivateKey(deps.Peer)
	return &Requester{Deps: deps, cfg: cfg.Defaults(), id: id}, err
}

var errSoon = fmt.Errorf("being written")

// Plan finds offers and matches them. It locks nothing and asks no provider. A plan that is not OK says why, and what
// would help.
func (r *Requester) Plan(ctx context.Context, job market.Job, image market.ImageDigest) (market.Plan, []Dropped, error) {
	return market.Plan{}, nil, errSoon
}

// Run takes a job from its plan to the end of its last lot. confirm sees the plan before anything is asked of anyone; its error ends the job.
func (r *Requester) Run(ctx context.Context, spec JobSpec, confirm func(market.Plan) error) (Outcome, error) {
	return Outcome{}, errSoon
}

// Resume goes on with a job, wherever it was when its process ended. id is local, or the job's on chain.
func (r *Requester) Resume(ctx context.Context, id string) (Outcome, error) {
	return Outcome{}, errSoon
}

// Status says how a job stands.
func (r *Requester) Status(ctx context.Context, id string) (Outcome, error) {
	return Outcome{}, errSoon
}

// List says how every job stands, the oldest first.
func (r *Requester) List(ctx context.Context) ([]Outcome, error) { return nil, errSoon }

// Cancel ends a job that is not signed yet. ErrSigned: it is.
func (r *Requester) Cancel(ctx context.Context, id string) error { return errSoon }

// Logs copies what a shard's program wrote, as long as its provider keeps it.
func (r *Requester) Logs(ctx context.Context, id string, shard uint32, w io.Writer) error {
	return errSoon
}

// Receipts lists the receipts of a job, by provider.
func (r *Requester) Receipts(ctx context.Context, id string) ([]SignedReceipt, error) {
	return nil, errSoon
}

// Facts is what the escrow's actor asks about a lot.
func (r *Requester) Facts(ctx context.Context, k escrow.Key) (escrow.Facts, error) {
	return escrow.Facts{}, errSoon
}

// SignedReceipt is a receipt with the bytes that both sides signed (market.OpenReceipt).
type SignedReceipt struct {
	Shards  []uint32       `json:"shards"`
	Receipt market.Receipt `json:"receipt"`
	Result  market.Result  `json:"result"`
	Signed  []byte         `json:"signed"`
}
