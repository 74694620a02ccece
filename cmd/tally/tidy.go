package main

import (
	"context"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Every settlement pays a provider in an output of its own, with little more lovelace than the ledger's minimum: too
// little to be a bond's input again. So many of them are joined into one coin.
const (
	tidyAt   = 6                         // outputs at least
	tidyMost = 60                        // outputs at most, to fit a transaction
	tidyBig  = chain.Lovelace(5_000_000) // what holds more needs no joining
)

// tidy joins small outputs whenever there are enough of them, until ctx ends.
func (p *party) tidy(ctx context.Context) error {
	for {
		changed := p.book.Changed()
		if err := p.join(ctx); err != nil && ctx.Err() == nil {
			p.app.logger.Warn("wallet: cannot join small outputs", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// join is one payment of the wallet to itself. What it spends is reserved until it has expired, so the same outputs
// are not joined twice.
func (p *party) join(ctx context.Context) error {
	all, err := p.book.Coins(ctx)
	if err != nil {
		return err
	}
	free, _, err := p.kept.Coins(ctx, all)
	if err != nil {
		return err
	}
	var d chain.Draft
	for _, u := range free {
		if u.Value.Coin < tidyBig && u.Value.Of(p.contracts.Params.NTX) > 0 && u.Datum == nil && u.Script == nil && len(d.Inputs) < tidyMost {
			d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
		}
	}
	if len(d.Inputs) < tidyAt {
		return nil
	}
	clock, err := p.node.Clock(ctx)
	if err != nil {
		return err
	}
	d.From = p.book.Tip()
	if d.Until, err = clock.TimeToSlot(clock.SlotToTime(d.From) + chain.Time(p.net.LockMS)); err != nil {
		return err
	}
	tx, err := p.purse.Pay(ctx, d, "join")
	if err != nil {
		return err
	}
	if err := p.node.Submit(ctx, tx.Bytes()); err != nil {
		return fmt.Errorf("submit %s: %w", tx.ID(), err)
	}
	p.app.logger.Info("wallet: small outputs joined", "outputs", len(d.Inputs), "tx", tx.ID())
	return nil
}
