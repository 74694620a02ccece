package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
)

// closing is what `tally close` was told.
type closing struct {
	job, out string
	shard    uint32
	award    uint64
	yes      bool
}

func closeCommand(a *app) *cobra.Command {
	var s closing
	c := &cobra.Command{
		Use: "close JOB SHARD NTX", Short: "Propose to a provider to end its lot now: it gets so much of all that the lot holds", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil {
				return usage(fmt.Errorf("shard %q: want a number", args[1]))
			}
			if s.award, err = market.ParseNTX(args[2]); err != nil {
				return usage(err)
			}
			s.job, s.shard = args[0], uint32(n)
			if s.out == "" {
				s.out = fmt.Sprintf("close-%s-%d.tx", s.job, s.shard)
			}
			return a.look(cmd.Context(), func(ctx context.Context, b *buyer) error { return b.proposeClosing(ctx, s) })
		},
	}
	c.Flags().StringVar(&s.out, "out", "", "file for the transaction (default close-JOB-SHARD.tx)")
	c.Flags().BoolVarP(&s.yes, "yes", "y", false, "do not ask")
	return c
}

// proposeClosing writes a closing to a file, with this wallet's signature: it is worth nothing without the provider's.
func (b *buyer) proposeClosing(ctx context.Context, s closing) error {
	o, err := b.req.Status(ctx, s.job)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(o.Lots, func(l requester.LotOutcome) bool { return slices.Contains(l.Shards, s.shard) })
	if i < 0 || o.Job == nil {
		return fail(exitNotFound, fmt.Errorf("job %s has no shard %d at a provider", o.ID, s.shard), "tally status %s shows its lots", o.ID)
	}
	provider, ok := o.Lots[i].Address.Key()
	if !ok {
		return fail(exitConfig, fmt.Errorf("the provider of shard %d has %s, no address of a key", s.shard, o.Lots[i].Address), "the job's record is damaged")
	}
	v, l, err := b.book.version(ctx, escrow.Key{Job: plutus.JobID(*o.Job), Provider: provider})
	if err != nil {
		return err
	}
	if l.Status == escrow.Absent || l.Status.Final() {
		return fail(exitRejected, fmt.Errorf("the lot of shard %d is %s", s.shard, l.Status), "tally escrow %s shows what became of it", o.ID)
	}
	held, err := v.held(ctx, l)
	if err != nil {
		return err
	}
	all := held.PriceUNTX + held.BondUNTX + held.DisputeBondUNTX
	if s.award > all {
		return usage(fmt.Errorf("%s NTX for the provider, the lot holds %s", market.FormatNTX(s.award), market.FormatNTX(all)))
	}
	holds := fmt.Sprintf("price %s NTX, bond %s NTX", market.FormatNTX(held.PriceUNTX), market.FormatNTX(held.BondUNTX))
	if held.DisputeBondUNTX > 0 {
		holds += fmt.Sprintf(", dispute bond %s NTX", market.FormatNTX(held.DisputeBondUNTX))
	}
	b.app.note("%s: %s. The provider would get %s NTX, and you %s NTX.", shardsOf(o.Lots[i].Shards), holds,
		market.FormatNTX(s.award), market.FormatNTX(all-s.award))
	if !s.yes {
		if ok, err := b.app.agrees("Propose that?"); err != nil || !ok {
			return fail(exitWallet, errors.Join(errKept, err), "nothing was signed; -y skips the question")
		}
	}
	f, clock, err := b.frame(ctx, v)
	if err != nil {
		return err
	}
	d, err := v.contracts.Close(held, l.Terms, s.award, f)
	if err != nil {
		return err
	}
	tx, err := b.purse.Pay(ctx, d, "close")
	if err != nil {
		return err
	}
	if err := b.app.writeEnvelope(s.out, tx.Envelope()); err != nil {
		return err
	}
	until := clock.SlotToTime(f.Until)
	b.app.note("Give the provider %s: tally provider close FILE, until %s, unless the lot changes before. You pay the fee.", s.out, moment(until))
	return b.app.print(map[string]any{"file": s.out, "tx": tx.ID(), "until": until}, func(w io.Writer) { fmt.Fprintln(w, s.out) })
}

// frame is a range from the tip on, as long as people may take, with the published scripts of a version.
func (p *party) frame(ctx context.Context, v *book) (f plutus.Frame, clock chain.Clock, err error) {
	if clock, err = p.node.Clock(ctx); err != nil {
		return f, clock, err
	}
	f.From = p.book.Tip()
	length := min(chain.Time(stakeValid.Milliseconds()), chain.Time(v.contracts.Params.MaxRangeMS))
	if f.Until, err = clock.TimeToSlot(clock.SlotToTime(f.From) + length); err != nil {
		return f, clock, err
	}
	f.References, err = v.References(ctx)
	return f, clock, err
}

