package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
)

// sending is what `tally wallet send` was told.
type sending struct {
	to       string
	amounts  []string
	all      bool
	message  string
	validFor time.Duration
	unsigned string // file for the unsigned transaction
	dry, yes bool
	noWait   bool
}

func walletSendCommand(a *app) *cobra.Command {
	var p sending
	c := &cobra.Command{
		Use: "send --to ADDRESS AMOUNT UNIT [AMOUNT UNIT]…", Short: "Pay somebody: 5 NTX 2.5 ADA",
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) > 0) == p.all {
				return errors.New("it takes amounts, such as 5 NTX 2.5 ADA, or --all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p.amounts = args
			return a.walletSend(cmd.Context(), p)
		},
	}
	f := c.Flags()
	f.StringVar(&p.to, "to", "", "address that is paid")
	f.BoolVar(&p.all, "all", false, "pay all there is; only the fee is taken off")
	f.StringVar(&p.message, "message", "", "public message that goes with it (CIP-20)")
	f.DurationVar(&p.validFor, "valid-for", 2*time.Hour, "after that it cannot enter the chain, and what it spends is free again")
	f.StringVar(&p.unsigned, "unsigned", "", "do not sign or send: write the transaction to this file, to be signed elsewhere")
	f.BoolVar(&p.dry, "dry-run", false, "show what would be paid, and end")
	f.BoolVarP(&p.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&p.noWait, "no-wait", false, "do not wait until it is in the chain")
	return c
}

// draft makes of a payment what it means on this network.
func (p sending) draft(c *coffer) (d chain.Draft, to chain.Address, err error) {
	if p.to == "" {
		return d, to, usage(errors.New("--to says whom to pay"))
	}
	if to, err = chain.ParseAddress(strings.TrimSpace(p.to)); err != nil {
		return d, to, fail(exitUsage, err, "copy the whole address again from where it comes from")
	}
	if to.NetworkID() != c.net.ID {
		err := fmt.Errorf("address %s is of another network than %s", to, c.net.Name)
		return d, to, fail(exitUsage, err, "addr1… is mainnet's, addr_test1… that of every test network")
	}
	v, err := parseAmounts(p.amounts, c.net.Contracts.NTX)
	if err != nil {
		return d, to, err
	}
	if !p.all {
		d.Outputs = []chain.Output{{Address: to, Value: v}}
	}
	if !utf8.ValidString(p.message) {
		return d, to, usage(errors.New("--message takes text in UTF-8"))
	}
	if p.validFor < time.Second {
		return d, to, usage(fmt.Errorf("--valid-for %s: a second at least", p.validFor))
	}
	d.Message, d.From = chain.MessageLines(p.message), c.tip.Slot
	d.Until, err = c.until(p.validFor)
	return d, to, err
}

func (a *app) walletSend(ctx context.Context, p sending) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	d, to, err := p.draft(c)
	if err != nil {
		return err
	}
	return a.pay(ctx, c, p, d, func(coins, collateral []chain.UTxO) (*chain.Tx, error) {
		if p.all {
			d := d
			for _, u := range append(collateral, coins...) {
				d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
			}
			tx, err := chain.Balance(d, nil, to, nil, c.params, c.clock, c.net.Chain())
			if rule := (*chain.RuleError)(nil); errors.As(err, &rule) && rule.Rule == "MaxTxSizeUTxO" {
				err = fmt.Errorf("all %d outputs at once: %w: %w", len(d.Inputs), chain.ErrFragmented, err)
			}
			return tx, err
		}
		tx, err := c.balance(d, coins, collateral)
		if errors.Is(err, chain.ErrInsufficient) && len(collateral) > 0 {
			// What is kept as collateral may hold much more: it pays too, if five ADA are kept anew.
			d := d
			d.Outputs = append(slices.Clone(d.Outputs), chain.Output{Address: c.wallet.Address(), Value: chain.Coins(wallet.CollateralLovelace)})
			if tx, err := c.balance(d, append(collateral, coins...), nil); err == nil {
				return tx, nil
			}
		}
		return tx, err
	})
}

// balance makes a transaction of a draft whose change comes back to the wallet.
func (c *coffer) balance(d chain.Draft, coins, collateral []chain.UTxO) (*chain.Tx, error) {
	return chain.Balance(d, coins, c.wallet.Address(), collateral, c.params, c.clock, c.net.Chain())
}

// purposeOf is what the outputs of a payment are reserved for.
func purposeOf(id chain.TxID) string { return "send " + id.String() }

// pay builds a transaction, shows it, asks, signs and submits it, as far as p says. What it spends is reserved from
// before it is shown until it has expired, so that what is shown is what is signed.
func (a *app) pay(ctx context.Context, c *coffer, p sending, d chain.Draft, build func(coins, collateral []chain.UTxO) (*chain.Tx, error)) error {
	if p.dry {
		coins, collateral, err := c.kept.Coins(ctx, c.all)
		if err != nil {
			return err
		}
		tx, err := build(coins, collateral)
		if err != nil {
			return a.poor(ctx, c, err)
		}
		o, err := c.outgoing(tx, d)
		if err != nil {
			return err
		}
		return a.print(o, func(w io.Writer) { columns(w, o.rows(c.net.Contracts.NTX)...) })
	}
	tx, err := c.kept.Take(ctx, c.all, purposeOf, c.clock.SlotToTime(d.Until), build)
	if err != nil {
		return a.poor(ctx, c, err)
	}
	o, err := a.send(ctx, c, p, tx, d)
	if err != nil && !o.sent { // nothing of it can be on the way
		return errors.Join(err, c.kept.Release(context.WithoutCancel(ctx), purposeOf(tx.ID())))
	}
	if err != nil {
		return err
	}
	return a.print(o, func(w io.Writer) {
		if o.sent {
			fmt.Fprintln(w, o.Tx)
		}
	})
}

