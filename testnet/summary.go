package testnet

import (
	"github.com/tallycompute/tally/chain"
)

// Summary is what a demo leaves behind: its claims, each of which Verify derives again from the chain alone.
// Amounts named _untx are micro-NTX, those named _lovelace lovelace.
type Summary struct {
	Network   chain.Network      `json:"network"`
	NTX       chain.AssetID      `json:"ntx"`
	FundedAt  chain.Slot         `json:"funded_at_slot"` // "before" balances are those after this slot's block
	EndedAt   chain.Slot         `json:"ended_at_slot"`  // "after" balances are those after this slot's block
	GPUs      string             `json:"gpus"`           // what the providers computed on, in words
	Jobs      []JobSummary       `json:"jobs"`
	Training  TrainingSummary    `json:"training"`
	Balances  map[string]Balance `json:"balances"` // by bech32 address
	Seconds   map[string]float64 `json:"seconds"`  // by phase
	Figures   Figures            `json:"figures"`
	DemoNotes []string           `json:"notes,omitempty"`
}

// JobSummary is one job's claims.
type JobSummary struct {
	Name         string             `json:"name"`
	ID           string             `json:"id"`
	Kind         string             `json:"kind"`
	Outcome      string             `json:"outcome"` // approved | claimed | refunded | mixed
	PriceUNTX    uint64             `json:"price_untx"`
	FeesLovelace chain.Lovelace     `json:"fees_lovelace"`
	Shards       []ShardSummary     `json:"shards"`
	Seconds      map[string]float64 `json:"seconds"`
	Result       string             `json:"result,omitempty"` // the answer, in a line

	// RequesterCostLovelace is what the job's transactions left the requester short of: fees, and what it gave to outputs.
	RequesterCostLovelace int64 `json:"requester_cost_lovelace"`
}

// ShardSummary is one provider's part of a job.
type ShardSummary struct {
	Index            int            `json:"index"`
	Provider         chain.Address  `json:"provider"`
	Outcome          string         `json:"outcome"` // approved | claimed | refunded | declined
	PaidUNTX         uint64         `json:"paid_untx"`
	RefundedUNTX     uint64         `json:"refunded_untx"`
	PenaltyUNTX      uint64         `json:"penalty_untx"`
	BondReturnedUNTX uint64         `json:"bond_returned_untx"`
	LockedLovelace   chain.Lovelace `json:"locked_lovelace"` // returned to the provider with the settlement
	Txs              ShardTxs       `json:"txs"`

	// ProviderCostLovelace is what the job's transactions left the provider short of once the lot has ended.
	ProviderCostLovelace int64   `json:"provider_cost_lovelace"`
	Name                 string  `json:"name"`           // of the provider, for people
	BeforeUNTX           uint64  `json:"before_untx"`    // in its wallet, in the block before the job's opening
	AfterUNTX            uint64  `json:"after_untx"`     // in the block that settled the last of the job
	Seconds              float64 `json:"seconds"`        // from the lot's opening to its end on chain
	Receipt              string  `json:"receipt"`        // file, relative to the summary
	ReceiptBy            string  `json:"receipt_signed"` // both | provider
}

// ShardTxs are the transactions that moved a shard's lot.
type ShardTxs struct {
	Open   chain.TxID  `json:"open"`
	Commit *chain.TxID `json:"commit"`
	Settle chain.TxID  `json:"settle"`
}

// TrainingSummary compares the training split over providers with the same script run alone in one container.
type TrainingSummary struct {
	AccuracySplit        float64 `json:"accuracy_split"`
	AccuracyAlone        float64 `json:"accuracy_alone"`
	MaxRelParamDiff10    float64 `json:"max_rel_param_diff_10"`
	ParameterHashesEqual bool    `json:"parameter_hashes_equal"`
	Steps                int     `json:"steps"`
}

// Balance is what an address held before the jobs and after them.
type Balance struct {
	Role           string         `json:"role"`
	BeforeUNTX     uint64         `json:"before_untx"`
	AfterUNTX      uint64         `json:"after_untx"`
	BeforeLovelace chain.Lovelace `json:"before_lovelace"`
	AfterLovelace  chain.Lovelace `json:"after_lovelace"`
	StakeUNTX      uint64         `json:"stake_untx"` // of its own, in the end
}

// Figures are what the demo measured of itself.
type Figures struct {
	SecondsToFirstStep      float64        `json:"seconds_to_first_step"`      // from `tally run` to the first training step
	SecondsLastStepToPaid   float64        `json:"seconds_last_step_to_paid"`  // from the last step to NTX in the last wallet
	TrainingSeconds         float64        `json:"training_seconds"`           // first step to last, over libp2p
	RequesterFeesPerShard   chain.Lovelace `json:"requester_fees_per_shard"`   // job 1
	ProviderFeesPerShard    chain.Lovelace `json:"provider_fees_per_shard"`    // job 1
	ProviderLockedPerShard  chain.Lovelace `json:"provider_locked_per_shard"`  // job 1, returned at settlement
	RequesterLockedPerShard chain.Lovelace `json:"requester_locked_per_shard"` // job 1
}
