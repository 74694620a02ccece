package escrowtest

import (
	"context"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// Node is a ledger with the methods of a node's connection.
type Node struct{ *chaintest.Ledger }

// Clock implements escrow.Ledger.
func (n Node) Clock(context.Context) (chain.Clock, error) { return n.Ledger.Clock(), nil }

// Params are the ledger's.
func (n Node) Params(context.Context) (chain.Params, error) { return n.Ledger.Params(), nil }

// Outputs implements provider.Ledger.
func (n Node) Outputs(_ context.Context, refs []chain.OutRef) (us []chain.UTxO, err error) {
	for _, u := range n.Ledger.UTxOs() {
		if slices.Contains(refs, u.Ref) {
			us = append(us, u)
		}
	}
	return us, nil
}

// Submit implements escrow.Ledger.
func (n Node) Submit(_ context.Context, tx []byte) error { return n.Ledger.Submit(tx) }

// Kept remembers which coins are spoken for; a wallet's reservations do.
type Kept interface {
	Coins(ctx context.Context, all []chain.UTxO) (coins, collateral []chain.UTxO, err error)
	Reserve(ctx context.Context, refs []chain.OutRef, purpose string, until chain.Time) error
	Release(ctx context.Context, purpose string) error
	Expire(ctx context.Context, now, depth chain.Time) error
}

// Purse pays with an actor's coins.
type Purse struct {
	Owner chaintest.Actor
	Book  *Book
	Kept  Kept
}

// Pay implements escrow.Purse.
func (p *Purse) Pay(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	tx, err := p.Prepare(ctx, d, purpose)
	if err != nil {
		return nil, err
	}
	return tx, p.Sign(tx)
}

// Sign implements escrow.SharedPurse.
func (p *Purse) Sign(tx *chain.Tx) error { return p.Owner.Sign(tx) }

// Drop implements escrow.SharedPurse.
func (p *Purse) Drop(ctx context.Context, tx chain.TxID, purpose string) error {
	return p.Kept.Release(ctx, purpose+" "+tx.String())
}

// Prepare implements escrow.SharedPurse: it adds coins to a draft and keeps them until it has expired.
func (p *Purse) Prepare(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	l := p.Book.Ledger
	if err := p.Kept.Expire(ctx, l.Clock().SlotToTime(p.Book.Tip()), 0); err != nil {
		return nil, err
	}
	all, err := p.Book.Coins(ctx)
	if err != nil {
		return nil, err
	}
	coins, collateral, err := p.Kept.Coins(ctx, slices.DeleteFunc(slices.Clone(all), func(u chain.UTxO) bool {
		return slices.ContainsFunc(d.Inputs, func(i chain.Input) bool { return i.Ref == u.Ref })
	}))
	if err != nil {
		return nil, err
	}
	tx, err := chain.Balance(d, coins, p.Owner.Address, collateral, l.Params(), l.Clock(), l.Network())
	if err != nil {
		return nil, err
	}
	body, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	var own []chain.OutRef
	for _, u := range all {
		if slices.Contains(body.Inputs, u.Ref) {
			own = append(own, u.Ref)
		}
	}
	return tx, p.Kept.Reserve(ctx, own, purpose+" "+tx.ID().String(), l.Clock().SlotToTime(d.Until))
}