// send takes a transaction of the wallet's own from being shown to where p wants it.
func (a *app) send(ctx context.Context, c *coffer, p sending, tx *chain.Tx, d chain.Draft) (*outgoing, error) {
	o, err := c.outgoing(tx, d)
	if err != nil {
		return &outgoing{}, err
	}
	if a.output != "json" {
		columns(a.stderr, o.rows(c.net.Contracts.NTX)...)
	}
	if p.unsigned != "" {
		if err := a.writeEnvelope(p.unsigned, tx.Envelope()); err != nil {
			return o, err
		}
		a.note("Its outputs are reserved until it expires. Next: tally wallet sign %s, where the key is; then tally wallet submit %s --witness FILE", p.unsigned, p.unsigned)
		return o, nil
	}
	if !p.yes {
		ok, err := a.agrees(worth(o.leaves, c.net.Contracts.NTX) + " leave this wallet. Send?")
		if err == nil && !ok {
			err = fail(exitWallet, errKept, "nothing was sent; -y skips the question")
		}
		if err != nil {
			return o, err
		}
	}
	if err := c.wallet.SignBuilt(tx); err != nil {
		return o, err
	}
	kept := a.path("sent", tx.ID().String()+".tx")
	if err := a.writeEnvelope(kept, tx.Envelope()); err != nil {
		return o, err
	}
	err = a.submit(ctx, c.node, tx, kept, !p.noWait)
	o.sent = !errors.Is(err, node.ErrRejected)
	o.InChain = err == nil && !p.noWait
	return o, err
}

// poor says with an error about too little money what else there is.
func (a *app) poor(ctx context.Context, c *coffer, err error) error {
	if errors.Is(err, chain.ErrFragmented) {
		return fail(exitFunds, err, "tally wallet tidy joins them, as often as it takes; or pay in several parts")
	}
	if !errors.Is(err, chain.ErrInsufficient) {
		return err
	}
	reserved, e := c.kept.All(ctx)
	if e != nil {
		return errors.Join(err, e)
	}
	hint := "tally wallet balance shows what there is; five ADA stay behind as collateral, only --all takes them too"
	if len(reserved) > 0 {
		hint = "some of it is reserved for transactions under way: tally wallet utxos shows for which, and until when"
	}
	return fail(exitFunds, err, "%s", hint)
}

// outgoing is what leaves the wallet with a transaction of its own.
type outgoing struct {
	Tx      chain.TxID     `json:"tx"`
	Pays    []jsonOutput   `json:"pays"`
	Fee     chain.Lovelace `json:"fee_lovelace"`
	Change  jsonValue      `json:"change"`
	Spends  []chain.OutRef `json:"spends"`
	Message []string       `json:"message,omitempty"`
	Until   time.Time      `json:"valid_until"`
	InChain bool           `json:"in_chain"`

	paid           []chain.Output
	change, leaves chain.Value
	sent           bool // it may be on its way, or in the chain
}

func (c *coffer) outgoing(tx *chain.Tx, d chain.Draft) (*outgoing, error) {
	body, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	o := &outgoing{
		Tx: body.ID, Pays: []jsonOutput{}, Fee: body.Fee, Spends: body.Inputs, Message: d.Message, Until: c.timeOf(body.Until),
		leaves: chain.Coins(body.Fee),
	}
	for _, x := range body.Outputs {
		if x.Address == c.wallet.Address() {
			o.change, err = o.change.Add(x.Value)
		} else {
			o.leaves, err = o.leaves.Add(x.Value)
			o.paid = append(o.paid, x.Output)
			o.Pays = append(o.Pays, jsonOutput{x.Address, toJSON(x.Value, c.net.Contracts.NTX)})
		}
		if err != nil {
			return nil, err
		}
	}
	o.Change = toJSON(o.change, c.net.Contracts.NTX)
	return o, nil
}

// rows are what a person sees before anything is signed.
func (o *outgoing) rows(ntx chain.AssetID) (rows [][]string) {
	for _, x := range o.paid {
		rows = append(rows, []string{"pays", worth(x.Value, ntx), "to " + x.Address.String()})
	}
	rows = append(rows,
		[]string{"fee", ada(o.Fee) + " ADA"},
		[]string{"change", worth(o.change, ntx), fmt.Sprintf("of %d outputs that it spends", len(o.Spends))},
	)
	for _, line := range o.Message {
		rows = append(rows, []string{"message", oneLine(line), "(public)"})
	}
	return append(rows, []string{"valid", "until " + o.Until.Format("2006-01-02 15:04:05Z")}, []string{"tx", o.Tx.String()})
}

func (c *coffer) timeOf(s chain.Slot) time.Time {
	return time.UnixMilli(int64(c.clock.SlotToTime(s))).UTC()
}

func (a *app) writeEnvelope(path string, e chain.TextEnvelope) error {
	b, err := json.MarshalIndent(e, "", "    ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

func walletTidyCommand(a *app) *cobra.Command {
	var yes, noWait bool
	c := &cobra.Command{
		Use: "tidy", Short: "Join small outputs into one, or set five ADA apart as collateral; one payment to yourself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.walletTidy(cmd.Context(), sending{validFor: 2 * time.Hour, yes: yes, noWait: noWait})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until it is in the chain")
	return c
}

func (a *app) walletTidy(ctx context.Context, p sending) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
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
	return a.pay(ctx, c, p, d, func(coins, collateral []chain.UTxO) (*chain.Tx, error) { return c.balance(d, coins, collateral) })
}