// held is a lot as the output has it that holds it now.
func (b *book) held(ctx context.Context, l escrow.Lot) (plutus.Lot, error) {
	u, ok, err := b.Held(ctx, l.Ref)
	if err != nil {
		return plutus.Lot{}, err
	}
	if !ok {
		return plutus.Lot{}, fmt.Errorf("lot %s: its output %s is not there: %w", l.Key, l.Ref, escrow.ErrTransition)
	}
	return b.contracts.ReadLot(u, l.Terms)
}

// version is the book of the contracts that a lot was opened with, and the lot.
func (b *book) version(ctx context.Context, k escrow.Key) (*book, escrow.Lot, error) {
	for _, v := range b.versions() {
		l, err := v.lot(ctx, k)
		if err != nil || l.Status != escrow.Absent {
			return v, l, err
		}
	}
	return b, escrow.Lot{Key: k}, nil
}

func providerCloseCommand(a *app) *cobra.Command {
	var s submission
	yes := false
	c := &cobra.Command{
		Use: "close FILE", Short: "Look at the end that a requester proposes for a lot, sign it and hand it in", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s.file = args[0]
			tx, err := readTx(s.file)
			if err != nil {
				return err
			}
			p, err := a.open(cmd.Context(), access{look: true})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.close()) }()
			return p.run(cmd.Context(), func(ctx context.Context) error { return p.acceptClosing(ctx, tx, s, yes) })
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	s.flags(c)
	return c
}

// acceptClosing signs a closing that passes the checklist. Signed again it is the same transaction.
func (p *party) acceptClosing(ctx context.Context, tx *chain.Tx, s submission, yes bool) error {
	v, l, err := p.spends(ctx, tx)
	if err != nil {
		return err
	}
	if v == nil {
		_, _, there, err := p.ix.TxBlock(ctx, tx.ID())
		if err == nil && !there {
			err = fail(exitNotFound, errors.New("it spends no lot of this provider's"), "the lot may have changed or ended: tally provider status")
		}
		if err != nil {
			return err
		}
		p.app.note("It is in the chain already.")
		return p.app.print(map[string]any{"tx": tx.ID(), "in_chain": true}, func(w io.Writer) { fmt.Fprintln(w, tx.ID()) })
	}
	if err := p.witnessClosing(ctx, v, l, tx, yes); err != nil {
		return err
	}
	return p.app.handInFile(ctx, handover{
		node: p.node, kept: p.kept, tx: tx, at: []chain.Address{l.Terms.Requester, p.contracts.Address}, key: p.wallet.PaymentKey(),
		policy: p.net.Confirmations, depth: s.confirmations(p.net.Confirmations),
		again: "the same command again sends the same transaction: it ends the lot once", anew: "ask the requester for another",
	})
}

// spends finds the lot of this party's that a transaction spends; nil: none, as far as the index has come.
func (p *party) spends(ctx context.Context, tx *chain.Tx) (*book, escrow.Lot, error) {
	body, err := tx.Inspect()
	if err != nil {
		return nil, escrow.Lot{}, usage(err)
	}
	for _, v := range p.book.versions() {
		lots, err := v.Lots(ctx)
		if err != nil {
			return nil, escrow.Lot{}, err
		}
		for _, l := range lots {
			if !l.Status.Final() && l.Key.Provider == p.wallet.PaymentKey() && slices.Contains(body.Inputs, l.Ref) {
				return v, l, nil
			}
		}
	}
	return nil, escrow.Lot{}, nil
}

func (p *party) witnessClosing(ctx context.Context, v *book, l escrow.Lot, tx *chain.Tx, yes bool) error {
	params, err := p.node.Params(ctx)
	if err != nil {
		return err
	}
	clock, err := p.node.Clock(ctx)
	if err != nil {
		return err
	}
	resolved, err := p.node.UTxOs(ctx, l.Terms.Requester)
	if err != nil {
		return err
	}
	at, err := p.node.UTxOs(ctx, v.contracts.Address) // the lot, and the published scripts
	if err != nil {
		return err
	}
	vkey, sig, err := p.wallet.SignChecked(tx.Body(), func(chain.TxBody) error {
		s, err := escrow.CheckClosing(v.contracts, l, tx, append(resolved, at...), params, clock)
		if err != nil {
			return err
		}
		p.app.note("lot of job %s, %s: price %s NTX, bond %s NTX. You get %s NTX, the requester %s NTX.", l.Key.Job, l.Status,
			market.FormatNTX(l.PriceUNTX), market.FormatNTX(l.BondUNTX), market.FormatNTX(s.ProviderUNTX), market.FormatNTX(s.RequesterUNTX))
		if yes {
			return nil
		}
		ok, err := p.app.agrees("End it so?")
		if err == nil && !ok {
			err = errKept
		}
		return err
	})
	if err != nil {
		return fail(exitWallet, err, "nothing was signed; if the lot or the requester's coins changed meanwhile, ask for another")
	}
	return tx.AddWitness(vkey, sig)
}
