package requester

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	Verify    market.Verify      `json:"verify"`
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
	Spare            bool          `json:"spare,omitempty"`    // it began as one
	StoodBy          bool          `json:"stood_by,omitempty"` // and was never called in, by its own word
	Status           escrow.Status `json:"status"`
	Accepted         bool          `json:"accepted"`           // its result counts
	Rejected         string        `json:"rejected,omitempty"` // why not
	PriceUNTX        uint64        `json:"price_untx"`
	PaidUNTX         uint64        `json:"paid_untx"`
	RefundedUNTX     uint64        `json:"refunded_untx"`
	PenaltyUNTX      uint64        `json:"penalty_untx"`
	DisputeUNTX      uint64        `json:"dispute_untx,omitempty"` // what a dispute cost the requester
	BondUNTX         uint64        `json:"bond_untx"`
	BondReturnedUNTX uint64        `json:"bond_returned_untx"`
	Txs              Txs           `json:"txs"`
	Receipt          bool          `json:"receipt"` // signed by both
}

// Txs are a lot's transactions.
type Txs struct {
	Open    *chain.TxID `json:"open,omitempty"`
	Leave   *chain.TxID `json:"leave,omitempty"` // of a slice
	Commit  *chain.TxID `json:"commit,omitempty"`
	Dispute *chain.TxID `json:"dispute,omitempty"`
	Settle  *chain.TxID `json:"settle,omitempty"`
}

// Failure is the first thing that went wrong in a job.
type Failure struct {
	Shard    uint32     `json:"shard"`
	At       chain.Time `json:"at"`
	ExitCode int32      `json:"exit_code"`
	Message  string     `json:"message"` // the reason, and the program's last lines
}

// outcome is the job's, with the error that ended it or this process.
func (j *job) outcome(ctx context.Context, cause error) (Outcome, error) {
	o, err := j.r.outcomeOf(ctx, j.rec)
	return o, errors.Join(cause, err)
}

// outcomeOf tells a record and what the chain says of its lots.
func (r *Requester) outcomeOf(ctx context.Context, rec *record) (Outcome, error) {
	o := Outcome{
		ID: rec.ID, Job: rec.job(), Name: rec.Spec.Job.Name, Kind: rec.Spec.Job.Kind, Verify: rec.Spec.Job.Verify, Phase: rec.Phase, Done: rec.Done,
		Lots: []LotOutcome{}, Note: rec.Note, Out: rec.Spec.Out, Failure: rec.Failure, Error: rec.ErrText, Seconds: rec.seconds(),
	}
	j := &job{r: r, rec: rec}
	o.Dir = j.dir()
	own := map[chain.TxID]bool{}
	for i, l := range rec.Lots {
		lo := LotOutcome{
			Provider: l.Offer.Peer, Address: l.Offer.Payment, Shards: l.Shards, Accepted: l.Accepted, Rejected: l.Rejected,
			PriceUNTX: l.PriceUNTX, Receipt: l.Receipt != nil,
			Spare: slices.ContainsFunc(l.Shards, rec.Spec.Job.Shards.Spare), StoodBy: l.StoodBy,
		}
		o.PriceUNTX += l.PriceUNTX
		if rec.Terms != nil {
			lot, err := r.Book.Lot(ctx, j.key(l))
			if err != nil {
				return o, fmt.Errorf("lot of %s: %w", l.Offer.Peer, err)
			}
			lo.settle(lot)
			for _, tx := range lot.Txs {
				own[tx] = true
			}
		}
		o.Lots = append(o.Lots, lo)
		if i == 0 {
			o.Outcome = lo.ending()
		} else if o.Outcome != lo.ending() && o.Outcome != "" {
			o.Outcome = "mixed"
		}
		if lo.ending() == "" {
			o.Outcome = ""
		}
	}
	for tx := range own {
		fee, mine, err := r.Blocks.Fee(ctx, tx)
		if err != nil {
			return o, fmt.Errorf("fee of %s: %w", tx, err)
		}
		if mine {
			o.Fees += fee
		}
	}
	return o, nil
}

// settle fills in what the chain says.
func (o *LotOutcome) settle(l escrow.Lot) {
	o.Status, o.BondUNTX = l.Status, l.BondUNTX
	var finish *chain.TxID
	for kind, tx := range l.Txs {
		switch kind {
		case escrow.KindOpen, escrow.KindStart:
			o.Txs.Open = &tx
		case escrow.KindLeave:
			o.Txs.Leave = &tx
		case escrow.KindFinish:
			finish = &tx
		case escrow.KindCommit:
			o.Txs.Commit = &tx
		case escrow.KindDispute:
			o.Txs.Dispute = &tx
		default:
			o.Txs.Settle = &tx
		}
	}
	switch {
	case finish != nil && l.Status.Final() && o.Txs.Settle == nil:
		o.Txs.Settle = finish
	case finish != nil: // not paid: its lot was put out of the slice
		o.Txs.Leave = finish
	case o.Txs.Leave != nil && l.ClaimAt > 0: // it left with its result
		o.Txs.Commit = o.Txs.Leave
	}
	if !l.Status.Final() {
		return
	}
	o.RefundedUNTX = min(l.ToRequesterUNTX, l.PriceUNTX)
	o.BondReturnedUNTX = min(l.ToProviderUNTX, l.BondUNTX)
	o.PenaltyUNTX = l.BondUNTX - o.BondReturnedUNTX
	o.PaidUNTX = l.ToProviderUNTX - o.BondReturnedUNTX
	if _, disputed := l.Txs[escrow.KindDispute]; disputed {
		o.RefundedUNTX = l.PriceUNTX - min(o.PaidUNTX, l.PriceUNTX)
		spent := o.RefundedUNTX + l.Terms.Disputes.BondUNTX
		o.DisputeUNTX = spent - min(l.ToRequesterUNTX, spent)
	}
}

// ending is how the lot ended, in the words of a job's outcome; "": it has not.
func (o *LotOutcome) ending() string {
	switch {
	case o.Status == escrow.Declined:
		return escrow.Refunded.String()
	case o.Status.Final():
		return o.Status.String()
	}
	return ""
}

// phases in the order they are entered.
var phases = [...]Phase{Planned, Quoted, Agreed, Signed, Submitted, Locked, Sent, Running, Gathered, Approved, Settled, Failed, Cancelled}

// seconds is how long each phase took to reach, since the one before.
func (r *record) seconds() map[string]float64 {
	spent, last := map[string]float64{}, r.Began
	for _, p := range phases {
		if at := r.At[p]; at > 0 {
			spent[string(p)] = float64(at-last) / 1000
			last = at
		}
	}
	return spent
}

func notFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
