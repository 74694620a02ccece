package collective

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A bundle is a lane over several straight connections, each record over one of them. On a long or lossy line one TCP
// connection does not fill it: its window is bounded, and a lost packet halves what it dares to send. On a short one it
// does, and more would only cost system calls.
type bundle struct {
	conns   []*straightStream
	out, in int // which is next
}

const (
	// farTime and farthestTime are the round trips from which a lane has more than one connection.
	farTime, farthestTime = 4 * time.Millisecond, 100 * time.Millisecond
	farConns              = 4
	// mostConns are those of a lane over the longest lines.
	mostConns = 8
	// laneConns bounds the connections that one rank has for a lane, to all the others.
	laneConns = 256
	// maxGathering bounds the connections that wait for the rest of their bundle.
	maxGathering = 1024
	joinBytes    = 24
)

// connsFor is how many connections a lane of a group of so many ranks has over a line with this round trip.
func connsFor(rtt time.Duration, size int) int {
	n := 1
	switch {
	case rtt >= farthestTime:
		n = mostConns
	case rtt >= farTime:
		n = farConns
	}
	return max(1, min(n, laneConns/size))
}

// Write sends each record over the connection that the one before it has named.
func (b *bundle) Write(p []byte) (n int, err error) {
	for n < len(p) {
		next := b.pick()
		m, err := b.conns[b.out].send(p[n:min(n+recordBytes, len(p))], byte(next))
		n += m
		if err != nil {
			return n, err
		}
		b.out = next
	}
	return n, nil
}

// pick is the connection that has least to send, after this one: connections share a line unequally.
func (b *bundle) pick() int {
	best, least := 0, -1
	for d := 1; d <= len(b.conns); d++ {
		i := (b.out + d) % len(b.conns)
		if n := unsent(b.conns[i].Conn); least < 0 || n < least {
			best, least = i, n
		}
	}
	return best
}

// Read follows them.
func (b *bundle) Read(p []byte) (int, error) {
	c := b.conns[b.in]
	n, err := c.Read(p)
	if err != nil || len(c.opened) > 0 {
		return n, err
	}
	if int(c.next) >= len(b.conns) {
		return n, fmt.Errorf("%w: a record on connection %d of %d", ErrFrame, c.next, len(b.conns))
	}
	b.in = int(c.next)
	return n, nil
}

func (b *bundle) eager() {
	for _, c := range b.conns {
		eager(c.Conn)
	}
}

func (b *bundle) each(f func(*straightStream) error) error {
	var errs []error
	for _, c := range b.conns {
		errs = append(errs, f(c))
	}
	return errors.Join(errs...)
}

// SetDeadline is that of all.
func (b *bundle) SetDeadline(t time.Time) error {
	return b.each(func(c *straightStream) error { return c.SetDeadline(t) })
}

// Reset ends all at once.
func (b *bundle) Reset() error { return b.each((*straightStream).Reset) }

// Close is Reset.
func (b *bundle) Close() error { return b.Reset() }

// A join is what the dialer of a straight connection says first: which connection it is of which bundle.
type join struct {
	bundle [16]byte // random
	at, of byte
}

func (j join) encode() []byte {
	b := make([]byte, joinBytes)
	copy(b, magicHello[:])
	b[4], b[5] = j.at, j.of
	copy(b[8:], j.bundle[:])
	return b
}

func decodeJoin(b []byte) (join, error) {
	if len(b) != joinBytes || [4]byte(b[:4]) != magicHello || binary.LittleEndian.Uint16(b[6:]) != 0 || b[5] > mostConns || b[4] >= b[5] {
		return join{}, fmt.Errorf("%w: a straight connection's place", ErrFrame)
	}
	return join{bundle: [16]byte(b[8:]), at: b[4], of: b[5]}, nil
}

