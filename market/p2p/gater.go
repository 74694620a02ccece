package p2p

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater refuses inbound connections of new peers once enough are connected, so that strangers cannot crowd out a running
// job. Peers that the connection manager protects, and peers already connected, are always let in.
type gater struct {
	max   int
	conns connmgr.ConnManager
	net   atomic.Pointer[network.Network] // known only after the host is built
}

func (g *gater) watch(n network.Network) { g.net.Store(&n) }

func (g *gater) allow(p peer.ID) bool {
	n := g.net.Load()
	if n == nil || g.conns.IsProtected(p, "") || len((*n).ConnsToPeer(p)) > 0 {
		return true
	}
	return len((*n).Peers()) < g.max
}

// InterceptPeerDial implements connmgr.ConnectionGater; what this host dials itself is its own choice.
func (g *gater) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater; the peer is not known yet.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gater) InterceptSecured(dir network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return dir == network.DirOutbound || g.allow(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return c.Stat().Direction == network.DirOutbound || g.allow(c.RemotePeer()), 0
}
