package rules

import (
	"errors"
	"fmt"

	"github.com/blinklabs-io/dingo/database"
	"github.com/blinklabs-io/dingo/database/models"
	dledger "github.com/blinklabs-io/dingo/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"

	"github.com/tallycompute/tally/testnet/devnet/internal/inside"
)

// state is the ledger state rules and scripts see: the node's, with canonical datums and the capabilities it lacks.
type state struct{ lcommon.LedgerState }

// UtxoById resolves an input; its inline datum is canonical.
func (s state) UtxoById(i lcommon.TransactionInput) (lcommon.Utxo, error) {
	u, err := s.LedgerState.UtxoById(i)
	if err == nil {
		canonicalOutput(u.Output)
	}
	return u, err
}

// SkipPhase2Validation forwards an optional capability of dingo's state, which embedding an interface would hide.
func (s state) SkipPhase2Validation() bool {
	k, ok := s.LedgerState.(interface{ SkipPhase2Validation() bool })
	return ok && k.SkipPhase2Validation()
}

// DRepDelegation answers gouroboros, which without it refuses every non-zero withdrawal from protocol version 10 on.
// The real rule has been applied by then (see withdrawals), so any delegation will do.
func (state) DRepDelegation(lcommon.Credential) (*lcommon.Drep, error) {
	return &lcommon.Drep{Type: lcommon.DrepTypeAbstain}, nil
}

// inside is what dingo's view of its ledger looks into, and by which database transaction: the view of v0.66.0 has no
// accessor for accounts (RewardAccountBalance is not implemented) and pots.
func (s state) inside() (*dledger.LedgerState, *database.Txn, error) {
	view, ok := s.LedgerState.(*dledger.LedgerView)
	if !ok {
		return nil, nil, fmt.Errorf("look into a state of type %T", s.LedgerState)
	}
	ls, err := inside.Field[*dledger.LedgerState](view, "ls")
	if err != nil {
		return nil, nil, err
	}
	txn, err := inside.Field[*database.Txn](view, "txn")
	if err != nil {
		return nil, nil, err
	}
	return *ls, *txn, nil
}

// account reads the node's row for a stake credential (rewards, vote delegation); nil when it is not registered.
func (s state) account(c lcommon.Credential) (*models.Account, error) {
	ls, txn, err := s.inside()
	if err != nil {
		return nil, err
	}
	tag, err := models.CredentialTagFromUint(c.CredType)
	if err != nil {
		return nil, fmt.Errorf("look up an account: %w", err)
	}
	a, err := ls.Database().GetAccountByCredential(tag, c.Credential[:], false, txn)
	if errors.Is(err, models.ErrAccountNotFound) || err == nil && !a.Active {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up an account: %w", err)
	}
	return a, nil
}