// dialBundle opens as many connections to a peer as the line wants.
func (s *Service) dialBundle(ctx context.Context, to peer.ID, at string, size int) (stream, error) {
	var j join
	_, _ = rand.Read(j.bundle[:])
	first, rtt, err := dialTCP(ctx, at)
	if err != nil {
		return nil, err
	}
	b := &bundle{conns: make([]*straightStream, s.straight.conns(rtt, size))}
	b.conns[0] = first
	errs := make([]error, len(b.conns))
	var wg sync.WaitGroup
	for i := range b.conns {
		wg.Go(func() {
			c := b.conns[i]
			if c == nil {
				if c, _, errs[i] = dialTCP(ctx, at); errs[i] != nil {
					return
				}
				b.conns[i] = c
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Reset() })
			defer stop()
			mine := j
			mine.at, mine.of = byte(i), byte(len(b.conns))
			if _, errs[i] = c.secure(s.straight.identity, to, tls.Client); errs[i] == nil {
				_, errs[i] = c.Write(mine.encode())
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, c := range b.conns {
			if c != nil {
				_ = c.Reset()
			}
		}
		return nil, err
	}
	if len(b.conns) == 1 {
		return first, nil
	}
	b.eager()
	return b, nil
}

// dialTCP also gives the round trip of the handshake: the other end's system has answered, whatever its programs are doing,
// and where this one's says when, it does not count how busy ours are.
func dialTCP(ctx context.Context, at string) (*straightStream, time.Duration, error) {
	var d net.Dialer
	start := time.Now()
	conn, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(start)
	if rtt := roundTrip(conn); rtt > 0 {
		took = min(took, rtt)
	}
	return newStraight(conn), took, nil
}

// gathering are the bundles of which some connections have not come yet.
type gathering struct {
	mu    sync.Mutex
	count int
	known map[gatherKey]*bundle
}

type gatherKey struct {
	from peer.ID
	join // with at 0
}

// expects says whether a peer is in one of this service's groups: others may not have connections wait here.
func (s *Service) expects(from peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		if g.view.rankOf(from) >= 0 {
			return true
		}
	}
	return false
}

// gather reads where a connection belongs, and serves the lane when it has all of its own.
func (s *Service) gather(c *straightStream, from peer.ID) error {
	if !s.expects(from) {
		return errAbsent
	}
	if err := c.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	var buf [joinBytes]byte
	if _, err := io.ReadFull(c, buf[:]); err != nil {
		return err
	}
	j, err := decodeJoin(buf[:])
	if err != nil {
		return err
	}
	if j.of == 1 {
		return s.handshake(c, from)
	}
	b, err := s.straight.gathering.add(gatherKey{from, j}, c)
	if b == nil || err != nil {
		return err
	}
	b.eager()
	if err := s.handshake(b, from); err != nil {
		_ = b.Reset()
		return err
	}
	return nil
}

// add gives the bundle when it is whole.
func (g *gathering) add(k gatherKey, c *straightStream) (*bundle, error) {
	at := k.at
	k.at = 0
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.known[k]
	switch {
	case g.count >= maxGathering:
		return nil, errors.New("too many straight connections wait for others")
	case b == nil:
		b = &bundle{conns: make([]*straightStream, k.of)}
		if g.known == nil {
			g.known = map[gatherKey]*bundle{}
		}
		g.known[k] = b
		time.AfterFunc(handshakeTime, func() { g.forget(k, b) })
	case b.conns[at] != nil:
		return nil, fmt.Errorf("%w: two straight connections have one place", ErrFrame)
	}
	b.conns[at] = c
	g.count++
	for _, c := range b.conns {
		if c == nil {
			return nil, nil
		}
	}
	delete(g.known, k) // its connections count no more
	g.count -= len(b.conns)
	return b, nil
}

// forget ends what has come of a bundle if the rest has not.
func (g *gathering) forget(k gatherKey, b *bundle) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known[k] != b {
		return
	}
	delete(g.known, k)
	for _, c := range b.conns {
		if c != nil {
			g.count--
			_ = c.Reset()
		}
	}
}

// end forgets all.
func (g *gathering) end() {
	g.mu.Lock()
	known := g.known
	g.known = nil
	g.mu.Unlock()
	for _, b := range known {
		for _, c := range b.conns {
			if c != nil {
				_ = c.Reset()
			}
		}
	}
}
