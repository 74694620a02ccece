package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
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

func walletSubmitCommand(a *app) *cobra.Command {
	var witnesses []string
	var out string
	var noWait bool
	c := &cobra.Command{
		Use: "submit FILE", Short: "Complete a transaction in a file with signatures, and send it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.walletSubmit(cmd.Context(), args[0], witnesses, out, noWait)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&witnesses, "witness", nil, "file with a signature, of tally, cardano-cli or a browser wallet; for several say it again")
	f.StringVar(&out, "out", "", "write the complete transaction to this file and do not send it")
	f.BoolVar(&noWait, "no-wait", false, "do not wait until it is in the chain")
	return c
}

func (a *app) walletSubmit(ctx context.Context, file string, witnesses []string, out string, noWait bool) error {
	tx, err := readTx(file)
	if err != nil {
		return err
	}
	for _, w := range witnesses {
		b, err := readSmall(w)
		if err != nil {
			return err
		}
		if err := tx.AddWitnesses(b); err != nil {
			return fail(exitUsage, fmt.Errorf("%s: %w", w, err), "--witness takes a signature of this very transaction")
		}
	}
	if len(tx.Witnesses()) == 0 {
		return fail(exitUsage, errors.New("nobody has signed it"), "tally wallet sign %s; then --witness FILE", file)
	}
	if out != "" {
		return a.writeEnvelope(out, tx.Envelope())
	}
	n, err := a.network()
	if err != nil {
		return err
	}
	nd, err := a.dial(ctx, n)
	if err != nil {
		return err
	}
	if err := errors.Join(a.submit(ctx, nd, tx, file, !noWait), nd.Close()); err != nil {
		return err
	}
	return a.print(map[string]any{"tx": tx.ID(), "in_chain": !noWait}, func(w io.Writer) { fmt.Fprintln(w, tx.ID()) })
}

// submit sends a transaction, whose file stays, and waits until it is in the chain.
func (a *app) submit(ctx context.Context, nd *node.Node, tx *chain.Tx, file string, wait bool) error {
	body, err := tx.Inspect()
	if err != nil {
		return err
	}
	again := "tally wallet submit " + file + " sends the same transaction again: it moves money once, however often"
	err = nd.Submit(ctx, tx.Bytes())
	if errors.Is(err, node.ErrConnection) || errors.Is(err, node.ErrUnreachable) {
		return fail(exitNetwork, fmt.Errorf("whether %s was sent is not known: %w", tx.ID(), err), "%s", again)
	}
	if err != nil {
		l, e := look(ctx, nd, tx, body)
		late := body.Until != 0 && l.at >= body.Until
		missing := slices.ContainsFunc(chain.Broken(err), func(r *chain.RuleError) bool { return r.Rule == "BadInputsUTxO" })
		switch {
		case e != nil:
			return errors.Join(err, e)
		case l.made:
			a.note("It was in the chain already.")
			return nil
		case late && l.waits:
			return fail(exitRejected, fmt.Errorf("%s: %w: %w", tx.ID(), errExpired, err), "it can never move anything now; make it anew")
		case late || missing && !l.waits:
			return fail(exitRejected, fmt.Errorf("%s: %w: %w", tx.ID(), errGone, err), "look its id up before you pay again")
		}
		return err
	}
	if !wait {
		return nil
	}
	if err := a.awaitTx(ctx, nd, tx, body); err != nil {
		return fail(exitNetwork, fmt.Errorf("%s was sent, but is not seen in the chain: %w", tx.ID(), err), "%s", again)
	}
	return nil
}

var (
	// errExpired is a transaction that did not get into the chain in time.
	errExpired = errors.New("it has expired")
	// errGone is a transaction of which nothing is left to see.
	errGone = errors.New("what it spends is not there and neither is what it makes: it may have been in the chain, or something else was")
)

// looked is what a node's unspent outputs show of a transaction.
type looked struct {
	made  bool       // one that it makes is there: it is in the chain
	waits bool       // one that it spends is there: it is not
	at    chain.Slot // the tip
}

// look looks where the transaction pays, which is mostly where its change goes back to, and where its inputs are if it
// was built here. It may find neither: somebody can have spent what it made.
func look(ctx context.Context, nd *node.Node, tx *chain.Tx, body chain.TxBody) (l looked, err error) {
	var at []chain.Address
	for _, o := range body.Outputs {
		at = append(at, o.Address)
	}
	for _, u := range tx.Resolved() {
		at = append(at, u.Address)
	}
	slices.SortFunc(at, func(a, b chain.Address) int { return strings.Compare(a.String(), b.String()) })
	tip, _, us, err := nd.Snapshot(ctx, slices.Compact(at)...)
	for _, u := range us {
		l.made = l.made || u.Ref.Tx == body.ID
		l.waits = l.waits || slices.Contains(body.Inputs, u.Ref)
	}
	l.at = tip.Slot
	return l, err
}

// awaitTx waits until a transaction is seen, or has expired.
func (a *app) awaitTx(ctx context.Context, nd *node.Node, tx *chain.Tx, body chain.TxBody) error {
	built := len(tx.Resolved()) > 0
	for missed := 0; ; {
		l, err := look(ctx, nd, tx, body)
		if !l.waits && built {
			missed++ // addresses may have been looked at before and after a block
		}
		switch {
		case err != nil || l.made:
			return err
		case missed > 2:
			return errGone
		case body.Until != 0 && l.at >= body.Until && l.waits:
			return errExpired
		case body.Until != 0 && l.at >= body.Until:
			return errGone
		}
		a.live("waiting until it is in the chain")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
