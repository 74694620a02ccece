package market

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// maxTx is the ledger's limit on a transaction, in bytes.
const maxTx = 16 << 10

// Refusal is a no, for a program and for a person.
type Refusal struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
}

// Codes of refusals.
const (
	RefusedBusy      = "busy"      // no capacity now
	RefusedImage     = "image"     // the image is not there
	RefusedResources = "resources" // more than this provider sells
	RefusedStale     = "stale"     // the offer that was answered no longer holds
	RefusedContracts = "contracts" // other network or contracts
	RefusedFunds     = "funds"     // no input that covers the bond
	RefusedUnknown   = "unknown"   // no such reservation or job, or it ended
	RefusedTerms     = "terms"     // the terms are not what was quoted
	RefusedTx        = "tx"        // the transaction fails the checks before a witness
	RefusedOther     = "other"     // the sentence says
)

func (r Refusal) limit() int { return 4 << 10 }

// Error makes a Refusal an error.
func (r Refusal) Error() string { return fmt.Sprintf("refused (%s): %s", r.Code, r.Sentence) }

// Validate checks r's form.
func (r Refusal) Validate() error {
	if r.Code == "" || !plain(r.Code, 32) || !plain(r.Sentence, 1024) {
		return malformed("refusal %.32q", r.Code)
	}
	return nil
}

// TermsProposal asks for a witness: the terms, and the transaction that opens the job, whole but for the parties'
// key witnesses (scripts and redeemers are there, as the provider needs them to evaluate it).
type TermsProposal struct {
	Reservation ReservationID `json:"reservation"`
	Terms       []byte        `json:"terms"`  // Terms.Encode
	Tx          []byte        `json:"tx"`     // CBOR
	Inputs      []Resolved    `json:"inputs"` // what its inputs, collateral and references hold, as the requester knows them
}

// Resolved is an output that a transaction spends or reads, in the ledger's format (chain.Output.Encode).
type Resolved struct {
	Ref    chain.OutRef `json:"ref"`
	Output []byte       `json:"output"`
}

// ResolvedOf writes outputs for a proposal.
func ResolvedOf(utxos []chain.UTxO) []Resolved {
	rs := make([]Resolved, len(utxos))
	for i, u := range utxos {
		rs[i] = Resolved{u.Ref, u.Encode()}
	}
	return rs
}

// UTxOs reads what ResolvedOf wrote. ErrMalformed: something else is there.
func (p TermsProposal) UTxOs() ([]chain.UTxO, error) {
	us := make([]chain.UTxO, len(p.Inputs))
	for i, r := range p.Inputs {
		o, err := chain.DecodeOutput(r.Output)
		if err != nil {
			return nil, malformed("proposal: output %s: %v", r.Ref, err)
		}
		us[i] = chain.UTxO{Ref: r.Ref, Output: o}
	}
	return us, nil
}

// Bounds of a proposal's resolved outputs: two of them hold the scripts, the rest are coins.
const (
	maxResolved      = 256
	maxResolvedBytes = 128 << 10
)

func (p TermsProposal) limit() int {
	return MaxTermsBytes + maxTx + maxResolvedBytes + maxResolved*80 + 256
}

// Validate checks p's form; DecodeTerms checks the terms.
func (p TermsProposal) Validate() error {
	if len(p.Terms) == 0 || len(p.Terms) > MaxTermsBytes || len(p.Tx) == 0 || len(p.Tx) > maxTx {
		return malformed("proposal: terms of %d bytes, transaction of %d", len(p.Terms), len(p.Tx))
	}
	size := 0
	for _, r := range p.Inputs {
		size += len(r.Output)
	}
	if len(p.Inputs) > maxResolved || size > maxResolvedBytes {
		return malformed("proposal: %d resolved outputs of %d bytes", len(p.Inputs), size)
	}
	return nil
}

// Witness is a provider's yes: its payment key's Ed25519 signature over the transaction's id.
type Witness struct {
	Reservation ReservationID `json:"reservation"`
	Tx          chain.TxID    `json:"tx"`
	VKey        []byte        `json:"vkey"`
	Signature   []byte        `json:"signature"`
}

func (w Witness) limit() int { return 1 << 10 }

// Validate checks w's form; the signature is checked where the body is.
func (w Witness) Validate() error {
	if len(w.VKey) != 32 || len(w.Signature) != 64 {
		return malformed("witness: key of %d bytes, signature of %d", len(w.VKey), len(w.Signature))
	}
	return nil
}

// Release ends a reservation that came to nothing.
type Release struct {
	Reservation ReservationID `json:"reservation"`
}

