package requester

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// record is all that is known of a job beside the chain: what a process needs that goes on with it.
type record struct {
	ID      string          `json:"id"`
	Phase   Phase           `json:"phase"`
	Done    bool            `json:"done"`
	Spec    JobSpec         `json:"spec"`
	Began   int64           `json:"began_ms"`
	At      map[Phase]int64 `json:"at_ms"`
	Allowed uint64          `json:"allowed_untx"` // total that was confirmed
	Program market.Hash     `json:"program"`      // zero: nothing is shared
	Inputs  []market.Hash   `json:"inputs"`       // by shard; empty: nothing is split
	Lots    []lotRecord     `json:"lots"`

	// once there is an opening
	Job      market.JobID      `json:"job"`
	Terms    []byte            `json:"terms,omitempty"`
	Tx       []byte            `json:"tx,omitempty"` // with the witnesses of its phase
	Resolved []market.Resolved `json:"resolved,omitempty"`

	Note    string   `json:"note,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
	ErrKind string   `json:"error_kind,omitempty"`
	ErrText string   `json:"error,omitempty"`

	version int64
}

// lotRecord is one provider's part.
type lotRecord struct {
	Offer       market.Offer         `json:"offer"`
	Shards      []uint32             `json:"shards"`
	PriceUNTX   uint64               `json:"price_untx"`
	Request     market.QuoteRequest  `json:"request,omitzero"` // zero: not asked
	Quote       []byte               `json:"quote,omitempty"`  // signed
	Reservation market.ReservationID `json:"reservation"`

	Result   []byte       `json:"result,omitempty"`   // signed; its outputs are here if it is good
	Good     bool         `json:"good,omitempty"`     // every program ended well and its outputs are what was signed
	StoodBy  bool         `json:"stood_by,omitempty"` // a spare that was not called in, by its own word
	Joined   bool         `json:"joined,omitempty"`   // its outputs are gathered with the others'
	Accepted bool         `json:"accepted,omitempty"` // to be approved
	Audit    *auditRecord `json:"audit,omitempty"`    // nil: nothing was drawn yet
	Rejected string       `json:"rejected,omitempty"` // why the result does not count
	Receipt  []byte       `json:"receipt,omitempty"`  // signed by both
	Received bool         `json:"received,omitempty"` // by the provider
}

// newID names a job before it has a name on chain.
func newID() (string, error) {
	var b [6]byte
	_, err := rand.Read(b[:])
	return hex.EncodeToString(b[:]), err
}

// kinds are the errors that a job can end with; of several that fit the first counts.
var kinds = [...]error{
	ErrDeclined, ErrRefused, ErrNoOffers, ErrNotEnough, ErrLockExpired, ErrCancelled, ErrJobFailed, ErrRefunded, ErrConfig,
	market.ErrJobFile,
}

// setErr remembers how the job ended.
func (r *record) setErr(err error) {
	r.ErrText = err.Error()
	for _, k := range kinds {
		if errors.Is(err, k) {
			r.ErrKind = k.Error()
			return
		}
	}
}

// stored is an error of an earlier process.
type stored struct {
	kind error
	text string
}

func (e stored) Error() string { return e.text }

func (e stored) Unwrap() error { return e.kind }

// err is how the job ended; nil: well, or not yet.
func (r *record) err() error {
	if r.ErrText == "" {
		return nil
	}
	for _, k := range kinds {
		if k.Error() == r.ErrKind {
			return stored{k, r.ErrText}
		}
	}
	return stored{text: r.ErrText}
}

// decided says whether it is known whose result counts, as long as nothing more comes.
func (r *record) decided() bool {
	return r.Phase == Gathered || r.Phase == Approved || r.Phase == Settled || r.Phase == Failed
}

// signed says whether the opening may be in the chain.
func (r *record) signed() bool {
	switch r.Phase {
	case Planned, Quoted, Agreed, Cancelled:
		return false
	case Failed:
		return r.At[Signed] > 0
	}
	return true
}

// job names the job on chain, once it has a name.
func (r *record) job() *market.JobID {
	if r.Terms == nil {
		return nil
	}
	id := r.Job
	return &id
}

// utxos are what the opening spends and reads.
func (r *record) utxos() ([]chain.UTxO, error) {
	return market.TermsProposal{Inputs: r.Resolved}.UTxOs()
}

// opening is the transaction with the witnesses it had, knowing what its inputs are.
func (r *record) opening() (*chain.Tx, error) {
	tx, err := chain.DecodeTx(r.Tx)
	if err != nil {
		return nil, fmt.Errorf("%w: job %s: %w", ErrStore, r.ID, err)
	}
	known, err := r.utxos()
	if err != nil {
		return nil, fmt.Errorf("%w: job %s: %w", ErrStore, r.ID, err)
	}
	if err := tx.Require(known); err != nil {
		return nil, fmt.Errorf("%w: job %s: %w", ErrStore, r.ID, err)
	}
	return tx, nil
}
