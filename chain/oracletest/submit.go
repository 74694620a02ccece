package main

import (
	"errors"
	"fmt"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/ledger"
	"github.com/blinklabs-io/gouroboros/protocol/localtxsubmission"

	"github.com/tallycompute/tally/testnet"
)

// errRefused is a transaction that the node refused; the text has its reason.
var errRefused = errors.New("the node refuses it")

// submitter hands bytes to a node as they are: Tally's own client would look at them first.
type submitter struct {
	conn   *ouroboros.Connection
	socket string
}

func dial(p *testnet.NodeProcess) (*submitter, error) {
	conn, err := ouroboros.NewConnection(
		ouroboros.WithNetworkMagic(p.Magic), ouroboros.WithNodeToNode(false), ouroboros.WithKeepAlive(false))
	if err != nil {
		return nil, fmt.Errorf("the node: %w", err)
	}
	if err := conn.Dial("unix", p.Socket); err != nil {
		return nil, fmt.Errorf("the node: %w", err)
	}
	return &submitter{conn, p.Socket}, nil
}

// submit hands in a transaction.
func (s *submitter) submit(tx []byte) error {
	err := s.conn.LocalTxSubmission().Client.SubmitTx(uint16(ledger.TxTypeConway), tx)
	var rejected localtxsubmission.TransactionRejectedError
	if errors.As(err, &rejected) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}
