package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// later is how much longer than the addresses before them, QUIC and then relays wait to be dialed.
const later = 300 * time.Millisecond

// tcpFirst has peers dialed over TCP, then over QUIC, then through relays; each in libp2p's own order. libp2p itself prefers
// QUIC, which takes several times the CPU time for bulk.
func tcpFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	var kinds [3][]ma.Multiaddr
	for _, a := range addrs {
		kind := 0
		if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
			kind = 2
		} else if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err == nil {
			kind = 1
		}
		kinds[kind] = append(kinds[kind], a)
	}
	var all []network.AddrDelay
	after := time.Duration(0)
	for _, kind := range kinds {
		if len(kind) == 0 {
			continue
		}
		last := time.Duration(0)
		for _, d := range swarm.DefaultDialRanker(kind) {
			last = max(last, d.Delay)
			d.Delay += after
			all = append(all, d)
		}
		after += last + later
	}
	return all
}
