package requester

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// Phase is where a job stands at its requester.
type Phase string

// Phases, in their order; a job ends in the last three.
const (
	Planned   Phase = "planned"   // confirmed, inputs packed
	Quoted    Phase = "quoted"    // every provider holds capacity and a bond
	Agreed    Phase = "agreed"    // every provider witnessed the opening
	Signed    Phase = "signed"    // so did the requester: the opening may be in the chain from now on
	Submitted Phase = "submitted" // a node took it
	Locked    Phase = "locked"    // it is in the chain, as deep as wanted
	Sent      Phase = "sent"      // the providers were told
	Running   Phase = "running"   // the first program has started
	Gathered  Phase = "gathered"  // the outputs are here, checked and joined
	Approved  Phase = "approved"  // every verified lot is paid
	Settled   Phase = "settled"   // every lot is final
	Failed    Phase = "failed"    // there is no result; Done says whether lots are still to be refunded
	Cancelled Phase = "cancelled" // before anything was signed
)

// Event is something that happened to a job, for who looks on. Text of providers may hold line breaks.
type Event struct {
	ID      string        `json:"id"`            // local
	Job     *market.JobID `json:"job,omitempty"` // on chain, once there are terms
	Phase   Phase         `json:"phase"`
	Entered bool          `json:"entered"` // the phase was just entered
	Seconds float64       `json:"seconds"` // since the job began
	Message string        `json:"message,omitempty"`
	Tx      *chain.TxID   `json:"tx,omitempty"`

	// of one shard
	Shard      *uint32      `json:"shard,omitempty"`
	Provider   peer.ID      `json:"provider,omitempty"`
	ShardPhase market.Phase `json:"shard_phase,omitempty"`
	Metrics    []string     `json:"metrics,omitempty"` // new lines, one JSON object each
}
