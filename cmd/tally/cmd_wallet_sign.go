package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

func walletSignCommand(a *app) *cobra.Command {
	var s signing
	c := &cobra.Command{
		Use: "sign FILE", Short: "Show what a transaction in a file does to this wallet, and sign it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.file = args[0]
			return a.walletSign(cmd.Context(), s)
		},
	}
	f := c.Flags()
	f.StringVar(&s.out, "out", "", "file for the signature; else it goes to stdout")
	f.BoolVar(&s.cip30, "cip30", false, "write the signature as the hex of a witness set, as browser wallets do, instead of cardano-cli's file")
	f.BoolVar(&s.offline, "offline", false, "ask no node: on a machine without a network. What its inputs hold is not shown then")
	f.BoolVarP(&s.yes, "yes", "y", false, "do not ask")
	return c
}

// signing is what `tally wallet sign` was told.
type signing struct {
	file, out           string
	cip30, offline, yes bool
}

func readTx(path string) (*chain.Tx, error) {
	b, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	tx, err := chain.ReadTx(b)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return tx, fail(exitUsage, err, "it takes a transaction of the Conway era, as tally and cardano-cli write it to a file, or in hex, as browser wallets do")
}

func (a *app) walletSign(ctx context.Context, s signing) (err error) {
	tx, err := readTx(s.file)
	if err != nil {
		return err
	}
	n, err := a.network()
	if err != nil {
		return err
	}
	wl, err := a.openWallet(n)
	if err != nil {
		return err
	}
	ntx, known, clock := n.Contracts.NTX, []chain.UTxO(nil), (*chain.Clock)(nil)
	if !s.offline {
		nd, e := a.dial(ctx, n)
		if err = e; err != nil {
			return fail(exitNetwork, err, "start the node; or, on a machine without one, --offline signs by what the file says alone")
		}
		defer func() { err = errors.Join(err, nd.Close()) }()
		if known, err = nd.UTxOs(ctx, wl.Address()); err != nil {
			return err
		}
		clk, e := nd.Clock(ctx)
		if e != nil {
			return e
		}
		clock = &clk
		if len(known) == 0 {
			return fail(exitWallet, errors.New("this wallet holds nothing, so there is nothing of it to sign for"), "tally wallet address shows which wallet this is; --offline signs all the same")
		}
	}
	sigs, err := wl.SignReviewed(tx, known, func(r wallet.Review) error {
		a.printReview(r, ntx, s.offline, clock)
		if s.yes {
			return nil
		}
		ok, err := a.agrees("Sign?")
		if err == nil && !ok {
			err = errKept
		}
		return err
	})
	if err != nil {
		return fail(exitWallet, err, "nothing was signed")
	}
	return a.writeSignatures(s, sigs)
}

// writeSignatures writes a file for each signature, or one with all of them.
func (a *app) writeSignatures(s signing, sigs []chain.Signature) error {
	if s.cip30 {
		set := chain.WitnessSet(sigs)
		if s.out == "" {
			return a.print(map[string]string{"witness_set": set}, func(w io.Writer) { fmt.Fprintln(w, set) })
		}
		return writeFile(s.out, []byte(set+"\n"))
	}
	for i, sig := range sigs {
		switch {
		case s.out == "" && len(sigs) > 1:
			return usage(errors.New("there are two signatures, of the payment and the stake key: --out names the file of the first, --cip30 joins them"))
		case s.out == "":
			e := sig.Envelope()
			return a.print(e, func(w io.Writer) {
				fmt.Fprintf(w, "{\"type\": %q, \"description\": %q, \"cborHex\": %q}\n", e.Type, e.Description, e.CBORHex)
			})
		}
		name := s.out
		if i > 0 {
			name += ".stake"
		}
		if err := a.writeEnvelope(name, sig.Envelope()); err != nil {
			return err
		}
		a.note("The signature is in %s. Next: tally wallet submit %s --witness %s", name, s.file, name)
	}
	return nil
}

