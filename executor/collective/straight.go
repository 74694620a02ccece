package collective

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A straight connection is a lane that goes past libp2p's muxer: TLS 1.3 over TCP with the same identities, which takes
// fewer copies and system calls for bulk. Where the peer's port cannot be reached, the lane is a libp2p stream.

const (
	straightALPN = "tally/collective/3"
	// straightTime bounds reaching a peer's port: a firewall may be silent about it, and there is another way.
	straightTime = 3 * time.Second
)

// straight is where a service takes such connections.
type straight struct {
	identity *libp2ptls.Identity
	listener net.Listener
	port     uint16
	conns    func(rtt time.Duration, size int) int // of a lane that this service dials
	gathering
}

// ListenStraight also takes lanes past libp2p's muxer, on a free TCP port of the address the host listens on first. Close
// ends it. Call it at most once, before any Join.
func (s *Service) ListenStraight() error {
	key := s.host.Peerstore().PrivKey(s.host.ID())
	if key == nil {
		return errors.New("listening for straight lanes: the host's key is not known")
	}
	identity, err := libp2ptls.NewIdentity(key)
	if err != nil {
		return fmt.Errorf("listening for straight lanes: %w", err)
	}
	ip, err := listenIP(s.host.Network().ListenAddresses())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		return fmt.Errorf("listening for straight lanes: %w", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("listening for straight lanes: %w", err)
	}
	s.mu.Lock()
	s.straight = &straight{identity: identity, listener: l, port: uint16(number), conns: connsFor}
	s.mu.Unlock()
	s.wg.Go(func() { s.takeStraight(l, identity) })
	return nil
}

// straightPort is the port of this service's straight lanes, or 0.
func (s *Service) straightPort() uint16 {
	if s.straight == nil {
		return 0
	}
	return s.straight.port
}

func listenIP(addrs []ma.Multiaddr) (net.IP, error) {
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
			continue
		}
		if ip, err := manet.ToIP(a); err == nil {
			return ip, nil
		}
	}
	return nil, fmt.Errorf("listening for straight lanes: no TCP address among %v", addrs)
}

func (s *Service) takeStraight(l net.Listener, identity *libp2ptls.Identity) {
	defer s.straight.end()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files
			s.log.Warn("collective: taking a straight lane", "err", err)
			time.Sleep(redialPause)
			continue
		}
		go s.accept(newStraight(conn), func(st stream) (peer.ID, error) {
			return st.(*straightStream).secure(identity, "", tls.Server)
		}, func(st stream, from peer.ID) error { return s.gather(st.(*straightStream), from) })
	}
}

// dialStraight opens a lane past the muxer.
func (s *Service) dialStraight(ctx context.Context, to peer.ID, at string, h hello) (stream, error) {
	reaching, cancel := context.WithTimeout(ctx, straightTime)
	defer cancel()
	st, err := s.dialBundle(reaching, to, at, int(h.size))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	w, err := greet(st, h) // whose welcome may have been said, and the lane taken, long before it is heard
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && w.status != welcomeReady {
		err = errAbsent
	}
	if err != nil {
		_ = st.Reset()
		return nil, err
	}
	return st, nil
}

// straightTo is where a peer's straight lanes end, if it told a port and is connected without a relay.
func straightTo(conn network.Conn, port uint16) (string, bool) {
	a := conn.RemoteMultiaddr()
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil || port == 0 {
		return "", false
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return "", false
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port))), true
}

// straightStream is such a connection. One goroutine reads and one writes.
type straightStream struct {
	ahead
	sealing, opening direction
	out              []byte // sealed
	opened           []byte // of a record of which a part was read
	next             byte   // what that record says
}

func newStraight(c net.Conn) *straightStream { return &straightStream{ahead: ahead{Conn: raw(c)}} }

// secure does the handshake, by which each end proves its peer ID; want is the other's, if it is known.
func (s *straightStream) secure(id *libp2ptls.Identity, want peer.ID, side func(net.Conn, *tls.Config) *tls.Conn) (peer.ID, error) {
	if err := s.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return "", err
	}
	cfg, keys := id.ConfigForPeer(want)
	cfg.NextProtos = []string{straightALPN}
	conn := side(&s.ahead, cfg)
	if err := conn.Handshake(); err != nil {
		return "", err
	}
	state := conn.ConnectionState()
	if got := state.NegotiatedProtocol; got != straightALPN {
		return "", fmt.Errorf("%w: it speaks %q", ErrFrame, got)
	}
	s.sealing = direction{export: state.ExportKeyingMaterial, dialer: want != ""}
	s.opening = direction{export: state.ExportKeyingMaterial, dialer: want == ""}
	var key crypto.PubKey
	select {
	case key = <-keys:
	default:
	}
	if key == nil {
		return "", fmt.Errorf("%w: no peer ID", ErrFrame)
	}
	return peer.IDFromPublicKey(key)
}

// Write sends a segment's records in one system call.
func (s *straightStream) Write(b []byte) (int, error) { return s.send(b, 0) }

// send also says which connection of a bundle is next.
func (s *straightStream) send(b []byte, next byte) (int, error) {
	n := 0
	for n < len(b) {
		s.out = s.out[:0]
		end := min(n+segmentBytes, len(b))
		for lo := n; lo < end; lo += recordBytes {
			var err error
			if s.out, err = s.sealing.seal(s.out, b[lo:min(lo+recordBytes, end)], next); err != nil {
				return n, err
			}
		}
		if _, err := s.Conn.Write(s.out); err != nil {
			return n, err
		}
		n = end
	}
	return n, nil
}

// Read opens a record into b, or a part of it if b is smaller.
func (s *straightStream) Read(b []byte) (int, error) {
	if len(s.opened) == 0 {
		record, err := s.record()
		if err != nil {
			return 0, err
		}
		next := record[recordHead-1]
		if len(b) >= len(record)-recordHead-recordTag {
			got, err := s.opening.open(b[:0], record)
			s.next = next
			return len(got), err
		}
		if s.opened, err = s.opening.open(record[recordHead:recordHead], record); err != nil {
			return 0, err
		}
		s.next = next
	}
	n := copy(b, s.opened)
	s.opened = s.opened[n:]
	return n, nil
}

// Reset ends the connection at once, without waiting for what is under way.
func (s *straightStream) Reset() error { return s.Conn.Close() }

// Close is Reset: the group's goodbyes have waited for everything.
func (s *straightStream) Close() error { return s.Reset() }
