package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/tallycompute/tally/market"
)

// maxKey is the most bytes of a capability key.
const maxKey = 256

// publication is an offer and the capability keys it can be found by.
type publication struct {
	offer []byte
	keys  []string
}

// Publish stores this host's offer and names it under keys. The offer must pass the check for this host's peer ID. Run
// publishes it again until a newer one is published or it expires. ErrNoPeers says that no other node is known yet: the offer
// is kept, and Run publishes it as soon as it has joined.
func (d *DHT) Publish(ctx context.Context, offer []byte, keys []string) error {
	p := &publication{offer: slices.Clone(offer), keys: slices.Clone(keys)}
	if len(keys) > keysPerPeer {
		return fmt.Errorf("%w: %d capability keys, at most %d", ErrBadOffer, len(keys), keysPerPeer)
	}
	for _, k := range keys {
		if _, err := capability(k); err != nil {
			return err
		}
	}
	if err := d.check.Validate(market.OfferKey(d.host.ID()), p.offer); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	d.mu.Lock()
	d.newest = p
	d.mu.Unlock()
	return d.put(ctx, p)
}

func (d *DHT) put(ctx context.Context, p *publication) error {
	if err := d.kad.PutValue(ctx, market.OfferKey(d.host.ID()), p.offer); err != nil {
		return fmt.Errorf("publish offer: %w", noPeers(err))
	}
	var wg sync.WaitGroup
	errs := make([]error, len(p.keys))
	for i, key := range p.keys {
		id, err := capability(key)
		if err != nil {
			return err
		}
		wg.Go(func() {
			if err := d.kad.Provide(ctx, id, true); err != nil {
				errs[i] = fmt.Errorf("publish under %q: %w", key, noPeers(err))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (d *DHT) republish(ctx context.Context) {
	d.mu.Lock()
	p := d.newest
	d.mu.Unlock()
	if p == nil {
		return
	}
	if err := d.check.Validate(market.OfferKey(d.host.ID()), p.offer); err != nil {
		d.cfg.Log.Warn("dht: own offer is not published any more", "err", err)
		d.mu.Lock()
		if d.newest == p {
			d.newest = nil
		}
		d.mu.Unlock()
		return
	}
	if err := d.put(ctx, p); err != nil && ctx.Err() == nil {
		d.cfg.Log.Warn("dht: publish again", "err", err)
	}
}

// capability maps a capability key to the identifier that its provider records are stored under.
func capability(key string) (cid.Cid, error) {
	if key == "" || len(key) > maxKey {
		return cid.Undef, fmt.Errorf("%w: a capability key of %d bytes, want 1 to %d", ErrBadOffer, len(key), maxKey)
	}
	sum, err := multihash.Sum([]byte("/tally/capability/1/"+key), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, fmt.Errorf("capability key: %w", err)
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}
