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
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// stakeValid is how long transactions of stakes are valid, where the contracts allow so much.
const stakeValid = 20 * time.Minute

func providerStakeCommands(a *app) []*cobra.Command {
	var p sending
	taking := func(use, short string, run func(ctx context.Context, s *staker, p sending) error) *cobra.Command {
		var p sending
		c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asStaker(cmd.Context(), func(s *staker) error { return run(cmd.Context(), s, p) })
		}}
		p.stakeFlags(c)
		return c
	}
	stake := &cobra.Command{
		Use: "stake NTX", Short: "Put NTX at stake: verdicts take of it what a job's terms name", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			untx, err := market.ParseNTX(args[0])
			if err != nil {
				return usage(err)
			}
			return a.asStaker(cmd.Context(), func(s *staker) error { return s.deposit(cmd.Context(), untx, p) })
		},
	}
	p.stakeFlags(stake)
	stake.AddCommand(&cobra.Command{
		Use: "show", Short: "What this provider has at stake, and when it can be withdrawn", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asStaker(cmd.Context(), func(s *staker) error { return s.show(cmd.Context()) })
		},
	}, taking("withdraw", "Take back the stakes whose delay is over", func(ctx context.Context, s *staker, p sending) error { return s.withdraw(ctx, p) }))
	return []*cobra.Command{
		stake,
		taking("unstake", "Begin to take all stakes back; verdicts can still reach them until the delay is over", func(ctx context.Context, s *staker, p sending) error { return s.unbond(ctx, p) }),
	}
}

func (p *sending) stakeFlags(c *cobra.Command) {
	c.Flags().BoolVar(&p.dry, "dry-run", false, "show what would be sent, and end")
	c.Flags().BoolVarP(&p.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&p.again, "again", false, "once more, even if the same was interrupted after it had been signed")
	p.waiting.flags(c)
}

// staker is a provider's wallet, and what it has at stake.
type staker struct {
	*app
	*coffer
	contracts *plutus.Contracts
	stakes    []plutus.Stake // in the order of their outputs
}

func (a *app) asStaker(ctx context.Context, f func(*staker) error) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	s := &staker{app: a, coffer: c}
	if s.contracts, err = plutus.New(c.net.Chain(), c.net.Contracts); err != nil {
		return fail(exitConfig, err, "the contract parameters in network.json cannot be used")
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	return f(s)
}

// look reads what is at stake.
func (s *staker) look(ctx context.Context) error {
	at, err := s.node.UTxOs(ctx, s.contracts.StakeAddress)
	if err != nil {
		return err
	}
	s.stakes = nil
	for _, u := range at {
		if x, err := s.contracts.ReadStake(u); err == nil && x.Owner == s.wallet.PaymentKey() {
			s.stakes = append(s.stakes, x)
		}
	}
	slices.SortFunc(s.stakes, func(x, y plutus.Stake) int { return x.UTxO.Ref.Compare(y.UTxO.Ref) })
	return nil
}

func (s *staker) deposit(ctx context.Context, untx uint64, p sending) error {
	if untx < market.LeastStakeUNTX {
		return usage(fmt.Errorf("a stake of less than %s NTX does not count", market.FormatNTX(market.LeastStakeUNTX)))
	}
	if n := len(s.stakes); n >= plutus.MaxStakes {
		s.note("There are %d stakes already; the %d largest count.", n, plutus.MaxStakes)
	}
	f, err := s.frame(ctx)
	if err != nil {
		return err
	}
	d, err := s.contracts.Deposit(s.wallet.PaymentKey(), untx, s.params, f)
	if err != nil {
		return err
	}
	s.note("A stake comes back %s after tally provider unstake, less what verdicts take of it until then.", delay(s.contracts))
	p.order = order("stake", d, s.contracts.StakeAddress, false)
	return s.pay(ctx, s.coffer, p, d, s.builder(d))
}

