package main

import (
	"context"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// tidy joins small outputs whenever there are enough of them, until ctx ends: they come from settlements, and only a
// larger coin can put up a bond again. It also keeps collateral ready.
func (p *party) tidy(ctx context.Context) error {
	for {
		changed := p.book.Changed()
		if err := p.consolidate(ctx); err != nil && ctx.Err() == nil {
			p.app.logger.Warn("wallet: cannot join small outputs", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// consolidate is one payment of the wallet to itself, that sets collateral apart or joins small outputs. What it spends
// is reserved until it has expired, so the same outputs are not joined twice.
func (p *party) consolidate(ctx context.Context) error {
	all, err := p.book.Coins(ctx)
	if err != nil {
		return err
	}
	free, collateral, err := p.kept.Coins(ctx, all)
	if err != nil {
		return err
	}
	clock, err := p.node.Clock(ctx)
	if err != nil {
		return err
	}
	from := p.book.Tip()
	until, err := clock.TimeToSlot(clock.SlotToTime(from) + chain.Time(p.net.LockMS))
	if err != nil {
		return err
	}
	d, worth := p.wallet.CollateralDraft(slices.Concat(collateral, free), from, until)
	if !worth {
		d, worth = p.wallet.ConsolidationDraft(free, p.contracts.Params.NTX, from, until)
	}
	if !worth {
		return nil
	}
	tx, err := p.purse.Pay(ctx, d, "consolidate")
	if err != nil {
		return err
	}
	if err := p.ledger().Submit(ctx, tx.Bytes()); err != nil {
		return err
	}
	p.app.logger.Info("wallet: outputs joined, or collateral set apart", "outputs", len(d.Inputs), "tx", tx.ID())
	return nil
}
