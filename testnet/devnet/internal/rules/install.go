package rules

import (
	"errors"
	"fmt"

	"github.com/blinklabs-io/dingo/ledger/eras"
	"github.com/blinklabs-io/gouroboros/cbor"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
)

// Kinds of refusal, beside the ledger's own failures named in the text.
var (
	ErrLedger      = errors.New("the ledger refuses it")           // a rule of the Conway ledger
	ErrMalformed   = errors.New("the Conway decoder refuses it")   // cardano-node would not even decode it
	ErrUnsupported = errors.New("this development chain does not") // valid on Cardano, refused here
)

// Reject is a refusal that reaches the submitter with its reason: it encodes as the Conway ledger's free-text failure,
// [[6, [[7, text]]]] (era index 6, ConwayMempoolFailure).
type Reject struct{ Reason error }

func (r *Reject) Error() string { return r.Reason.Error() }

// Unwrap returns the reason.
func (r *Reject) Unwrap() error { return r.Reason }

// MarshalCBOR encodes an ApplyTxError of node-to-client local-tx-submission.
func (r *Reject) MarshalCBOR() ([]byte, error) {
	return cbor.Encode([]any{[]any{conwayWireIndex, []any{[]any{mempoolFailure, r.Reason.Error()}}}})
}

const (
	conwayWireIndex = 6 // of the hard-fork combinator's eras, Byron 0
	mempoolFailure  = 7 // ConwayLedgerPredFailure's constructor
)

// Install hardens the Conway era of dingo's tables. It must run once, before the node is made: the tables are the
// node's own process-wide state. horizon is the last upper bound a
// Plutus transaction may have at a slot.
func Install(horizon func(slot uint64) uint64) {
	p := newPending()
	for _, table := range [][]eras.EraDesc{eras.Eras, eras.ErasWithDijkstra} {
		for i := range table {
			if table[i].Id == conway.EraIdConway {
				table[i].ValidateTxFunc = harden(table[i].ValidateTxFunc, p, horizon)
			}
		}
	}
}

type validateFunc = func(lcommon.Transaction, uint64, lcommon.LedgerState, lcommon.ProtocolParameters) error

func harden(stock validateFunc, p *pending, horizon func(uint64) uint64) validateFunc {
	return func(tx lcommon.Transaction, slot uint64, ls lcommon.LedgerState, pp lcommon.ProtocolParameters) error {
		c, err := newCheck(tx, slot, ls, pp, p, horizon)
		if err != nil {
			return &Reject{err}
		}
		for _, rule := range order {
			if err := rule(c); err != nil {
				return &Reject{err}
			}
		}
		if err := stock(tx, slot, c.state, pp); err != nil {
			return &Reject{c.named(err)}
		}
		p.remember(c)
		return nil
	}
}

// check is one transaction under validation.
type check struct {
	tx        *conway.ConwayTransaction
	slot      uint64
	state     state // canonical data; wraps the node's view
	params    *conway.ConwayProtocolParameters
	pending   *pending
	horizon   uint64                   // the last upper bound a Plutus transaction may have
	body      map[uint]cbor.RawMessage // body fields by key, as encoded
	redeemers map[lcommon.RedeemerKey]lcommon.ExUnits
	signers   map[lcommon.Blake2b224]bool // hashes of the witnessing keys; the stock rules verify the signatures
}

// order lists the rules; earlier ones are cheaper or guard later ones.
var order = []func(*check) error{
	(*check).decodes,
	(*check).canonicalData,
	(*check).validityRange,
	(*check).values,
	(*check).governance,
	(*check).certificatesAndWithdrawals,
	(*check).scriptsAndDatums,
	(*check).collateral,
	(*check).budgets,
}

func newCheck(tx lcommon.Transaction, slot uint64, ls lcommon.LedgerState, pp lcommon.ProtocolParameters, p *pending, horizon func(uint64) uint64) (*check, error) {
	params, ok := pp.(*conway.ConwayProtocolParameters)
	if !ok {
		return nil, fmt.Errorf("%w run with protocol parameters of type %T", ErrUnsupported, pp)
	}
	ct, ok := tx.(*conway.ConwayTransaction)
	if !ok {
		return nil, fmt.Errorf("%w take transactions of type %T, only Conway's", ErrUnsupported, tx)
	}
	c := &check{
		tx: ct, slot: slot, state: state{ls}, params: params, pending: p, horizon: horizon(slot),
		redeemers: map[lcommon.RedeemerKey]lcommon.ExUnits{},
		signers:   map[lcommon.Blake2b224]bool{},
	}
	for k, v := range ct.WitnessSet.WsRedeemers.Iter() {
		c.redeemers[k] = v.ExUnits
	}
	for _, w := range ct.Witnesses().Vkey() {
		c.signers[lcommon.Blake2b224Hash(w.Vkey)] = true
	}
	return c, nil
}

// ledger is a failure of the ledger rule of that name.
func ledger(rule, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrLedger, rule, fmt.Errorf(format, args...))
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w %w", ErrUnsupported, fmt.Errorf(format, args...))
}