// unbond begins to take back every stake that is bonded, each in a transaction of its own.
func (s *staker) unbond(ctx context.Context, p sending) error {
	p.order = "unbond"
	begun, err := s.goOn(ctx, s.coffer, p, nil)
	if err != nil {
		return err
	}
	if begun {
		if err := s.look(ctx); err != nil {
			return err
		}
	}
	for _, x := range s.stakes {
		if x.Since != 0 {
			continue
		}
		if begun { // the coins are others now
			if err := s.count(ctx); err != nil {
				return err
			}
		}
		begun = true
		f, err := s.frame(ctx)
		if err != nil {
			return err
		}
		d, err := s.contracts.Unbond(x, s.clock.SlotToTime(f.Until), s.params, f)
		if err != nil {
			return err
		}
		s.note("%s NTX begin to come back: tally provider stake withdraw takes them, in %s.", market.FormatNTX(x.UNTX), delay(s.contracts))
		if err := s.payAnew(ctx, s.coffer, p, d, s.builder(d)); err != nil {
			return err
		}
	}
	if !begun {
		s.note("Nothing is bonded.")
	}
	return nil
}

func (s *staker) withdraw(ctx context.Context, p sending) error {
	p.order = "withdraw"
	if resumed, err := s.goOn(ctx, s.coffer, p, nil); resumed || err != nil {
		return err
	}
	now := s.clock.SlotToTime(s.tip.Slot)
	var free []plutus.Stake
	for _, x := range s.stakes {
		if x.Since != 0 && s.contracts.FreeAt(x) <= now {
			free = append(free, x)
		}
	}
	if len(free) == 0 {
		s.note("No stake is free: tally provider stake show says when.")
		return nil
	}
	f, err := s.frame(ctx)
	if err != nil {
		return err
	}
	d, err := s.contracts.Withdraw(free, f)
	if err != nil {
		return err
	}
	return s.payAnew(ctx, s.coffer, p, d, s.builder(d))
}

// frame is a range from the tip on, with the published scripts.
func (s *staker) frame(ctx context.Context) (f plutus.Frame, err error) {
	f.From = s.tip.Slot
	if f.Until, err = s.scriptUntil(min(stakeValid, time.Duration(s.contracts.Params.MaxRangeMS)*time.Millisecond)); err != nil {
		return f, err
	}
	at, err := s.node.UTxOs(ctx, s.contracts.Address)
	f.References = s.contracts.FindReferences(at)
	return f, err
}

func (s *staker) builder(d chain.Draft) builder {
	return func(coins, collateral []chain.UTxO) (*chain.Tx, error) { return s.balance(d, coins, collateral) }
}

func delay(c *plutus.Contracts) string {
	return strings.TrimSuffix((time.Duration(c.Params.UnbondMS) * time.Millisecond).String(), "0m0s")
}

// stakeLine is a stake for people and programs.
type stakeLine struct {
	Ref   chain.OutRef `json:"ref"`
	UNTX  uint64       `json:"untx"`
	State string       `json:"state"`
	Since *time.Time   `json:"since,omitempty"`
	Free  *time.Time   `json:"free,omitempty"`
}

func (s *staker) show(context.Context) error {
	v := struct {
		Counted uint64      `json:"counted_untx"` // what requesters see, before what open lots may lose
		Stakes  []stakeLine `json:"stakes"`
	}{plutus.Counted(s.stakes, market.LeastStakeUNTX), []stakeLine{}}
	now := s.clock.SlotToTime(s.tip.Slot)
	rows := [][]string{{"STAKE", "NTX", "STATE", "FREE"}}
	for _, x := range s.stakes {
		l, free := stakeLine{Ref: x.UTxO.Ref, UNTX: x.UNTX, State: "bonded"}, "-"
		if x.Since != 0 {
			since, at := time.UnixMilli(int64(x.Since)).UTC(), time.UnixMilli(int64(s.contracts.FreeAt(x))).UTC()
			l.State, l.Since, l.Free, free = "unbonding", &since, &at, moment(s.contracts.FreeAt(x))
			if s.contracts.FreeAt(x) <= now {
				l.State = "free"
			}
		}
		v.Stakes = append(v.Stakes, l)
		rows = append(rows, []string{l.Ref.String(), market.FormatNTX(l.UNTX), l.State, free})
	}
	return s.print(v, func(w io.Writer) {
		columns(w, rows...)
		fmt.Fprintf(w, "%s NTX count\n", market.FormatNTX(v.Counted))
	})
}
