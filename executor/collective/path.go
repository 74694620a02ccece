package collective

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// directLook is how often a peer that is reached through a relay is looked at for a direct connection.
const directLook = 50 * time.Millisecond

// A path is how a connection gets to a peer.
type path struct {
	relay   peer.ID // through which; "": directly
	quic    bool
	limited bool          // the relay has limits, which are:
	data    uint64        // bytes each way; 0: any
	within  time.Duration // 0: for ever
	age     time.Duration // of the connection, which counts
}

func pathOf(c network.Conn) path {
	a := c.RemoteMultiaddr()
	_, err := a.ValueForProtocol(ma.P_QUIC_V1)
	p := path{quic: err == nil}
	if circuit, err := relayOf(a); err == nil {
		s := c.Stat()
		p.relay, p.limited = circuit, s.Limited
		p.data, _ = s.Extra[client.StatLimitData].(uint64)
		p.within, _ = s.Extra[client.StatLimitDuration].(time.Duration)
		p.age = time.Since(s.Opened)
	}
	return p
}

// relayOf is the relay of a circuit's address.
func relayOf(a ma.Multiaddr) (peer.ID, error) {
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err != nil {
		return "", err
	}
	id, err := a.ValueForProtocol(ma.P_P2P)
	if err != nil {
		return "", err
	}
	return peer.Decode(id)
}

// carries says whether all that a job passes between two ranks gets through.
func (p path) carries(o Options) bool {
	return !p.limited || (p.data == 0 || o.Bytes > 0 && o.Bytes <= p.data) && (p.within == 0 || o.Time > 0 && o.Time <= p.within-p.age)
}

// needs says what a job passes between two ranks.
func (o Options) needs() string {
	bytes, within := "any number of bytes", "for any time"
	if o.Bytes > 0 {
		bytes = fmt.Sprintf("up to %d bytes each way", o.Bytes)
	}
	if o.Time > 0 {
		within = fmt.Sprintf("for up to %v", o.Time)
	}
	return bytes + " " + within
}

// String says what is to be known of a path that is not the best, or nothing.
func (p path) String() string {
	switch {
	case p.relay == "" && p.quic:
		return "over QUIC, which is slower than TCP"
	case p.relay == "":
		return ""
	case !p.limited:
		return fmt.Sprintf("through relay %s, which all bytes of both share", p.relay)
	}
	bytes, within := "any number of bytes", "for any time"
	if p.data > 0 {
		bytes = fmt.Sprintf("%d bytes each way", p.data)
	}
	if p.within > 0 {
		within = fmt.Sprintf("for %v since %v ago", p.within, p.age.Round(time.Second))
	}
	return fmt.Sprintf("through relay %s, which passes %s %s", p.relay, bytes, within)
}

// relayed allows connections of which the relay says that they end: whether they do for this job is judged by [path].
func relayed(ctx context.Context) context.Context {
	return network.WithAllowLimitedConn(ctx, "a collective looks at the relay's limits itself")
}

// reach connects to a peer and, where that is through a relay, gives both a time to get together directly: by a hole in the
// routers before them.
func (s *Service) reach(ctx context.Context, id peer.ID, within time.Duration) error {
	if err := s.host.Connect(relayed(ctx), peer.AddrInfo{ID: id}); err != nil {
		return err
	}
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	look := time.NewTicker(directLook)
	defer look.Stop()
	for !s.direct(id) {
		select {
		case <-look.C:
		case <-deadline.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// direct says whether some connection to a peer is without a relay, or there is none.
func (s *Service) direct(id peer.ID) bool {
	all := s.host.Network().ConnsToPeer(id)
	for _, c := range all {
		if pathOf(c).relay == "" {
			return true
		}
	}
	return len(all) == 0
}

// judge is the error of a pair of ranks that has no path for what the job passes between them.
func (g *Group) judge(l *link, st stream) error {
	over, ok := st.(network.Stream)
	if !ok {
		return nil
	}
	if p := pathOf(over.Conn()); !p.carries(g.opts) {
		return &PeerError{l.rank, l.id, ErrPath, fmt.Sprintf("rank %d (%s) and it reach each other only %v; the job passes %s",
			g.view.Rank, g.service.host.ID(), p, g.opts.needs())}
	}
	return nil
}

// Paths says of each rank that is reached over QUIC or through a relay how, as what goes there is slower than it could be.
func (g *Group) Paths() []string {
	var all []string
	for _, l := range g.links {
		if l == nil {
			continue
		}
		if how := l.path().String(); how != "" {
			all = append(all, fmt.Sprintf("rank %d is reached %s", l.rank, how))
		}
	}
	return all
}

// Paths is of the group as it is: see [Group.Paths].
func (c *Circle) Paths() []string {
	if g := c.current(); g != nil {
		return g.Paths()
	}
	return nil
}

// path is how a link's lanes get to the peer.
func (l *link) path() path {
	for _, p := range l.pipes {
		if st, ok := p.stream.(network.Stream); ok {
			return pathOf(st.Conn())
		}
	}
	return path{}
}

// local says whether all others are on this machine.
func (g *Group) local() bool {
	return !slices.ContainsFunc(g.links, func(l *link) bool { return l != nil && !l.local() })
}

// local says whether the peer is on this machine, as far as can be told: it is reached at the address that this rank has on
// the same connection.
func (l *link) local() bool {
	c := l.ctl.Conn()
	here, err := manet.ToIP(c.LocalMultiaddr())
	if err != nil {
		return false
	}
	there, err := manet.ToIP(c.RemoteMultiaddr())
	return err == nil && here.Equal(there) && pathOf(c).relay == ""
}
