package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
)

func walletTidyCommand(a *app) *cobra.Command {
	p := sending{validFor: 2 * time.Hour}
	c := &cobra.Command{
		Use: "tidy", Short: "Join small outputs into one, or set five ADA apart as collateral; one payment to yourself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.walletTidy(cmd.Context(), p)
		},
	}
	c.Flags().BoolVarP(&p.yes, "yes", "y", false, "do not ask")
	p.flags(c)
	return c
}

func (a *app) walletTidy(ctx context.Context, p sending) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	p.order = "tidy"
	if resumed, err := a.goOn(ctx, c, p, nil); resumed || err != nil {
		return err
	}
	coins, collateral, err := c.kept.Coins(ctx, c.all)
	if err != nil {
		return err
	}
	until, err := c.until(p.validFor)
	if err != nil {
		return err
	}
	d, needed := c.wallet.CollateralDraft(append(collateral, coins...), c.tip.Slot, until)
	if !needed && len(collateral) == 0 {
		if reserved, err := c.kept.All(ctx); err != nil || len(reserved) > 0 {
			return errors.Join(err, a.poor(ctx, c, chain.ErrCollateral))
		}
		return fail(exitFunds, chain.ErrCollateral, "no output of this wallet is large enough to take five ADA of: send it ten ADA")
	}
	for _, asset := range []chain.AssetID{c.net.Contracts.NTX, {}} {
		if !needed {
			d, needed = c.wallet.ConsolidationDraft(coins, asset, c.tip.Slot, until)
		}
	}
	if !needed {
		a.note("Nothing to do: there is collateral, and too few small outputs to be worth a fee.")
		return a.print(map[string]any{}, func(io.Writer) {})
	}
	return a.payAnew(ctx, c, p, d, func(coins, collateral []chain.UTxO) (*chain.Tx, error) { return c.balance(d, coins, collateral) })
}
