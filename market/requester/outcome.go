package requester

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// Outcome is how a job ended, or how it stands.
type Outcome struct {
	ID        string             `json:"id"`
	Job       *market.JobID      `json:"job,omitempty"` // none before there are terms
	Name      string             `json:"name"`
	Kind      market.Kind        `json:"kind"`
	Phase     Phase              `json:"phase"`
	Done      bool               `json:"done"`    // nothing is left to happen
	Outcome   string             `json:"outcome"` // approved, claimed, refunded, mixed, or "" while lots are open
	PriceUNTX uint64             `json:"price_untx"`
	Fees      chain.Lovelace     `json:"fees_lovelace"` // this wallet's own
	Lots      []LotOutcome       `json:"lots"`
	Note      string             `json:"note,omitempty"` // such as: rests on 3 shards of 4
	Out       string             `json:"out"`            // directory with the gathered outputs
	Dir       string             `json:"dir"`            // the job's own: metrics, receipts, each shard's outputs
	Failure   *Failure           `json:"failure,omitempty"`
	Error     string             `json:"error,omitempty"`
	Seconds   map[string]float64 `json:"seconds"` // spent until a phase was entered, since the one before
}

// LotOutcome is one provider's part.
type LotOutcome struct {
	Provider         peer.ID       `json:"provider"`
	Address          chain.Address `json:"address"`
	Shards           []uint32      `json:"shards"`
	Status           escrow.Status `json:"status"`
	Accepted         bool          `json:"accepted"`           // its result counts
	Rejected         string        `json:"rejected,omitempty"` // why not
	PriceUNTX        uint64        `json:"price_untx"`
	PaidUNTX         uint64        `json:"paid_untx"`
	RefundedUNTX     uint64        `json:"refunded_untx"`
	PenaltyUNTX      uint64        `json:"penalty_untx"`
	BondUNTX         uint64        `json:"bond_untx"`
	BondReturnedUNTX uint64        `json:"bond_returned_untx"`
	Txs              Txs           `json:"txs"`
	Receipt          bool          `json:"receipt"` // signed by both
}

// Txs are a lot's transactions.
type Txs struct {
	Open   *chain.TxID `json:"open,omitempty"`
	Commit *chain.TxID `json:"commit,omitempty"`
	Settle *chain.TxID `json:"settle,omitempty"`
}

// Failure is the first thing that went wrong in a job.
type Failure struct {
	Shard    uint32     `json:"shard"`
	At       chain.Time `json:"at"`
	ExitCode int32      `json:"exit_code"`
	Message  string     `json:"message"` // the reason, and the program's last lines
}
