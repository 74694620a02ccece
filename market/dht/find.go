package dht

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tallycompute/tally/market"
)

const (
	maxHints   = 1024 // provider records followed in one Find
	fetchers   = 16   // offers fetched at once
	maxReasons = 256  // reasons kept in one Find
)

// Found is a peer with its checked offer.
type Found struct {
	Peer  peer.ID
	Addrs []ma.Multiaddr
	Offer []byte
}

// Rejected is a peer that is named as a provider and was dropped, and why.
type Rejected struct {
	Peer   peer.ID
	Reason error
}

// Result is what Find found.
type Result struct {
	Found    []Found
	Rejected []Rejected
}

// Find looks for at most limit offers under a capability key. It returns what it has when ctx ends, too: a search of a large
// network is bounded by its caller's deadline. The error is not nil only if nobody could be asked.
func (d *DHT) Find(ctx context.Context, key string, limit int) (Result, error) {
	id, err := capability(key)
	if err != nil {
		return Result{}, err
	}
	if limit < 1 {
		return Result{}, nil
	}
	if d.Peers() == 0 && len(d.cfg.Bootstrap) > 0 {
		return Result{}, fmt.Errorf("find %q: %w", key, ErrNoPeers)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		res   Result
		mu    sync.Mutex
		wg    sync.WaitGroup
		slots = make(chan struct{}, fetchers)
		seen  = map[peer.ID]bool{}
	)
	for hint := range d.kad.FindProvidersAsync(ctx, id, 0) {
		if seen[hint.ID] || len(seen) >= maxHints || ctx.Err() != nil {
			continue
		}
		seen[hint.ID] = true
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			found, err := d.Fetch(ctx, hint)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case len(res.Found) >= limit:
			case err == nil:
				if res.Found = append(res.Found, found); len(res.Found) == limit {
					cancel()
				}
			case len(res.Rejected) < maxReasons:
				res.Rejected = append(res.Rejected, Rejected{hint.ID, err})
			}
		})
	}
	wg.Wait()
	return res, nil
}

// Fetch gets one peer's newest offer. It fails with ErrBadOffer when the network holds only offers that do not pass the check,
// with the last one's reason, and with ErrNotFound when it holds none.
func (d *DHT) Fetch(ctx context.Context, hint peer.AddrInfo) (Found, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.FetchTimeout)
	defer cancel()
	key := market.OfferKey(hint.ID)
	refused := d.check.watch(key)
	offer, err := d.kad.GetValue(ctx, key)
	reason := refused()
	switch {
	case offer != nil: // with an error, too: the best one seen before the deadline
	case reason != nil:
		return Found{}, reason
	case errors.Is(err, routing.ErrNotFound):
		return Found{}, ErrNotFound
	default:
		return Found{}, fmt.Errorf("fetch offer: %w", noPeers(err))
	}
	if err := d.check.Validate(key, offer); err != nil {
		return Found{}, err
	}
	info := d.addrInfo(ctx, hint)
	return Found{Peer: info.ID, Addrs: info.Addrs, Offer: offer}, nil
}
