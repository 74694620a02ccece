package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/blinklabs-io/gouroboros/ledger"
	"github.com/blinklabs-io/gouroboros/protocol/localtxsubmission"
	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// Submit hands a signed Conway transaction's bytes to the node's mempool. nil says only that the mempool has it:
// whether it is in a block is the index's to say. A transaction that the mempool already has is no error.
//
// Errors: ErrRejected, with a chain.RuleError for each of the ledger's rules that it says is broken (a transaction that is
// already in a block is rejected too, its inputs being spent: ask the index); ErrConnection, ErrUnreachable: the outcome
// is unknown and the same bytes may be submitted again.
func (n *Node) Submit(ctx context.Context, tx []byte) error {
	id, err := txID(tx)
	if err != nil {
		return fmt.Errorf("submitting: %w", err)
	}
	err = n.exchange(ctx, "submitting "+id.String(), false, func(s *session) error {
		err := s.conn.LocalTxSubmission().Client.SubmitTx(uint16(ledger.TxTypeConway), tx)
		var rejected localtxsubmission.TransactionRejectedError
		if errors.As(err, &rejected) {
			return refusal(rejected.ReasonCbor)
		}
		return err
	})
	if !errors.Is(err, ErrRejected) {
		return err
	}
	if has, merr := n.InMempool(ctx, id); merr == nil && has {
		return nil
	}
	return err
}

// InMempool says whether the node's mempool has the transaction now.
func (n *Node) InMempool(ctx context.Context, id chain.TxID) (has bool, err error) {
	err = n.exchange(ctx, "looking for "+id.String()+" in the mempool", true, func(s *session) error {
		m := s.conn.LocalTxMonitor()
		if m == nil {
			return fmt.Errorf("the node is too old for the transaction monitor: %w", ErrUnexpected)
		}
		if err := m.Client.Acquire(); err != nil {
			return err
		}
		has, err = m.Client.HasTx(id[:])
		return errors.Join(err, m.Client.Release())
	})
	return has, err
}

// txID is the blake2b-256 hash of the body's original bytes.
func txID(tx []byte) (id chain.TxID, err error) {
	if len(tx) > chain.MaxTxBytes {
		return id, fmt.Errorf("transaction of %d bytes: %w", len(tx), chain.ErrMalformed)
	}
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(tx, &parts); err != nil || len(parts) != 4 {
		return id, fmt.Errorf("not a transaction of four parts: %w", chain.ErrMalformed)
	}
	return blake2b.Sum256(parts[0]), nil
}
