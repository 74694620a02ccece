package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

// submission is what `tally wallet submit` was told.
type submission struct {
	file      string
	witnesses []string
	out       string
	waiting
}

func walletSubmitCommand(a *app) *cobra.Command {
	var s submission
	c := &cobra.Command{
		Use: "submit FILE", Short: "Complete a transaction in a file with signatures, and send it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.file = args[0]
			return a.walletSubmit(cmd.Context(), s)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&s.witnesses, "witness", nil, "file with a signature, of tally, cardano-cli or a browser wallet; for several say it again")
	f.StringVar(&s.out, "out", "", "write the complete transaction to this file and do not send it")
	s.flags(c)
	return c
}

func (a *app) walletSubmit(ctx context.Context, s submission) error {
	tx, err := readTx(s.file)
	if err != nil {
		return err
	}
	for _, w := range s.witnesses {
		b, err := readSmall(w)
		if err != nil {
			return err
		}
		if err := tx.AddWitnesses(b); err != nil {
			return fail(exitUsage, fmt.Errorf("%s: %w", w, err), "--witness takes a signature of this very transaction")
		}
	}
	if len(tx.Witnesses()) == 0 {
		return fail(exitUsage, errors.New("nobody has signed it"), "tally wallet sign %s; then --witness FILE", s.file)
	}
	if s.out != "" {
		return a.writeEnvelope(s.out, tx.Envelope())
	}
	return a.submit(ctx, tx, s)
}

// submit takes a signed transaction into the chain. Of one of this wallet's own payments it knows where it was built.
func (a *app) submit(ctx context.Context, tx *chain.Tx, s submission) (err error) {
	n, err := a.network()
	if err != nil {
		return err
	}
	nd, err := a.dial(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nd.Close()) }()
	kept, err := wallet.OpenReservations(ctx, a.path("wallet.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	h := handover{
		node: nd, kept: kept, tx: tx, policy: n.Confirmations, depth: s.confirmations(n.Confirmations),
		again: "tally wallet submit " + s.file + " sends the same transaction again: it moves money once, however often",
		anew:  "make it anew",
	}
	all, err := kept.Payments(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(x wallet.Payment) bool { return x.Tx == tx.ID() })
	if i < 0 {
		return a.handInFile(ctx, h)
	}
	body, err := tx.Inspect()
	if err != nil {
		return err
	}
	h.since = sinceBuilt(all[i], body)
	tip, err := nd.Tip(ctx)
	if err != nil {
		return err
	}
	clock, err := nd.Clock(ctx)
	if err != nil {
		return err
	}
	if err = a.handInFile(ctx, h); err != nil {
		gone := all[i].Until + chain.Time(n.MarginMS)
		return errors.Join(err, over(context.WithoutCancel(ctx), kept, tx.ID(), err, clock.SlotToTime(tip.Slot), gone))
	}
	return kept.End(context.WithoutCancel(ctx), tx.ID())
}

// handInFile hands a transaction in, and says that it is there.
func (a *app) handInFile(ctx context.Context, h handover) error {
	depth, err := a.handIn(ctx, h)
	if err != nil {
		return err
	}
	v := map[string]any{"tx": h.tx.ID(), "in_chain": depth > 0, "confirmations": depth, "standing": standingOf(depth, h.policy)}
	return a.print(v, func(w io.Writer) { fmt.Fprintln(w, h.tx.ID()) })
}
