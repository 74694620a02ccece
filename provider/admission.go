package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// Quote answers a request with a firm, signed price that holds capacity and a bond until it expires; or refuses with
// a market.Refusal.
func (d *Daemon) Quote(ctx context.Context, from peer.ID, req market.QuoteRequest) ([]byte, error) {
	if err := d.admissible(from, req); err != nil {
		return nil, err
	}
	image := req.Image
	if !slices.Contains(d.cfg.Images, image) {
		return nil, refuse(market.RefusedImage, "image %s is not here", image)
	}
	params, err := d.Ledger.Params(ctx)
	if err != nil {
		return nil, err
	}
	now, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	lot, err := d.Contracts.LotLovelace(params)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fits(ctx, req); err != nil {
		return nil, err
	}
	price := d.cfg.RateUNTX * req.Timeouts.Run.Seconds() * uint64(req.Shards)
	id, err := newID()
	if err != nil {
		return nil, err
	}
	expires := now + chain.Time((d.cfg.QuoteLife + d.cfg.MaxLockTime).Milliseconds())
	bond, err := d.reserveBond(ctx, id, market.Bond(price, d.cfg.BondBps), lot, params, expires)
	if err != nil {
		return nil, err
	}
	signed, err := d.keep(ctx, id, from, req, bond, price, now, expires)
	if err != nil {
		return nil, fmt.Errorf("quote: %w", errors.Join(err, d.Wallet.Release(ctx, id.String())))
	}
	d.Log.Info("provider: quoted", "reservation", id, "requester", from, "price_untx", price)
	return signed, nil
}

// keep signs the quote and records the reservation.
func (d *Daemon) keep(ctx context.Context, id market.ReservationID, from peer.ID, req market.QuoteRequest, bond chain.UTxO, price uint64, now, expires chain.Time) ([]byte, error) {
	reqID, err := req.ID()
	if err != nil {
		return nil, err
	}
	request, err := market.Encode(req)
	if err != nil {
		return nil, err
	}
	vkey, _, err := d.SignBinding(market.BindMessage(d.Contracts.Network.Magic, d.id))
	if err != nil {
		return nil, err
	}
	signed, err := market.SignQuote(market.Quote{
		Version: 1, Request: reqID, Requester: from, Provider: d.id, Reservation: id, Magic: d.Contracts.Network.Magic,
		Issued: now, Expires: expires, PriceUNTX: price, BondBps: d.cfg.BondBps, PenaltyBps: d.cfg.PenaltyBps,
		Payment: d.Wallet.Address(), PaymentKey: vkey, BondInput: bond.Ref, BondAddress: bond.Address,
		BondValue: market.FundsOf(bond.Value), Change: d.Wallet.Address(), GPUs: d.gpuUUIDs(),
	}, d.Peer)
	if err != nil {
		return nil, err
	}
	return signed, d.store.addReservation(ctx, reservation{
		ID: id, Requester: from, State: reserved, Request: request, Quote: signed, Bond: bond.Ref, Expires: expires,
		Shards: req.Shards, Resources: req.Resources,
	})
}

// admissible refuses what this provider never takes.
func (d *Daemon) admissible(from peer.ID, req market.QuoteRequest) error {
	switch {
	case req.Requester != from:
		return refuse(market.RefusedOther, "you are not %s", req.Requester)
	case req.Magic != d.Contracts.Network.Magic || req.Contracts != d.Contracts.Policy:
		return refuse(market.RefusedContracts, "this provider is on network %d with contracts %s", d.Contracts.Network.Magic, d.Contracts.Policy)
	case req.Kind == market.Training && req.Shards > 1:
		return refuse(market.RefusedResources, "one shard of a collective a provider, not %d", req.Shards)
	}
	review := uint64(req.Review)
	if review < d.Contracts.Params.MinReviewMS || review > d.Contracts.Params.MaxReviewMS {
		return refuse(market.RefusedContracts, "a review of %s is outside of what the contracts allow", req.Review)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.OfferSequence > d.offerSeq {
		return refuse(market.RefusedStale, "offer %d is not this provider's", req.OfferSequence)
	}
	return nil
}

// fits refuses what does not fit beside the reservations that live.
func (d *Daemon) fits(ctx context.Context, req market.QuoteRequest) error {
	live, err := d.store.live(ctx)
	if err != nil {
		return err
	}
	free := d.cfg.Capacity
	for _, r := range live {
		n := uint64(r.Shards)
		free.Slots -= min(free.Slots, r.Shards)
		free.MilliCPU -= min(free.MilliCPU, n*r.Resources.MilliCPU)
		free.MemoryMiB -= min(free.MemoryMiB, n*r.Resources.MemoryMiB)
		free.DiskMiB -= min(free.DiskMiB, n*r.Resources.DiskMiB)
	}
	if free.Fits(req.Resources) >= req.Shards {
		return nil
	}
	if d.cfg.Capacity.Fits(req.Resources) >= req.Shards {
		return refuse(market.RefusedBusy, "%d shards would fit, but other jobs are running", req.Shards)
	}
	return refuse(market.RefusedResources, "%d shards of that size do not fit on this machine", req.Shards)
}

// reserveBond picks the smallest coin that covers bond, lot and change, and keeps it for this reservation.
func (d *Daemon) reserveBond(ctx context.Context, id market.ReservationID, bond uint64, lot chain.Lovelace, p chain.Params, until chain.Time) (chain.UTxO, error) {
	coins, err := d.Book.Coins(ctx)
	if err != nil {
		return chain.UTxO{}, err
	}
	coins, err = d.Wallet.Available(ctx, coins)
	if err != nil {
		return chain.UTxO{}, err
	}
	ntx := d.Contracts.Params.NTX
	slices.SortFunc(coins, func(a, b chain.UTxO) int {
		if a.Value.Of(ntx) != b.Value.Of(ntx) {
			if a.Value.Of(ntx) < b.Value.Of(ntx) {
				return -1
			}
			return 1
		}
		return a.Ref.Compare(b.Ref)
	})
	for _, u := range coins {
		if u.Script != nil || u.Datum != nil || u.Value.Of(ntx) < bond {
			continue
		}
		rest, err := u.Value.Sub(chain.Coins(lot).With(ntx, bond))
		if err != nil || rest.Coin < p.MinCoin(chain.Output{Address: d.Wallet.Address(), Value: rest}) {
			continue
		}
		if err := d.Wallet.Reserve(ctx, u.Ref, id.String(), until); err != nil {
			continue // another purpose took it in between
		}
		return u, nil
	}
	return chain.UTxO{}, refuse(market.RefusedFunds, "no free coin covers a bond of %s NTX and %d lovelace", market.FormatNTX(bond), lot)
}

// Release ends a reservation of that requester's, unless its opening was signed already.
func (d *Daemon) Release(ctx context.Context, from peer.ID, id market.ReservationID) error {
	r, ok, err := d.store.reservation(ctx, id)
	if err != nil {
		return err
	}
	if !ok || r.Requester != from {
		return refuse(market.RefusedUnknown, "no such reservation of yours")
	}
	return d.release(ctx, r.ID)
}

func (d *Daemon) gpuUUIDs() []string {
	ids := make([]string, 0, len(d.cfg.GPUs))
	for _, g := range d.cfg.GPUs {
		ids = append(ids, g.UUID)
	}
	return ids
}
