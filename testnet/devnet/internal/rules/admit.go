package rules

import (
	"github.com/blinklabs-io/gouroboros/cbor"
	gledger "github.com/blinklabs-io/gouroboros/ledger"
)

// maxReason bounds the text of a refusal made from a decoder's message, in bytes.
const maxReason = 2000

// Admit judges a submitted transaction's bytes at slot now, before dingo's mempool does: that they are one Conway
// transaction and nothing more, and that its time has come. nil lets it go on to the rules.
func Admit(era uint16, raw []byte, now uint64) *Reject {
	if era != gledger.TxTypeConway {
		return &Reject{unsupported("take transactions of era %d, only Conway's (%d)", era, gledger.TxTypeConway)}
	}
	var one cbor.RawMessage
	n, err := cbor.Decode(raw, &one)
	if err != nil {
		return &Reject{malformed("transaction: %w", err)}
	}
	if n != len(raw) {
		return &Reject{malformed("%d bytes after the transaction", len(raw)-n)}
	}
	tx, err := gledger.NewTransactionFromCbor(gledger.TxTypeConway, raw)
	if err != nil {
		text := err.Error()
		return &Reject{malformed("transaction: %s", text[:min(len(text), maxReason)])}
	}
	if start := tx.ValidityIntervalStart(); start > now {
		return &Reject{ledger("OutsideValidityIntervalUTxO", "slot %d is before the lower bound %d", now, start)}
	}
	return nil
}
