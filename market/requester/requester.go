package requester

import (
	"database/sql"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Deps is what a requester works with.
type Deps struct {
	Dir       string // of jobs, private
	DB        *sql.DB
	Peer      crypto.PrivKey
	Address   chain.Address // the wallet's
	Contracts *plutus.Contracts
	Ledger    Ledger
	Book      Book
	Blocks    Blocks
	Purse     Purse
	Offers    Offers
	Sellers   Sellers
	Workers   Workers
	Logger    Logger
	Files     Files
	Reducer   Reducer
	Progress  func(Event) // called from one goroutine at a time; nil: nobody looks on
	Log       *slog.Logger
}

// JobSpec is a job to run.
type JobSpec struct {
	Job   market.Job         `json:"job"`
	Dir   string             `json:"dir"`   // of the job file: inputs are relative to it
	Image market.ImageDigest `json:"image"` // that Job.Image names
	Out   string             `json:"out"`   // where the gathered outputs go
}

// Requester buys jobs.
type Requester struct {
	Deps
	cfg Config
	id  peer.ID
	key chain.KeyHash
}
