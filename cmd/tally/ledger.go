package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/submit"
	"github.com/tallycompute/tally/chain/wallet"
)

// ledger is a participant's node, with every submission explained.
type ledger struct {
	*node.Node
	submitter *submit.Submitter
}

// ledger is the party's node as the parts that submit use it.
func (p *party) ledger() ledger {
	return ledger{p.node, &submit.Submitter{Node: p.node, Chain: known{p.ix, p.kept}}}
}

// Submit implements escrow.Ledger, provider.Ledger and requester.Ledger.
func (l ledger) Submit(ctx context.Context, tx []byte) error {
	_, err := l.submitter.Submit(ctx, tx)
	return err
}

// known is what an index knows of the chain, and reservations of this wallet's own transactions.
type known struct {
	*index.Index
	kept *wallet.Reservations
}

// Tip implements submit.Chain.
func (k known) Tip() chain.Slot { return k.Index.Tip().Slot }

// Confirmations implements submit.Chain.
func (k known) Confirmations(ctx context.Context, tx chain.TxID) (uint64, error) {
	_, height, ok, err := k.TxBlock(ctx, tx)
	if err != nil || !ok {
		return 0, err
	}
	return k.Index.Tip().Confirmations(height), nil
}

// standing is how sure a transaction is to stay, and how many blocks it is deep, by the index as far as it has come.
func (p *party) standing(ctx context.Context) func(chain.TxID) string {
	ctx = context.WithoutCancel(ctx) // what was interrupted is shown as well
	return func(id chain.TxID) string {
		n, err := known{p.ix, p.kept}.Confirmations(ctx, id)
		if err != nil {
			return "standing unknown"
		}
		return fmt.Sprintf("%s, %d deep", p.ix.Standing(n, p.net.Confirmations), n)
	}
}

// Fate implements submit.Chain.
func (k known) Fate(ctx context.Context, ref chain.OutRef) (f submit.Fate, err error) {
	u, inChain, err := k.UTxO(ctx, ref)
	if err != nil {
		return f, err
	}
	if f.Known = inChain; inChain && u.SpentBy != nil {
		paid, err := k.Events(ctx, feeKey(*u.SpentBy)) // it spent an output of this wallet's, which only we can
		f.By, f.Ours = u.SpentBy, len(paid) > 0
		return f, err
	}
	err = underWay(ctx, k.kept, ref, &f)
	return f, err
}

// payment is the transaction that an output is reserved for, if it was built by then.
func payment(r wallet.Reservation) (tx chain.TxID, ok bool) {
	at := strings.LastIndexByte(r.Purpose, ' ')
	return tx, tx.UnmarshalText([]byte(r.Purpose[at+1:])) == nil
}
