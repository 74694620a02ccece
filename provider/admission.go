package provider

import (
	"cmp"
	"context"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// Quote answers a request with a firm, signed price that holds capacity and a bond until it expires; or refuses with
// a market.Refusal. The same request again gets the same quote while it lives.
func (d *Daemon) Quote(ctx context.Context, from peer.ID, req market.QuoteRequest) ([]byte, error) {
	if err := d.admissible(from, req); err != nil {
		return nil, err
	}
	has, err := d.Engine.HasImage(ctx, req.Image)
	if err != nil {
		return nil, err
	}
	if !has || !slices.Contains(d.cfg.Images, req.Image) {
		return nil, refuse(market.RefusedImage, "image %s is not here", req.Image)
	}
	request, err := market.Encode(req)
	if err != nil {
		return nil, refuse(market.RefusedOther, "%v", err)
	}
	params, err := d.Ledger.Params(ctx)
	if err != nil {
		return nil, err
	}
	now, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	d.desk.Lock()
	defer d.desk.Unlock()
	live, err := d.store.live(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range live {
		if r.State == reserved && r.Requester == from && slices.Equal(r.Request, request) && now <= r.Expires {
			return r.Quote, nil
		}
	}
	if err := d.fits(live, from, req); err != nil {
		return nil, err
	}
	return d.reserve(ctx, req, reservation{
		Requester: from, State: reserved, Request: request, Shards: req.Shards, Resources: req.Resources,
		Expires: now + millis(d.cfg.QuoteLife+d.cfg.MaxLockTime),
	}, now, params)
}

// admissible refuses what this provider never takes.
func (d *Daemon) admissible(from peer.ID, req market.QuoteRequest) error {
	c, p := d.Contracts, d.cfg.Policy
	switch {
	case req.Requester != from:
		return refuse(market.RefusedOther, "you are not %s", req.Requester)
	case req.Magic != c.Network.Magic || req.Contracts != c.Policy:
		return refuse(market.RefusedContracts, "this provider is on network %d with contracts %s", c.Network.Magic, c.Policy)
	case req.Kind == market.Training && req.Shards > 1:
		return refuse(market.RefusedResources, "one shard of a collective a provider, not %d", req.Shards)
	case req.Kind == market.Training && req.Resources.MemoryMiB<<20 <= uint64(d.cfg.ArenaBytes):
		return refuse(market.RefusedResources, "%d MiB of memory, of which a collective takes %d", req.Resources.MemoryMiB, d.cfg.ArenaBytes>>20)
	case req.Resources.DiskMiB == 0:
		return refuse(market.RefusedResources, "no disk asked for: a shard needs some for its outputs")
	case int64(req.Timeouts.Collect) < p.CommitLead:
		return refuse(market.RefusedOther, "timeouts.collect of %s: this provider needs %s to commit a result that is not approved",
			req.Timeouts.Collect, market.Millis(p.CommitLead))
	case int64(req.Timeouts.Start) < 2*p.DeclineLead:
		return refuse(market.RefusedOther, "timeouts.start of %s: this provider wants %s, half of it to decline if its inputs do not come",
			req.Timeouts.Start, market.Millis(2*p.DeclineLead))
	case uint64(req.Review) < c.Params.MinReviewMS || uint64(req.Review) > c.Params.MaxReviewMS:
		return refuse(market.RefusedContracts, "a review of %s is outside of what the contracts allow", req.Review)
	}
	if err := d.trusted(req); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.OfferSequence > d.offerSeq {
		return refuse(market.RefusedStale, "offer %d is not this provider's", req.OfferSequence)
	}
	return nil
}

// fits refuses what does not fit beside the reservations that live, or a requester that only collects quotes.
func (d *Daemon) fits(live []reservation, from peer.ID, req market.QuoteRequest) error {
	free, held, unpaid := d.cfg.Capacity, 0, d.price(req)
	for _, r := range live {
		unpaid += r.price()
		n := uint64(r.Shards)
		free.Slots -= min(free.Slots, r.Shards)
		free.MilliCPU -= min(free.MilliCPU, n*r.Resources.MilliCPU)
		free.MemoryMiB -= min(free.MemoryMiB, n*r.Resources.MemoryMiB)
		free.DiskMiB -= min(free.DiskMiB, n*r.Resources.DiskMiB)
		if r.State == reserved && r.Requester == from {
			held++
		}
	}
	switch {
	case d.cfg.Capacity.Fits(req.Resources) < req.Shards:
		return refuse(market.RefusedResources, "%d shards of that size do not fit on this machine", req.Shards)
	case held >= d.cfg.MaxQuotes:
		return refuse(market.RefusedBusy, "you hold %d quotes already: use or release them", held)
	case d.cfg.MaxUnpaid > 0 && unpaid > d.cfg.MaxUnpaid:
		return refuse(market.RefusedBusy, "%s NTX of unpaid work in all, this provider's limit is %s", market.FormatNTX(unpaid), market.FormatNTX(d.cfg.MaxUnpaid))
	case free.Fits(req.Resources) < req.Shards:
		return refuse(market.RefusedBusy, "%d shards would fit, but other jobs are running", req.Shards)
	}
	return nil
}

// price is what a request costs here.
func (d *Daemon) price(req market.QuoteRequest) uint64 {
	return d.cfg.RateUNTX * req.Timeouts.Run.Seconds() * uint64(req.Shards)
}

// price is what was quoted.
func (r reservation) price() uint64 {
	q, err := market.ReadQuote(r.Quote)
	if err != nil {
		return 0 // of another version: it holds capacity and no more
	}
	return q.PriceUNTX
}

// reserve picks the smallest coin that covers bond, lot and change, and keeps it for this reservation. The
// reservation is stored before its coin is kept: a crash in between leaves one that expires, of which nobody heard.
func (d *Daemon) reserve(ctx context.Context, req market.QuoteRequest, r reservation, now chain.Time, p chain.Params) ([]byte, error) {
	price := d.price(req)
	bond := market.Bond(price, d.cfg.BondBps)
	lot, err := d.Contracts.LotLovelace(p)
	if err != nil {
		return nil, err
	}
	coins, err := d.bondCoins(ctx, bond, lot, p)
	if err != nil {
		return nil, err
	}
	for _, u := range coins {
		if r.ID, err = newID(); err != nil {
			return nil, err
		}
		r.Bond = u.Ref
		if r.Quote, err = d.signQuote(req, r, u, price, now); err != nil {
			return nil, err
		}
		if err := d.store.addReservation(ctx, r); err != nil {
			return nil, err
		}
		if err := d.Wallet.Reserve(ctx, u.Ref, r.ID.String(), r.Expires); err != nil {
			d.Log.Warn("provider: a coin was taken for another purpose", "coin", u.Ref, "error", err)
			if err := d.store.drop(ctx, r.ID); err != nil {
				return nil, err
			}
			continue
		}
		d.Log.Info("provider: quoted", "reservation", r.ID, "requester", r.Requester, "price_untx", price)
		return r.Quote, nil
	}
	return nil, refuse(market.RefusedFunds, "no free coin covers a bond of %s NTX and %d lovelace", market.FormatNTX(bond), lot)
}

// bondCoins are the free coins that cover a bond, a lot's lovelace and the least change; those with least NTX first.
func (d *Daemon) bondCoins(ctx context.Context, bond uint64, lot chain.Lovelace, p chain.Params) ([]chain.UTxO, error) {
	coins, err := d.Book.Coins(ctx)
	if err != nil {
		return nil, err
	}
	if coins, err = d.Wallet.Available(ctx, coins); err != nil {
		return nil, err
	}
	ntx := d.Contracts.Params.NTX
	var found []chain.UTxO
	for _, u := range coins {
		rest, err := u.Value.Sub(chain.Coins(lot).With(ntx, bond))
		if err == nil && u.Script == nil && u.Datum == nil && rest.Coin >= p.MinCoin(chain.Output{Address: d.Wallet.Address(), Value: rest}) {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b chain.UTxO) int {
		return cmp.Or(cmp.Compare(a.Value.Of(ntx), b.Value.Of(ntx)), cmp.Compare(a.Value.Coin, b.Value.Coin), a.Ref.Compare(b.Ref))
	})
	return found, nil
}

func (d *Daemon) signQuote(req market.QuoteRequest, r reservation, bond chain.UTxO, price uint64, now chain.Time) ([]byte, error) {
	reqID, err := req.ID()
	if err != nil {
		return nil, err
	}
	magic := d.Contracts.Network.Magic
	vkey, _, err := d.SignBinding(market.BindMessage(magic, d.id))
	if err != nil {
		return nil, err
	}
	return market.SignQuote(market.Quote{
		Version: 1, Request: reqID, Requester: r.Requester, Provider: d.id, Reservation: r.ID, Magic: magic,
		Issued: now, Expires: r.Expires, PriceUNTX: price, BondBps: d.cfg.BondBps, PenaltyBps: d.cfg.PenaltyBps,
		Payment: d.Wallet.Address(), PaymentKey: vkey, BondInput: bond.Ref, BondAddress: bond.Address,
		BondValue: market.FundsOf(bond.Value), Change: d.Wallet.Address(), GPUs: d.gpuUUIDs(),
	}, d.Peer)
}

// Release ends a reservation of that requester's, unless its opening was signed already.
func (d *Daemon) Release(ctx context.Context, from peer.ID, id market.ReservationID) error {
	d.desk.Lock()
	defer d.desk.Unlock()
	r, ok, err := d.store.reservation(ctx, id)
	if err != nil {
		return err
	}
	if !ok || r.Requester != from {
		return refuse(market.RefusedUnknown, "no such reservation of yours")
	}
	return d.release(ctx, r)
}

func (d *Daemon) gpuUUIDs() []string {
	ids := make([]string, 0, len(d.cfg.GPUs))
	for _, g := range d.cfg.GPUs {
		ids = append(ids, g.UUID)
	}
	return ids
}
