package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/provider"
)

// sold is a provider's job with what its lot brought.
type sold struct {
	provider.Record
	Lot        escrow.Status `json:"lot"`
	EarnedUNTX uint64        `json:"earned_untx"` // beyond the bond
	UnpaidUNTX uint64        `json:"unpaid_untx"` // its price, until the lot has ended
	BondUNTX   uint64        `json:"bond_untx"`   // until then, at stake
}

func (a *app) providerStatus(ctx context.Context) (err error) {
	if _, err := os.Stat(a.path("provider.db")); err != nil {
		return fail(exitConfig, fmt.Errorf("no provider has run in %s", a.home), "tally provider run starts one; --home names another directory")
	}
	p, err := a.open(ctx, access{look: true, past: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	db, err := openDB(a.path("provider.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	records, err := provider.Records(ctx, db)
	if err != nil {
		return fail(exitConfig, err, "check %s", a.path("provider.db"))
	}
	all, lots := make([]sold, len(records)), make([]escrow.Lot, len(records))
	for i, r := range records {
		l, err := p.book.Lot(ctx, escrow.Key{Job: plutus.JobID(r.Job), Provider: p.wallet.PaymentKey()})
		if err != nil {
			return err
		}
		e := escrow.ExposureOf(l)
		all[i] = sold{Record: r, Lot: l.Status, UnpaidUNTX: e.PricesUNTX, BondUNTX: e.BondsUNTX}
		lots[i] = l
		if l.Status.Final() {
			all[i].EarnedUNTX = l.ToProviderUNTX - min(l.ToProviderUNTX, l.BondUNTX)
		}
	}
	s := sales{Jobs: all, Exposure: escrow.ExposureOf(lots...)}
	if s.Stake, err = p.atStake(ctx); err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) { printSales(w, s) })
}

// sales is what a provider sold, and what it can lose.
type sales struct {
	Jobs     []sold          `json:"jobs"`
	Exposure escrow.Exposure `json:"exposure"`
	Stake    atStake         `json:"stake"`
}

// atStake is what a provider has at stake, in µNTX.
type atStake struct {
	BondedUNTX    uint64     `json:"bonded_untx"`               // what counts
	OfferedUNTX   uint64     `json:"offered_untx"`              // of that, what open lots may not lose: what requesters see
	UnbondingUNTX uint64     `json:"unbonding_untx"`            // what was asked back
	FreeAt        chain.Time `json:"unbonding_until,omitempty"` // when all of that can be withdrawn
}

func (p *party) atStake(ctx context.Context) (s atStake, err error) {
	own, err := p.book.Stakes(ctx, p.contracts, p.wallet.PaymentKey())
	if err != nil {
		return s, err
	}
	for _, x := range own {
		if x.Since != 0 {
			s.UnbondingUNTX += x.UNTX
			s.FreeAt = max(s.FreeAt, p.contracts.FreeAt(x))
		}
	}
	s.BondedUNTX = plutus.Counted(own, market.LeastStakeUNTX)
	free, err := p.book.FreeStakes(ctx)
	s.OfferedUNTX = free[p.wallet.PaymentKey()]
	return s, err
}

// printSales shows a provider's jobs, what they brought, and what it can lose.
func printSales(w io.Writer, s sales) {
	if len(s.Jobs) == 0 {
		fmt.Fprintln(w, "no jobs yet")
	} else {
		var sum uint64
		rows := [][]string{{"JOB", "PHASE", "LOT", "EARNED NTX", ""}}
		for _, j := range s.Jobs {
			sum += j.EarnedUNTX
			rows = append(rows, []string{j.Job.String(), string(j.Phase), j.Lot.String(), market.FormatNTX(j.EarnedUNTX), oneLine(j.Message)})
		}
		columns(w, append(rows, []string{"together", "", "", market.FormatNTX(sum), ""})...)
	}
	e := s.Exposure
	fmt.Fprintf(w, "unpaid work %s NTX, of which %s are not committed; bonds at stake %s NTX\n",
		market.FormatNTX(e.PricesUNTX), market.FormatNTX(e.OpenUNTX), market.FormatNTX(e.BondsUNTX))
	fmt.Fprintf(w, "stake %s NTX, of which open lots may lose %s: %s NTX are offered\n",
		market.FormatNTX(s.Stake.BondedUNTX), market.FormatNTX(e.AtRiskUNTX), market.FormatNTX(s.Stake.OfferedUNTX))
	if s.Stake.UnbondingUNTX > 0 {
		fmt.Fprintf(w, "unbonding %s NTX, free from %s on\n", market.FormatNTX(s.Stake.UnbondingUNTX), moment(s.Stake.FreeAt))
	}
}