// printReview says in words what a transaction does to this wallet. Texts of others go through oneLine.
func (a *app) printReview(r wallet.Review, ntx chain.AssetID, offline bool, clock *chain.Clock) {
	rows := [][]string{{"tx", r.ID.String()}}
	row := func(what, text string) { rows = append(rows, []string{what, text}) }
	if offline {
		row("spends", fmt.Sprintf("%d outputs; what they hold, and whose they are, is not known here", r.Unknown))
	} else {
		for _, u := range r.Spends {
			row("spends", worth(u.Value, ntx)+" of yours, "+u.Ref.String())
		}
		if r.Unknown > 0 {
			row("spends", fmt.Sprintf("%d outputs that are not yours", r.Unknown))
		}
	}
	for _, o := range r.Pays {
		row("pays", worth(o.Value, ntx)+" to "+payee(o))
	}
	row("returns", worth(r.Returns, ntx)+" to you")
	row("fee", ada(r.Fee)+" ADA")
	for _, id := range sortedMint(r.Mint) {
		if q := r.Mint[id]; q > 0 {
			row("mints", fmt.Sprintf("%d %s", q, id))
		} else {
			row("burns", fmt.Sprintf("%d %s", -q, id))
		}
	}
	for _, e := range r.Extras {
		text := e.What
		if e.Gives > 0 {
			text += ": " + ada(e.Gives) + " ADA come into the transaction"
		}
		if e.Takes > 0 {
			text += ": " + ada(e.Takes) + " ADA leave it"
		}
		row("also", text)
	}
	if r.Scripts > 0 {
		row("scripts", fmt.Sprintf("it runs %d; what they allow is not shown here", r.Scripts))
	}
	for _, u := range r.Collateral {
		row("risks", worth(u.Value, ntx)+" of yours as collateral, if a script fails")
	}
	if r.Asked {
		row("asks", "for your signature by name: a script may take it as your consent")
	}
	for _, line := range r.Message {
		row("message", oneLine(line))
	}
	if r.Metadata {
		row("carries", "metadata that is not shown")
	}
	row("valid", validity(r, clock))
	row("in all", inAll(r, ntx, offline))
	if a.output == "json" {
		a.object(map[string]any{"review": rows})
	} else {
		columns(a.stderr, rows...)
	}
}

func payee(o chain.Output) string {
	if _, script := o.Address.Script(); script {
		return "the script at " + o.Address.String()
	}
	return o.Address.String()
}

func sortedMint(m map[chain.AssetID]int64) []chain.AssetID {
	ids := make([]chain.AssetID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, chain.AssetID.Compare)
	return ids
}

func validity(r wallet.Review, clock *chain.Clock) string {
	switch {
	case r.Until == 0:
		return "for ever: it can be sent at any time"
	case clock == nil:
		return fmt.Sprintf("from slot %d, before slot %d", r.From, r.Until)
	}
	return "until " + time.UnixMilli(int64(clock.SlotToTime(r.Until))).UTC().Format("2006-01-02 15:04:05Z")
}

// inAll is what the wallet has less and more afterwards.
func inAll(r wallet.Review, ntx chain.AssetID, offline bool) string {
	if offline {
		most, err := r.Most()
		if err != nil {
			return err.Error()
		}
		return "at most " + worth(most, ntx) + " leave you, if all that it spends is yours"
	}
	less, more, err := r.Net()
	switch {
	case err != nil:
		return err.Error()
	case less.Equal(chain.Value{}) && more.Equal(chain.Value{}):
		return "you have what you had"
	case more.Equal(chain.Value{}):
		return "you have " + worth(less, ntx) + " less"
	case less.Equal(chain.Value{}):
		return "you have " + worth(more, ntx) + " more"
	}
	return "you have " + worth(less, ntx) + " less and " + worth(more, ntx) + " more"
}
