package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
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
	order    string // in words that are the same for the same payment
	dry, yes bool
	again    bool // even if the same payment was signed before and has not ended
	waiting
}

// waiting is how long a command waits for its transaction.
type waiting struct{ noWait, settled bool }

func (w *waiting) flags(c *cobra.Command) {
	c.Flags().BoolVar(&w.noWait, "no-wait", false, "do not wait until it is in the chain, only until the node has it")
	c.Flags().BoolVar(&w.settled, "settled", false, fmt.Sprintf("wait until no rollback can undo it: %d blocks", index.DefaultK))
}

// confirmations that are waited for, where policy of them are enough.
func (w waiting) confirmations(policy uint64) uint64 {
	switch {
	case w.noWait:
		return 0
	case w.settled:
		return index.DefaultK + 1
	}
	return policy
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
	f.BoolVar(&p.again, "again", false, "pay once more, even if the same payment was interrupted after it had been signed")
	p.flags(c)
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
	p.order = order("send", d, to, p.all)
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
	Depth   uint64         `json:"confirmations"`
	Stands  index.Standing `json:"standing,omitempty"`
	Resumed bool           `json:"resumed,omitempty"` // an interrupted command had signed it

	paid           []chain.Output
	change, leaves chain.Value
}

func (c *coffer) outgoing(tx *chain.Tx, message []string) (*outgoing, error) {
	body, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	o := &outgoing{
		Tx: body.ID, Pays: []jsonOutput{}, Fee: body.Fee, Spends: body.Inputs, Message: message, Until: c.timeOf(body.Until),
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
