package p2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// One address outside loopback gets ConnsPerIP connections, which is more than libp2p's 8, and no more; loopback gets any number.
func TestConnsPerIP(t *testing.T) {
	l, err := Limits{ConnsPerIP: 40}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	rm, err := l.resourceManager(false)
	if err != nil {
		t.Fatal(err)
	}
	defer rm.Close()
	open := func(addr string, n int) (opened int) {
		t.Helper()
		for range n {
			scope, err := rm.OpenConnection(network.DirInbound, true, ma.StringCast(addr))
			if err != nil {
				return opened
			}
			defer scope.Done()
			opened++
		}
		return opened
	}
	for addr, want := range map[string]int{
		"/ip4/203.0.113.7/tcp/4001":   40,
		"/ip6/2001:db8:1::1/tcp/4001": 40,
		"/ip4/127.0.0.1/tcp/4001":     60,
	} {
		if got := open(addr, 60); got != want {
			t.Errorf("%s: %d connections, want %d", addr, got, want)
		}
	}
}

// By default a peer's memory is enough for the first windows of all its streams, and all memory for several such peers.
func TestLimitDefaults(t *testing.T) {
	l, err := Limits{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if l.Memory < l.MemoryPeer || int64(l.StreamsPeer)*int64(l.Window) > l.MemoryPeer {
		t.Fatalf("defaults that do not fit together: %+v", l)
	}
}
