package provider

import (
	"context"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// publish offers what there is, anew at half of an offer's life.
func (d *Daemon) publish(ctx context.Context) {
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = d.cfg.OfferLife / 2
		if err := d.publishOnce(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("provider: cannot publish the offer, trying again", "error", err)
			wait = min(wait, 2*time.Second)
		}
	}
}

func (d *Daemon) publishOnce(ctx context.Context) error {
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	o, err := d.newOffer(ctx, now)
	if err != nil {
		return err
	}
	b, err := market.SignOffer(o, d.Peer, d.SignBinding)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.offerSeq = o.Sequence // before it is out: it may be answered before Publish returns
	d.mu.Unlock()
	if err := d.Publisher.Publish(ctx, b, o.Capabilities()); err != nil {
		return err
	}
	d.Log.Info("provider: offer published", "sequence", o.Sequence, "rate_untx", o.RateUNTX)
	return nil
}

func (d *Daemon) newOffer(ctx context.Context, now chain.Time) (market.Offer, error) {
	seq, err := d.store.nextSequence(ctx, uint64(now))
	if err != nil {
		return market.Offer{}, err
	}
	c := d.cfg
	return market.Offer{
		Version: market.OfferVersion, Magic: d.Contracts.Network.Magic, Contracts: d.Contracts.Policy,
		Sequence: seq, Issued: now, Expires: now + chain.Time(c.OfferLife.Milliseconds()),
		Peer: d.id, Addrs: c.Addrs(), Payment: d.Wallet.Address(),
		RateUNTX: c.RateUNTX, BondBps: c.BondBps, PenaltyBps: c.PenaltyBps,
		Capacity: c.Capacity, GPUs: c.GPUs, Isolation: c.Isolation.Tier(), OS: c.OS, Arch: c.Arch, Region: c.Region,
		Images: c.Images,
	}, nil
}
