package p2p

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits bound what other peers may make a host spend. A zero field takes the default named beside it.
type Limits struct {
	MaxPeers     int   // distinct peers connected at once (512); protected peers are let in beyond it
	ConnsPerPeer int   // connections with one peer (32)
	ConnsPerIP   int   // connections with one IPv4 address or IPv6 /56 (64); libp2p's own default is 8
	DialsPerSec  int   // new connections a second from one such address, after a burst of ConnsPerIP (8); libp2p's own default is 0.2
	StreamsPeer  int   // streams with one peer (256)
	Memory       int64 // bytes of stream buffers in all (2 GiB)
	MemoryPeer   int64 // bytes of stream buffers of one peer (512 MiB)
	Window       int   // bytes of a stream's first receive window, 256 KiB to 16 MiB (1 MiB); it then grows to 16 MiB
}

func (l Limits) withDefaults() (Limits, error) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.MaxPeers, 512)
	def(&l.ConnsPerPeer, 32)
	def(&l.ConnsPerIP, 64)
	def(&l.DialsPerSec, 8)
	def(&l.StreamsPeer, 256)
	def(&l.Window, 1<<20)
	if l.Memory == 0 {
		l.Memory = 2 << 30
	}
	if l.MemoryPeer == 0 {
		l.MemoryPeer = 512 << 20
	}
	if min(l.MaxPeers, l.ConnsPerPeer, l.ConnsPerIP, l.DialsPerSec, l.StreamsPeer) < 1 || min(l.Memory, l.MemoryPeer) < 1<<20 {
		return l, fmt.Errorf("%w: limits must be positive, memory at least 1 MiB: %+v", ErrConfig, l)
	}
	if l.Window < minWindow || l.Window > maxWindow {
		return l, fmt.Errorf("%w: a stream window of %d bytes, want %d to %d", ErrConfig, l.Window, minWindow, maxWindow)
	}
	return l, nil
}

// resourceManager counts and bounds connections, streams and memory: in all, for each peer and for each address.
func (l Limits) resourceManager(metrics bool) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	base := scaling.AutoScale()
	conns, streams := l.MaxPeers*2, l.MaxPeers*32
	all := rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(conns), ConnsInbound: rcmgr.LimitVal(conns), ConnsOutbound: rcmgr.LimitVal(conns),
		Streams: rcmgr.LimitVal(streams), StreamsInbound: rcmgr.LimitVal(streams), StreamsOutbound: rcmgr.LimitVal(streams),
		Memory: rcmgr.LimitVal64(l.Memory),
	}
	onePeer := rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(l.ConnsPerPeer), ConnsInbound: rcmgr.LimitVal(l.ConnsPerPeer), ConnsOutbound: rcmgr.LimitVal(l.ConnsPerPeer),
		Streams: rcmgr.LimitVal(l.StreamsPeer), StreamsInbound: rcmgr.LimitVal(l.StreamsPeer), StreamsOutbound: rcmgr.LimitVal(l.StreamsPeer),
		FD: rcmgr.LimitVal(l.ConnsPerPeer), Memory: rcmgr.LimitVal64(l.MemoryPeer),
	}
	// A protocol may use what a peer may: the collectives and bundles of a job are most of a peer's traffic.
	proto := rcmgr.ResourceLimits{
		Streams: rcmgr.LimitVal(streams), StreamsInbound: rcmgr.LimitVal(streams), StreamsOutbound: rcmgr.LimitVal(streams),
		Memory: rcmgr.LimitVal64(l.Memory),
	}
	protoPeer := rcmgr.ResourceLimits{
		Streams: onePeer.Streams, StreamsInbound: onePeer.Streams, StreamsOutbound: onePeer.Streams, Memory: onePeer.Memory,
	}
	limits := rcmgr.PartialLimitConfig{
		System: all, PeerDefault: onePeer, ProtocolDefault: proto, ProtocolPeerDefault: protoPeer,
		ServiceDefault: proto, ServicePeerDefault: protoPeer,
		Conn:   rcmgr.ResourceLimits{Streams: onePeer.Streams, StreamsInbound: onePeer.Streams, StreamsOutbound: onePeer.Streams, Memory: onePeer.Memory},
		Stream: rcmgr.ResourceLimits{Memory: rcmgr.LimitVal64(2 * maxWindow)},
	}.Build(base)
	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: l.ConnsPerIP}, {PrefixLength: 48, ConnCount: 8 * l.ConnsPerIP}},
		),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: loopback4, ConnCount: math.MaxInt}},
			[]rcmgr.NetworkPrefixLimit{{Network: loopback6, ConnCount: math.MaxInt}},
		),
		rcmgr.WithConnRateLimiters(l.rateLimiter()),
	}
	if !metrics {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits), opts...)
}

// rateLimiter bounds how fast one address may connect again and again. Loopback is free: a whole market runs there in tests.
func (l Limits) rateLimiter() *rate.Limiter {
	one := rate.Limit{RPS: float64(l.DialsPerSec), Burst: l.ConnsPerIP}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: loopback4}, {Prefix: loopback6}},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: one}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: one}},
			GracePeriod:      time.Minute,
		},
	}
}

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
)
