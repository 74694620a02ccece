package rules

import (
	"github.com/blinklabs-io/dingo/mempool"
	gledger "github.com/blinklabs-io/gouroboros/ledger"
)

// Room refuses what [Admit] let pass when the transactions that wait for a block leave no room for it. The words are
// dingo's own, which it does not put on the wire. pending gives their bytes, and whether a transaction is one of them
// already: that needs no room. (cardano-node makes the submitter wait instead.)
func Room(raw []byte, capacity int64, pending func(hash string) (size int64, has bool)) *Reject {
	tx, err := gledger.NewTransactionFromCbor(gledger.TxTypeConway, raw)
	if err != nil {
		return &Reject{malformed("transaction: %w", err)}
	}
	size, has := pending(tx.Hash().String())
	if has || size+int64(len(raw)) <= capacity {
		return nil
	}
	return &Reject{&mempool.MempoolFullError{CurrentSize: int(size), TxSize: len(raw), Capacity: capacity}}
}
