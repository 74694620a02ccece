package p2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestTCPBeforeQUIC has a host that listens for both reached over TCP, and one that listens for QUIC only over that.
func TestTCPBeforeQUIC(t *testing.T) {
	quic, both := "/ip4/127.0.0.1/udp/0/quic-v1", []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"}
	dialer, err := New(t.Context(), Config{Listen: both})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dialer.Close() }()
	for want, listen := range map[int][]string{ma.P_TCP: both, ma.P_QUIC_V1: {quic}} {
		h, err := New(t.Context(), Config{Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		if err := dialer.Connect(t.Context(), h.AddrInfo()); err != nil {
			t.Fatal(err)
		}
		for _, c := range dialer.Network().ConnsToPeer(h.ID()) {
			if _, err := c.RemoteMultiaddr().ValueForProtocol(want); err != nil {
				t.Errorf("a host that listens on %v was reached at %v", listen, c.RemoteMultiaddr())
			}
		}
		_ = h.Close()
	}
}

func TestTCPFirst(t *testing.T) {
	const id = "12D3KooWGRUVh6eZ4Mx7KXkQkxJcyW1PDi2NNGuaRBSgRrtPbqt5"
	if _, err := peer.Decode(id); err != nil {
		t.Fatal(err)
	}
	var addrs []ma.Multiaddr
	for _, a := range []string{
		"/ip4/203.0.113.9/udp/4001/quic-v1/p2p/" + id + "/p2p-circuit", "/ip4/203.0.113.7/udp/4001/quic-v1", "/ip4/203.0.113.7/tcp/4001", "/ip6/2001:db8::7/tcp/4001",
	} {
		addrs = append(addrs, ma.StringCast(a))
	}
	delays := map[string]network.AddrDelay{}
	for _, d := range tcpFirst(addrs) {
		delays[d.Addr.String()] = d
	}
	if len(delays) != len(addrs) {
		t.Fatalf("of %d addresses %d are dialed", len(addrs), len(delays))
	}
	circuit, quic, tcp4, tcp6 := delays[addrs[0].String()].Delay, delays[addrs[1].String()].Delay, delays[addrs[2].String()].Delay, delays[addrs[3].String()].Delay
	if min(tcp4, tcp6) != 0 || quic <= max(tcp4, tcp6) || circuit <= quic {
		t.Errorf("delays: TCP %v and %v, QUIC %v, through a relay %v", tcp4, tcp6, quic, circuit)
	}
	if only := tcpFirst(addrs[1:2]); len(only) != 1 || only[0].Delay != 0 {
		t.Errorf("QUIC alone: %v", only)
	}
}
