package requester

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Plan finds offers and matches them. It locks nothing and asks no provider. A plan that is not OK says why, and what
// would help.
func (r *Requester) Plan(ctx context.Context, job market.Job, image market.ImageDigest) (market.Plan, []Dropped, error) {
	ctx, cancel := context.WithTimeout(ctx, job.Timeouts.Match.Duration())
	defer cancel()
	offers, dropped, err := r.Offers.Find(ctx, market.CapAny)
	if err != nil {
		return market.Plan{}, dropped, fmt.Errorf("%w: find offers: %w", ErrNoOffers, err)
	}
	plan, err := r.match(ctx, job, image, offers, nil)
	return plan, dropped, err
}

// match chooses among the offers of peers that have not said no.
func (r *Requester) match(ctx context.Context, job market.Job, image market.ImageDigest, offers []market.Offer, no map[peer.ID]error) (market.Plan, error) {
	now, err := r.now(ctx)
	if err != nil {
		return market.Plan{}, err
	}
	needs := job.Needs(now, r.Contracts.Network.Magic, r.Contracts.Policy, image)
	needs.Distinct = job.Collective()
	if needs.Providers, err = r.most(ctx, job); err != nil {
		return market.Plan{}, err
	}
	if needs.Stakes, err = r.Blocks.FreeStakes(ctx); err != nil {
		return market.Plan{}, fmt.Errorf("the providers' stakes: %w", err)
	}
	return market.Match(needs, slices.DeleteFunc(slices.Clone(offers), func(o market.Offer) bool {
		return no[o.Peer] != nil || o.Peer == r.id
	})), nil
}

// most is how many providers one opening of a job has room for.
func (r *Requester) most(ctx context.Context, job market.Job) (uint32, error) {
	refs, err := r.Blocks.References(ctx)
	if err != nil {
		return 0, fmt.Errorf("published scripts: %w", err)
	}
	t := market.Terms{Timeouts: job.Timeouts, VoucherEvery: job.Vouchers, Disputes: job.Disputes}
	t.Lots = make([]market.LotTerms, min(job.Shards.All(), plutus.MostShares))
	t.DeclineBy, t.CommitBy = market.Deadlines(t.LockUntil, t.Timeouts, r.cfg.Margin)
	if r.sliced(t, refs) {
		return plutus.MostShares, nil
	}
	return plutus.MostLots, nil
}

// sliced says whether a job of these terms is opened in slices.
func (r *Requester) sliced(t market.Terms, refs []chain.UTxO) bool {
	return r.cfg.Turns.Slices(t) && r.Contracts.Whole(refs)
}

// planErr says why a plan cannot be used; nil: it can.
func planErr(p market.Plan) error {
	if p.OK() {
		return nil
	}
	kind := ErrNoOffers
	for _, rejected := range p.Rejected {
		for _, why := range rejected.Reasons {
			if why.Code == market.ReasonBudget {
				kind = ErrNotEnough
			}
		}
	}
	var help []string
	for _, x := range p.Relaxations {
		help = append(help, x.String())
	}
	if len(help) > 0 {
		return fmt.Errorf("%w: %w; this would do: %s", kind, p.Err(), strings.Join(help, "; or "))
	}
	return fmt.Errorf("%w: %w", kind, p.Err())
}

// leastLovelace is for the fees of opening and of settling with attached scripts, and what a change output must hold. With
// less a job could open and its requester could not afford to approve it.
const leastLovelace chain.Lovelace = 4_000_000

// affordable compares a plan with the wallet, and with the most that may be locked at a time (0: no bound), before
// anyone is asked.
func (r *Requester) affordable(ctx context.Context, p market.Plan, most uint64) error {
	if err := planErr(p); err != nil {
		return err
	}
	locked, err := r.locked(ctx)
	if err != nil {
		return err
	}
	if most > 0 && locked+p.TotalUNTX > most {
		return fmt.Errorf("%w: %s NTX are locked in other jobs and this one costs %s; at most %s are to be locked at a time",
			ErrNotEnough, market.FormatNTX(locked), market.FormatNTX(p.TotalUNTX), market.FormatNTX(most))
	}
	coins, err := r.Purse.Coins(ctx)
	if err != nil {
		return fmt.Errorf("the wallet's coins: %w", err)
	}
	var ntx uint64
	var ada chain.Lovelace
	for _, u := range coins {
		ntx += u.Value.Of(r.Contracts.Params.NTX)
		ada += u.Value.Coin
	}
	if ntx < p.TotalUNTX {
		return fmt.Errorf("%w: the job costs %s NTX, the wallet has %s free; send NTX to %s",
			ErrNotEnough, market.FormatNTX(p.TotalUNTX), market.FormatNTX(ntx), r.Address)
	}
	if ada < leastLovelace {
		return fmt.Errorf("%w: opening a job and paying its providers takes %d lovelace to be safe, the wallet has %d free beside its collateral; send ADA to %s",
			ErrNotEnough, leastLovelace, ada, r.Address)
	}
	return nil
}

// locked is what jobs that have not ended hold, or may come to hold, in their lots.
func (r *Requester) locked(ctx context.Context) (untx uint64, err error) {
	all, err := r.store.all(ctx)
	if err != nil {
		return 0, err
	}
	for _, rec := range all {
		if rec.Done {
			continue
		}
		for _, l := range rec.Lots {
			lot := escrow.Lot{}
			if rec.Terms != nil {
				if lot, err = r.Book.Lot(ctx, (&job{r: r, rec: rec}).key(l)); err != nil {
					return 0, err
				}
			}
			if !lot.Status.Final() {
				untx += l.PriceUNTX
			}
		}
	}
	return untx, nil
}

// allow asks for a yes to a plan that costs more than what was allowed before.
func (j *job) allow(p market.Plan) error {
	if p.TotalUNTX <= j.rec.Allowed {
		return nil
	}
	if j.confirm == nil {
		if j.rec.Allowed > 0 {
			return fmt.Errorf("%w: the job costs %s NTX now, %s were confirmed", ErrNotEnough,
				market.FormatNTX(p.TotalUNTX), market.FormatNTX(j.rec.Allowed))
		}
	} else if err := j.confirm(p); err != nil {
		return fmt.Errorf("%w: %w", ErrDeclined, err)
	}
	j.rec.Allowed = p.TotalUNTX
	return nil
}
