package submit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Node is a node's mempool.
type Node interface {
	// Submit errors are chain.ErrRejected or a chain.RuleError where the node said no, and anything else where it is not
	// known what it did.
	Submit(ctx context.Context, tx []byte) error
	InMempool(ctx context.Context, id chain.TxID) (bool, error)
	Tip(ctx context.Context) (chain.Point, error)
}

// Chain is what we know of the chain, and of our own transactions.
type Chain interface {
	// Tip is the slot of the last block known.
	Tip() chain.Slot
	// Confirmations is how deep a transaction is; 0: no block known has it.
	Confirmations(ctx context.Context, id chain.TxID) (uint64, error)
	Fate(ctx context.Context, ref chain.OutRef) (Fate, error)
	// Changed is closed at the next block applied or undone.
	Changed() <-chan struct{}
}

// Fate is what became of an output.
type Fate struct {
	Known bool        // a block has it, or a transaction of ours makes it
	By    *chain.TxID // what spends it, in a block or as a transaction of ours under way; nil: nothing
	Ours  bool        // By is a transaction that this wallet signed
}

// Submitter hands transactions to a node.
type Submitter struct {
	Node     Node
	Chain    Chain
	Progress Progress // hears from Land; nil: nobody does
}

// Submit hands a signed transaction in once. Its outcome is in the error too, a chain.SubmitError, unless the node has
// taken it or a block has it.
func (s *Submitter) Submit(ctx context.Context, raw []byte) (chain.Outcome, error) {
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return chain.Refused, fmt.Errorf("submit: %w", err)
	}
	body, err := tx.Inspect()
	if err != nil {
		return chain.Refused, fmt.Errorf("submit: %w", err)
	}
	depth, err := s.Chain.Confirmations(ctx, body.ID)
	switch {
	case err != nil:
		return chain.Unknown, fmt.Errorf("submit %s: %w", body.ID, err)
	case depth > 0:
		return chain.Included, nil
	case expired(body, s.Chain.Tip()):
		return outcome(&chain.SubmitError{Tx: body.ID, Outcome: chain.Expired})
	}
	// A node that cannot be asked this can be asked the other.
	if waits, err := s.Node.InMempool(ctx, body.ID); err == nil && waits {
		return chain.Waiting, nil
	}
	cause := s.Node.Submit(ctx, raw)
	if cause == nil {
		return chain.Accepted, nil
	}
	e, err := s.explain(ctx, body, cause)
	if err != nil {
		return chain.Unknown, fmt.Errorf("submit %s: %w", body.ID, errors.Join(cause, err))
	}
	return outcome(e)
}

// outcome is nothing to complain about if the transaction is there.
func outcome(e *chain.SubmitError) (chain.Outcome, error) {
	if e.Outcome.Taken() {
		return e.Outcome, nil
	}
	return e.Outcome, e
}

func expired(b chain.TxBody, tip chain.Slot) bool { return b.Until != 0 && tip >= b.Until }

// explain says what a node's no means.
func (s *Submitter) explain(ctx context.Context, b chain.TxBody, cause error) (*chain.SubmitError, error) {
	e := &chain.SubmitError{Tx: b.ID, Outcome: chain.Unknown, Cause: cause}
	broken := chain.Broken(cause)
	if len(broken) == 0 {
		if errors.Is(cause, chain.ErrRejected) {
			e.Outcome = chain.NotNow
		}
		return e, nil
	}
	depth, err := s.Chain.Confirmations(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	says := func(rule string) bool {
		return slices.ContainsFunc(broken, func(r *chain.RuleError) bool { return r.Rule == rule })
	}
	switch {
	case depth > 0: // the block came in between
		e.Outcome = chain.Included
	case says("OutsideValidityIntervalUTxO"):
		if e.Outcome = chain.NotNow; b.From <= s.Chain.Tip() && s.level(ctx) { // no block that we have yet to read has it
			e.Outcome = chain.Expired
		}
	case says("BadInputsUTxO"):
		return e, s.blame(ctx, b, e)
	default:
		e.Outcome = chain.Refused
	}
	return e, nil
}

// blame finds out which input is gone, and where to.
func (s *Submitter) blame(ctx context.Context, b chain.TxBody, e *chain.SubmitError) error {
	var unknown *chain.OutRef
	for _, ref := range slices.Concat(b.Inputs, b.Collateral, b.References) {
		f, err := s.Chain.Fate(ctx, ref)
		if err != nil {
			return err
		}
		switch {
		case f.By != nil && *f.By != b.ID && !f.Ours:
			e.Outcome, e.Input, e.By = chain.SpentByOthers, &ref, f.By
			return nil
		case f.By != nil && *f.By != b.ID && e.By == nil:
			e.Outcome, e.Input, e.By = chain.SpentByUs, &ref, f.By
		case !f.Known && unknown == nil:
			unknown = &ref
		}
	}
	if e.By != nil {
		return nil
	}
	e.Outcome = chain.NotNow // the node knows a block that we do not, or lacks one that we know
	if unknown != nil && s.level(ctx) {
		e.Outcome, e.Input = chain.SpentByOthers, unknown
	}
	return nil
}

// level says whether we have read every block that the node has.
func (s *Submitter) level(ctx context.Context) bool {
	tip, err := s.Node.Tip(ctx)
	return err == nil && tip.Slot == s.Chain.Tip()
}
