package requester

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// quote gets a firm quote for every shard, or none: where a provider says no, the next in rank is asked.
func (j *job) quote(ctx context.Context) error {
	spec := j.rec.Spec
	match, cancel := context.WithTimeout(ctx, spec.Job.Timeouts.Match.Duration())
	defer cancel()
	offers, _, err := j.r.Offers.Find(match, market.CapAny)
	if err != nil {
		return fmt.Errorf("%w: find offers: %w", ErrNoOffers, err)
	}
	params, err := j.r.Ledger.Params(ctx)
	if err != nil {
		return fmt.Errorf("protocol parameters: %w", err)
	}
	lovelace, err := j.r.Contracts.LotLovelace(params)
	if err != nil {
		return err
	}
	refused := map[peer.ID]error{}
	for {
		plan, err := j.r.match(ctx, spec.Job, spec.Image, offers, refused)
		if err != nil {
			return err
		}
		if !plan.OK() {
			return errors.Join(refusals(refused), planErr(plan))
		}
		if err := j.allow(plan); err != nil {
			return errors.Join(err, refusals(refused))
		}
		if err := j.replan(ctx, plan); err != nil {
			return err
		}
		no, err := j.ask(match, lovelace)
		if err != nil {
			return err
		}
		if len(no) == 0 {
			break
		}
		for id, why := range no {
			refused[id] = why
			j.tell(Event{Provider: id, Message: why.Error()})
		}
		if match.Err() != nil {
			return fmt.Errorf("%w: timeouts.match of %s is over: %w", ErrRefused, spec.Job.Timeouts.Match, refusals(refused))
		}
	}
	j.grant()
	return j.enter(ctx, Quoted, fmt.Sprintf("%d providers hold their offers", len(j.rec.Lots)))
}

// replan makes the lots those of the plan; quotes that still fit are kept, others released.
func (j *job) replan(ctx context.Context, plan market.Plan) error {
	before, kept := j.rec.Lots, map[peer.ID]bool{}
	j.rec.Lots = make([]lotRecord, 0, len(plan.Chosen))
	for _, c := range plan.Chosen {
		lot := lotRecord{Offer: c.Offer}
		for _, old := range before {
			if old.Quote != nil && old.Offer.Peer == c.Offer.Peer && len(old.Shards) == len(c.Shards) {
				lot, kept[c.Offer.Peer] = old, true
			}
		}
		lot.Shards, lot.PriceUNTX = c.Shards, c.PriceUNTX
		j.rec.Lots = append(j.rec.Lots, lot)
	}
	j.release(ctx, slices.DeleteFunc(before, func(l lotRecord) bool { return kept[l.Offer.Peer] }))
	return j.save(ctx)
}

// ask asks every provider that has not quoted yet, all at once, and records each quote as it comes.
func (j *job) ask(ctx context.Context, lovelace chain.Lovelace) (no map[peer.ID]error, err error) {
	var mu sync.Mutex
	no = map[peer.ID]error{}
	var saved error
	each(slices.Clone(j.rec.Lots), func(i int, lot lotRecord) {
		if lot.Quote != nil {
			return
		}
		err := j.askOne(ctx, &lot, lovelace)
		mu.Lock()
		defer mu.Unlock()
		if lot.Quote != nil { // even a bad one holds something
			j.rec.Lots[i] = lot
			saved = errors.Join(saved, j.save(context.WithoutCancel(ctx)))
		}
		if err != nil {
			no[lot.Offer.Peer] = err
		}
	})
	if saved != nil {
		return nil, saved
	}
	var bad []lotRecord
	for i, l := range j.rec.Lots {
		if no[l.Offer.Peer] != nil && l.Quote != nil {
			bad = append(bad, l)
			j.rec.Lots[i].Quote = nil
		}
	}
	j.release(context.WithoutCancel(ctx), bad)
	return no, nil
}

// askOne gets one provider's quote and checks that nothing in it is worse than its offer.
func (j *job) askOne(ctx context.Context, lot *lotRecord, lovelace chain.Lovelace) error {
	spec, o := j.rec.Spec, lot.Offer
	now, err := j.r.now(ctx)
	if err != nil {
		return err
	}
	lot.Request = market.QuoteRequest{
		Version: 1, Magic: j.r.Contracts.Network.Magic, Contracts: j.r.Contracts.Policy, Requester: j.r.id,
		RequesterAddress: j.r.Address, OfferSequence: o.Sequence, Name: spec.Job.Name, Kind: spec.Job.Kind,
		Image: spec.Image, Resources: spec.Job.Resources, Shards: uint32(len(lot.Shards)),
		Timeouts: spec.Job.Timeouts, Review: spec.Job.Window,
		Disputes: spec.Job.Disputes, VoucherEvery: spec.Job.Vouchers,
	}
	if _, err := rand.Read(lot.Request.Nonce[:]); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, j.r.cfg.CallTime)
	defer cancel()
	if err := j.r.Sellers.Connect(call, o.Peer, o.Addrs); err != nil {
		return fmt.Errorf("provider %s: %w", o.Peer, err)
	}
	signed, err := j.r.Sellers.Quote(call, o.Peer, lot.Request)
	if err != nil {
		return fmt.Errorf("provider %s: %w", o.Peer, err)
	}
	q, err := market.ReadQuote(signed)
	if err != nil {
		return fmt.Errorf("provider %s: %w", o.Peer, err)
	}
	lot.Quote, lot.Reservation = signed, q.Reservation
	if q, err = market.OpenQuote(signed, now, lot.Request, o); err != nil {
		return fmt.Errorf("provider %s: %w", o.Peer, err)
	}
	need := chain.Coins(lovelace).With(j.r.Contracts.Params.NTX, market.Bond(q.PriceUNTX, q.BondBps))
	if !q.BondValue.Value().Covers(need) {
		return fmt.Errorf("provider %s: its bond input %s does not cover bond and lot", o.Peer, q.BondInput)
	}
	lot.PriceUNTX = q.PriceUNTX
	return nil
}

// refusals says who said no, and why; nil if nobody did.
func refusals(no map[peer.ID]error) error {
	if len(no) == 0 {
		return nil
	}
	var all []string
	for _, err := range no {
		all = append(all, err.Error())
	}
	slices.Sort(all)
	return fmt.Errorf("%w: %s", ErrRefused, strings.Join(all, "; "))
}
