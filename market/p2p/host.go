package p2p

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// Host is a libp2p host. It is used as a host.Host and closed once.
type Host struct {
	host.Host
	key crypto.PrivKey
	log *slog.Logger
}

// New starts a host: it listens when New returns. Cancelling ctx stops nothing; call Close.
func New(ctx context.Context, cfg Config) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	addrs, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	limits, err := cfg.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	key, err := cfg.identity()
	if err != nil {
		return nil, err
	}
	rm, err := limits.resourceManager(cfg.Metrics != nil)
	if err != nil {
		return nil, fmt.Errorf("%w: limits: %w", ErrStart, err)
	}
	cm, err := connmgr.NewConnManager(limits.MaxPeers*3/4, limits.MaxPeers, connmgr.WithGracePeriod(30*time.Second))
	if err != nil {
		_ = rm.Close()
		return nil, fmt.Errorf("%w: connection manager: %w", ErrStart, err)
	}
	g := &gater{max: limits.MaxPeers, conns: cm}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrs(addrs.listen...),
		libp2p.ResourceManager(rm),
		libp2p.ConnectionManager(cm),
		libp2p.ConnectionGater(g),
		libp2p.Ping(true),
		libp2p.UserAgent(cfg.UserAgent),
		libp2p.SwarmOpts(swarm.WithDialRanker(tcpFirst)),
	}
	opts = append(opts, transports(addrs, limits)...)
	opts = append(opts, cfg.reachability(addrs)...)
	h, err := libp2p.New(opts...)
	if err != nil {
		_ = cm.Close()
		_ = rm.Close()
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	g.watch(h.Network())
	log.Info("peer-to-peer host listens", "peer", h.ID(), "addresses", h.Addrs())
	return &Host{Host: h, key: key, log: log}, nil
}

func (c Config) identity() (crypto.PrivKey, error) {
	switch {
	case c.KeyFile != "":
		return LoadOrCreateKey(c.KeyFile)
	case c.Key != nil:
		return c.Key, nil
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("%w: new identity: %w", ErrStart, err)
	}
	return key, nil
}

// transports are TCP with TLS 1.3 before Noise, since TLS costs a third of the CPU time for bulk, and QUIC where it is
// listened on: the order of the options is the order of preference.
func transports(a addresses, l Limits) []libp2p.Option {
	opts := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, newMuxer(l.Window)),
	}
	if a.quic {
		opts = append(opts, libp2p.Transport(quic.NewTransport))
	}
	return opts
}

// reachability is what makes a host outside loopback reachable: a mapped port, relays and hole punching, and the services
// by which peers learn whether they can be reached.
func (c Config) reachability(a addresses) []libp2p.Option {
	var opts []libp2p.Option
	if c.Metrics != nil {
		opts = append(opts, libp2p.PrometheusRegisterer(c.Metrics))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	if len(a.announce) > 0 {
		opts = append(opts, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return a.announce }))
	}
	if a.loopback {
		return append(opts, libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery())
	}
	opts = append(opts, libp2p.EnableRelay(), libp2p.NATPortMap(), libp2p.EnableHolePunching(), libp2p.EnableNATService(), libp2p.EnableAutoNATv2())
	if len(c.Relays) > 0 {
		opts = append(opts, libp2p.EnableAutoRelayWithStaticRelays(c.Relays))
	}
	if c.RelayService {
		opts = append(opts, libp2p.EnableRelayService())
	}
	return opts
}

// Key returns the host's private key, which signs offers.
func (h *Host) Key() crypto.PrivKey { return h.key }

// AddrInfo returns the host's identity with the addresses it listens on, for others to connect to.
func (h *Host) AddrInfo() peer.AddrInfo {
	return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
}

// Close closes every connection and listener and waits for them.
func (h *Host) Close() error {
	err := h.Host.Close()
	h.log.Info("peer-to-peer host closed", "peer", h.ID(), "err", err)
	return err
}
