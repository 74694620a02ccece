package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
)

func approveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "approve JOB [SHARD…]", Short: "Pay the lots of these shards, or of all", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.wish(cmd.Context(), requester.Approve, args) },
	}
}

func disputeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "dispute JOB SHARD…", Short: "Have attesters decide on the lots of these shards, until their review ends", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.wish(cmd.Context(), requester.Dispute, args) },
	}
}

func concedeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "concede JOB SHARD…", Short: "Give up disputes over the lots of these shards: their providers are paid", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.wish(cmd.Context(), requester.Concede, args) },
	}
}

// wish records what is wanted of lots, and goes on with their job unless another process does.
func (a *app) wish(ctx context.Context, w requester.Wish, args []string) error {
	id, busy := args[0], false
	var shards []uint32
	for _, s := range args[1:] {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return usage(fmt.Errorf("shard %q: want a number", s))
		}
		shards = append(shards, uint32(n))
	}
	err := a.look(ctx, func(ctx context.Context, b *buyer) error {
		o, err := b.req.Status(ctx, id)
		if err != nil {
			return err
		}
		id, busy = o.ID, b.busy
		if len(shards) == 0 {
			for _, l := range o.Lots {
				if !l.Status.Final() {
					shards = append(shards, l.Shards[0])
				}
			}
		}
		for _, s := range shards {
			wanted, err := b.req.Wish(ctx, id, s, w)
			if err != nil {
				return err
			}
			a.note("%s", wishText(wanted))
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case busy:
		a.note("The tally that works on job %s does so.", id)
		return nil
	}
	return a.resume(ctx, id, p2p.DefaultListen)
}

func wishText(w requester.Wanted) string {
	lot := fmt.Sprintf("%s at %s: %s", shardsOf(w.Shards), short(w.Provider.String()), w.Wish)
	switch {
	case w.Waits:
		return lot + ", once its provider has committed a result"
	case w.Wish != requester.Dispute || w.Status == escrow.Disputed:
		return lot
	}
	return lot + ", which has to be in the chain until " + moment(w.Until)
}

func moment(t chain.Time) string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02 15:04:05 UTC")
}

// lotStory is what happened to a lot and what can happen next.
type lotStory struct {
	Provider  chain.KeyHash     `json:"provider"` // payment key
	Address   chain.Address     `json:"address"`
	Status    escrow.Status     `json:"status"`
	Place     plutus.Place      `json:"place,omitzero"` // in its slice
	PriceUNTX uint64            `json:"price_untx"`
	BondUNTX  uint64            `json:"bond_untx"`
	Steps     []lotStep         `json:"steps"`
	Next      []escrow.Prospect `json:"next"`

	ToProviderUNTX  uint64 `json:"to_provider_untx,omitempty"`
	ToRequesterUNTX uint64 `json:"to_requester_untx,omitempty"`
	ToPayeeUNTX     uint64 `json:"to_payee_untx,omitempty"`
	ToSinkUNTX      uint64 `json:"to_sink_untx,omitempty"`
	TakenUNTX       uint64 `json:"taken_untx,omitempty"` // of the provider's stake
}

type lotStep struct {
	Kind     escrow.Kind `json:"kind"`
	At       chain.Time  `json:"at"`
	Tx       chain.TxID  `json:"tx"`
	Standing string      `json:"standing"`
}

func escrowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "escrow JOB", Short: "What happened to a job's lots on chain, and what can happen next", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.look(cmd.Context(), func(ctx context.Context, b *buyer) error {
				all, now, err := b.stories(ctx, args[0])
				if err != nil {
					return err
				}
				return a.print(all, func(w io.Writer) { printStories(w, all, now) })
			})
		},
	}
}

// stories are those of a job's lots; id is this requester's own name for it, or the one on chain, of anybody's job.
func (b *buyer) stories(ctx context.Context, id string) ([]lotStory, chain.Time, error) {
	var job plutus.JobID
	if job.UnmarshalText([]byte(id)) != nil {
		o, err := b.req.Status(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if o.Job == nil {
			return nil, 0, fail(exitNotFound, fmt.Errorf("job %s is %s and was never on chain", o.ID, o.Phase), "tally status %s", o.ID)
		}
		job = plutus.JobID(*o.Job)
	}
	lots, err := b.book.JobLots(ctx, job)
	if err != nil {
		return nil, 0, err
	}
	if len(lots) == 0 {
		return nil, 0, fail(exitNotFound, fmt.Errorf("no lot of job %s is in the chain", job), "tally status lists your jobs")
	}
	clock, err := b.node.Clock(ctx)
	if err != nil {
		return nil, 0, err
	}
	now, standing := clock.SlotToTime(b.book.Tip()), b.standing(ctx)
	all := make([]lotStory, 0, len(lots))
	for _, l := range lots {
		s := lotStory{
			Provider: l.Key.Provider, Address: l.Address, Status: l.Status, Place: l.Place, PriceUNTX: l.PriceUNTX, BondUNTX: l.BondUNTX,
			Next: l.Outlook(now), ToProviderUNTX: l.ToProviderUNTX, ToRequesterUNTX: l.ToRequesterUNTX,
			ToPayeeUNTX: l.ToPayeeUNTX, ToSinkUNTX: l.ToSinkUNTX, TakenUNTX: l.TakenUNTX,
		}
		for k, tx := range l.Txs {
			s.Steps = append(s.Steps, lotStep{k, clock.SlotToTime(l.Slots[k]), tx, standing(tx)})
		}
		slices.SortFunc(s.Steps, func(a, b lotStep) int { return int(a.At - b.At) })
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b lotStory) int { return slices.Compare(a.Provider[:], b.Provider[:]) })
	return all, now, nil
}

func printStories(w io.Writer, all []lotStory, now chain.Time) {
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		status := s.Status.String()
		if s.Place.Of > 0 {
			status = fmt.Sprintf("in a slice, %d of %d", s.Place.Index+1, s.Place.Of)
		}
		fmt.Fprintf(w, "lot of %s: %s, price %s NTX, bond %s NTX\n", s.Address, status, market.FormatNTX(s.PriceUNTX), market.FormatNTX(s.BondUNTX))
		var rows [][]string
		for _, x := range s.Steps {
			rows = append(rows, []string{"  " + moment(x.At), string(x.Kind), x.Tx.String(), x.Standing})
		}
		columns(w, rows...)
		if s.Status.Final() {
			paid := fmt.Sprintf("  the provider got %s NTX, the requester %s", market.FormatNTX(s.ToProviderUNTX), market.FormatNTX(s.ToRequesterUNTX))
			if s.ToPayeeUNTX+s.ToSinkUNTX > 0 {
				paid += fmt.Sprintf("; the dispute cost %s, slashed were %s", market.FormatNTX(s.ToPayeeUNTX), market.FormatNTX(s.ToSinkUNTX))
				if s.TakenUNTX > 0 {
					paid += fmt.Sprintf(", and %s of the provider's stake", market.FormatNTX(s.TakenUNTX))
				}
			}
			fmt.Fprintln(w, paid)
		}
		rows = nil
		for _, p := range s.Next {
			rows = append(rows, []string{"  next", string(p.On), "by " + p.By, when(p, now), p.Then})
		}
		columns(w, rows...)
	}
}

// when is when a prospect can come true.
func when(p escrow.Prospect, now chain.Time) string {
	switch {
	case p.Until > 0:
		return "until " + moment(p.Until)
	case p.From > now:
		return "from " + moment(p.From) + " on"
	}
	return "now"
}
