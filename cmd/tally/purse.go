package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

// purse pays for drafts out of a wallet, with coins that the party's index shows and nobody has reserved.
type purse struct {
	node    rules
	book    *book
	wallet  *wallet.Wallet
	kept    *wallet.Reservations
	depth   time.Duration // how long a reservation outlives its transaction
	network chain.Network

	mu sync.Mutex // from choosing coins to reserving them
}

// rules are what a transaction must keep to now: asked anew for each, so that an update counts from its first block.
type rules interface {
	Params(ctx context.Context) (chain.Params, error)
	Clock(ctx context.Context) (chain.Clock, error)
}

// Pay implements escrow.Purse.
func (p *purse) Pay(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	tx, err := p.Prepare(ctx, d, purpose)
	if err != nil {
		return nil, err
	}
	return tx, p.wallet.SignBuilt(tx)
}

// Prepare implements escrow.SharedPurse.
func (p *purse) Prepare(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	return p.balance(ctx, d, func(id chain.TxID) string { return purposeWith(purpose, id) })
}

// Drop implements escrow.SharedPurse.
func (p *purse) Drop(ctx context.Context, tx chain.TxID, purpose string) error {
	return p.kept.Release(ctx, purposeWith(purpose, tx))
}

// purposeWith is what coins are reserved for that pay for a transaction; see payment.
func purposeWith(purpose string, tx chain.TxID) string { return purpose + " " + tx.String() }

// Balance adds coins to a draft and reserves them for a purpose until it has expired. Nothing is signed.
func (p *purse) Balance(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	return p.balance(ctx, d, func(chain.TxID) string { return purpose })
}

func (p *purse) balance(ctx context.Context, d chain.Draft, purpose func(chain.TxID) string) (*chain.Tx, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	params, err := p.node.Params(ctx)
	if err != nil {
		return nil, fmt.Errorf("protocol parameters: %w", err)
	}
	clock, err := p.node.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("clock: %w", err)
	}
	if err := p.kept.Expire(ctx, clock.SlotToTime(p.book.Tip()), chain.Time(p.depth.Milliseconds())); err != nil {
		return nil, err
	}
	all, err := p.book.Coins(ctx)
	if err != nil {
		return nil, fmt.Errorf("coins: %w", err)
	}
	return p.kept.Take(ctx, all, purpose, clock.SlotToTime(d.Until), func(coins, collateral []chain.UTxO) (*chain.Tx, error) {
		return chain.Balance(d, without(coins, d.Inputs), p.wallet.Address(), without(collateral, d.Inputs), params, clock, p.network)
	})
}

// Sign adds the wallet's witness to a transaction that Balance made.
func (p *purse) Sign(tx *chain.Tx) error { return p.wallet.SignBuilt(tx) }

// without are the coins that a draft does not spend already.
func without(all []chain.UTxO, inputs []chain.Input) []chain.UTxO {
	return slices.DeleteFunc(slices.Clone(all), func(u chain.UTxO) bool {
		return slices.ContainsFunc(inputs, func(i chain.Input) bool { return i.Ref == u.Ref })
	})
}

// pays says whether a transaction is one that Balance made and that has not expired.
func (p *purse) pays(ctx context.Context, tx chain.TxID) (bool, error) {
	all, err := p.kept.All(ctx)
	return slices.ContainsFunc(all, func(r wallet.Reservation) bool {
		id, ok := payment(r)
		return ok && id == tx
	}), err
}