func (r Release) limit() int { return 256 }

// Validate has nothing to check.
func (r Release) Validate() error { return nil }

// Locked says which transaction opens the job, once it is submitted: a hint to look for on chain, no proof.
type Locked struct {
	Reservation ReservationID `json:"reservation"`
	Job         JobID         `json:"job"`
	Tx          chain.TxID    `json:"tx"`
}

func (l Locked) limit() int { return 512 }

// Validate has nothing to check.
func (l Locked) Validate() error { return nil }

// Ack says that a message without an answer of its own arrived.
type Ack struct{}

func (a Ack) limit() int { return 8 }

// Validate has nothing to check.
func (a Ack) Validate() error { return nil }

// StatusRequest asks how a provider's shards of a job are doing.
type StatusRequest struct {
	Job JobID `json:"job"`
}

func (s StatusRequest) limit() int { return 256 }

// Validate has nothing to check.
func (s StatusRequest) Validate() error { return nil }

// ResultRequest asks for a provider's signed Result of a job.
type ResultRequest struct {
	Job JobID `json:"job"`
}

func (s ResultRequest) limit() int { return 256 }

// Validate has nothing to check.
func (s ResultRequest) Validate() error { return nil }

// Phase is where a job or a shard stands at its provider.
type Phase string

// Phases, in their order.
const (
	PhaseWaiting    Phase = "waiting"    // for the lock on chain
	PhaseFetching   Phase = "fetching"   // inputs
	PhaseStarting   Phase = "starting"   // container, collective
	PhaseRunning    Phase = "running"    // the program
	PhaseCollecting Phase = "collecting" // outputs are hashed and signed
	PhaseDone       Phase = "done"       // the result can be fetched
	PhaseFailed     Phase = "failed"     // so can the result, which says how
	PhaseDeclined   Phase = "declined"   // it never started
)

func (p Phase) valid() bool {
	switch p {
	case PhaseWaiting, PhaseFetching, PhaseStarting, PhaseRunning, PhaseCollecting, PhaseDone, PhaseFailed, PhaseDeclined:
		return true
	}
	return false
}

// JobStatus is a provider's answer to a StatusRequest.
type JobStatus struct {
	Job     JobID         `json:"job"`
	Phase   Phase         `json:"phase"`
	Message string        `json:"message"`
	Shards  []ShardStatus `json:"shards"`
}

// ShardStatus is one shard's.
type ShardStatus struct {
	Index    uint32     `json:"index"`
	Phase    Phase      `json:"phase"`
	Started  chain.Time `json:"started"`  // 0: not yet
	Finished chain.Time `json:"finished"` // 0: not yet
	ExitCode int32      `json:"exit_code"`
	Message  string     `json:"message"` // such as the last line of a failed program
	Metrics  []string   `json:"metrics"` // the newest, one JSON object each
	Traffic  []Traffic  `json:"traffic"`
}

// Traffic is what a shard exchanged with one neighbour of its collective, in bytes of payload.
type Traffic struct {
	Shard    uint32 `json:"shard"` // the neighbour
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
}

// Bounds of what a provider reports.
const (
	MaxMetrics    = 64      // lines of a shard in one status
	MaxMetric     = 1 << 10 // bytes of one
	MaxMessage    = 2 << 10
	maxNeighbours = 64
)

func (s JobStatus) limit() int { return 1 << 20 }

// Validate checks s's form. Messages may have line breaks and must be made safe for a terminal by who prints them.
func (s JobStatus) Validate() error {
	if !s.Phase.valid() || len(s.Message) > MaxMessage || len(s.Shards) > MaxShards {
		return malformed("status: phase %.32q, %d shards", string(s.Phase), len(s.Shards))
	}
	for i, h := range s.Shards {
		switch {
		case !h.Phase.valid() || len(h.Message) > MaxMessage || len(h.Metrics) > MaxMetrics || len(h.Traffic) > maxNeighbours:
			return malformed("status of shard %d: phase %.32q, %d metrics", h.Index, string(h.Phase), len(h.Metrics))
		case i > 0 && s.Shards[i-1].Index >= h.Index:
			return malformed("status: shard %d out of order", h.Index)
		}
		for _, m := range h.Metrics {
			if len(m) > MaxMetric {
				return malformed("status of shard %d: metric of %d bytes", h.Index, len(m))
			}
		}
	}
	return nil
}

// Neighbour names a shard's neighbour for people: its provider, by the terms.
func (t Traffic) Neighbour(terms Terms) (peer.ID, bool) { return terms.ProviderOf(t.Shard) }
