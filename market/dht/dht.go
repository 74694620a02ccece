package dht

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// protocolPrefix keeps this DHT apart from every other one: its protocol is /tally/kad/1.0.0.
const protocolPrefix = "/tally"

// DHT is a node of the market's DHT.
type DHT struct {
	host  host.Host
	cfg   Config
	kad   *kad.IpfsDHT
	check *validator

	mu     sync.Mutex
	newest *publication // what Run publishes again
}

// New starts a node on h, which looks for the bootstrap peers by itself; Bootstrap and Run wait for them. It lives until
// Close is called or ctx ends.
func New(ctx context.Context, h host.Host, cfg Config) (*DHT, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	check := newValidator(cfg.Check, cfg.Now)
	mode := kad.ModeClient
	if cfg.Server {
		mode = kad.ModeServer
	}
	k, err := kad.New(ctx, h,
		kad.ProtocolPrefix(protocolPrefix),
		kad.Validator(record.NamespacedValidator{namespace: check}),
		kad.Mode(mode),
		kad.MaxRecordAge(cfg.Lifetime),
		kad.Datastore(newRecords(cfg.MaxRecords)),
		kad.ProviderStore(newProviders(h.ID(), h.Peerstore(), cfg)),
		kad.BootstrapPeers(cfg.Bootstrap...),
	)
	if err != nil {
		return nil, fmt.Errorf("start dht: %w", err)
	}
	return &DHT{host: h, cfg: cfg, kad: k, check: check}, nil
}

// Close stops the node; the host stays open.
func (d *DHT) Close() error { return d.kad.Close() }

// Peers returns how many nodes the routing table holds.
func (d *DHT) Peers() int { return d.kad.RoutingTable().Size() }

// Bootstrap connects to the bootstrap peers and fills the routing table. It returns once some other node is known, or
// ErrNoPeers when none of the bootstrap peers answers before ctx ends; without bootstrap peers there is nothing to do.
func (d *DHT) Bootstrap(ctx context.Context) error {
	var wg errgroup.Group
	wg.SetLimit(8)
	errs := make([]error, len(d.cfg.Bootstrap))
	reached := make(chan struct{}, len(d.cfg.Bootstrap))
	others := 0
	for i, p := range d.cfg.Bootstrap {
		if p.ID == d.host.ID() {
			continue
		}
		others++
		wg.Go(func() error {
			if errs[i] = d.host.Connect(ctx, p); errs[i] == nil {
				reached <- struct{}{}
			}
			return nil
		})
	}
	_ = wg.Wait()
	if others == 0 {
		return nil
	}
	if len(reached) == 0 && d.Peers() == 0 {
		return fmt.Errorf("%w: %w", ErrNoPeers, errors.Join(errs...))
	}
	// A peer enters the routing table when it has been identified and has answered a query.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for d.Peers() == 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: connected, but nobody answers queries: %w", ErrNoPeers, ctx.Err())
		case <-tick.C:
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-d.kad.ForceRefresh():
		if err != nil {
			d.cfg.Log.Debug("dht refresh", "err", err)
		}
		return nil
	}
}

// Run joins the network, trying again until it succeeds, and publishes the newest offer again and again until ctx ends.
func (d *DHT) Run(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		attempt, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := d.Bootstrap(attempt)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		d.cfg.Log.Warn("dht: cannot join yet", "err", err, "again in", wait)
		if !sleep(ctx, wait) {
			return nil
		}
	}
	d.republish(ctx)
	tick := time.NewTicker(d.cfg.Republish)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.republish(ctx)
		}
	}
}

func sleep(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// noPeers names kad's error for an empty routing table.
func noPeers(err error) error {
	if errors.Is(err, kbucket.ErrLookupFailure) {
		return fmt.Errorf("%w: %w", ErrNoPeers, err)
	}
	return err
}

// addrInfo completes a hint's addresses with what this node knows and, failing that, asks the network.
func (d *DHT) addrInfo(ctx context.Context, hint peer.AddrInfo) peer.AddrInfo {
	if hint.ID == d.host.ID() {
		return peer.AddrInfo{ID: hint.ID, Addrs: d.host.Addrs()}
	}
	if len(hint.Addrs) == 0 {
		hint.Addrs = d.host.Peerstore().Addrs(hint.ID)
	}
	if len(hint.Addrs) == 0 {
		if found, err := d.kad.FindPeer(ctx, hint.ID); err == nil {
			hint.Addrs = found.Addrs
		}
	}
	return hint
}
