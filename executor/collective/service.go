package collective

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is the libp2p protocol between agents.
const Protocol protocol.ID = "/tally/collective/4"

const (
	handshakeTime = 10 * time.Second
	// maxHandshakes bounds the inbound streams whose hello has not been read yet.
	maxHandshakes = 256
	redialPause   = 200 * time.Millisecond
)

type groupKey struct {
	job   JobID
	epoch uint64
}

// A Service owns the protocol's stream handler on one host and gives each
// inbound stream to the group it names. Groups of several jobs coexist.
type Service struct {
	host host.Host
	log  *slog.Logger

	mu      sync.Mutex
	closed  bool
	groups  map[groupKey]*Group
	circles map[JobID]*Circle
	overs   map[JobID]over
	pending map[stream]struct{}
	wg      sync.WaitGroup

	straight *straight // nil: lanes are libp2p streams
	paces    paces
}

// A stream is what an agent says things on: libp2p's, or a straight connection.
type stream interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
	Reset() error
}

// NewService installs the stream handler on h. Close removes it.
func NewService(h host.Host, log *slog.Logger) *Service {
	s := &Service{host: h, log: log, groups: map[groupKey]*Group{}, circles: map[JobID]*Circle{}, overs: map[JobID]over{}, pending: map[stream]struct{}{}}
	h.SetStreamHandler(Protocol, func(st network.Stream) {
		s.accept(st, func(stream) (peer.ID, error) { return st.Conn().RemotePeer(), nil }, s.handshake)
	})
	h.SetStreamHandler(MeetProtocol, s.summoned)
	return s
}

// Close removes the handler, aborts the groups still open and waits for them.
func (s *Service) Close() error {
	s.host.RemoveStreamHandler(Protocol)
	s.host.RemoveStreamHandler(MeetProtocol)
	s.mu.Lock()
	s.closed = true
	if s.straight != nil {
		_ = s.straight.listener.Close()
	}
	groups := make([]*Group, 0, len(s.groups))
	for _, g := range s.groups {
		groups = append(groups, g)
	}
	circles := make([]*Circle, 0, len(s.circles))
	for _, c := range s.circles {
		circles = append(circles, c)
	}
	for st := range s.pending {
		_ = st.Reset()
	}
	s.mu.Unlock()
	for _, c := range circles {
		c.end(fmt.Errorf("%w: the agent's collective service is closing", ErrClosed))
	}
	for _, g := range groups {
		g.Abort(fmt.Errorf("%w: the agent's collective service is closing", ErrClosed))
		g.release()
	}
	s.wg.Wait()
	return nil
}

// accept finds out who opened a stream and serves it, or closes it.
func (s *Service) accept(st stream, who func(stream) (peer.ID, error), serve func(stream, peer.ID) error) {
	s.mu.Lock()
	if s.closed || len(s.pending) >= maxHandshakes {
		s.mu.Unlock()
		_ = st.Reset()
		return
	}
	s.pending[st] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	from, err := who(st)
	if err == nil {
		err = serve(st, from)
	}
	s.mu.Lock()
	delete(s.pending, st)
	s.mu.Unlock()
	if err != nil {
		s.log.Debug("collective: stream refused", "peer", from, "err", err)
		_ = st.Reset()
	}
}

// handshake reads one hello and hands the stream to its group.
func (s *Service) handshake(st stream, from peer.ID) error {
	if err := st.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	var b [helloBytes]byte
	if _, err := io.ReadFull(st, b[:]); err != nil {
		return err
	}
	h, err := decodeHello(b[:])
	if err != nil {
		return err
	}
	g, status := s.match(h, from)
	if status != welcomeReady {
		if _, err := st.Write(welcome{status: status}.encode()); err != nil {
			return err
		}
		if status == welcomeView && g != nil {
			l := g.links[h.from]
			g.fail(&PeerError{l.rank, l.id, ErrMismatch, "it joined with another view of the group"})
		}
		return st.Close()
	}
	return g.attach(h, st)
}

// match finds the group a hello belongs to. A stranger learns no more than a
// peer that came too early.
func (s *Service) match(h hello, from peer.ID) (*Group, welcomeStatus) {
	s.mu.Lock()
	g := s.groups[groupKey{h.job, h.epoch}]
	s.mu.Unlock()
	if g == nil {
		return nil, welcomeAbsent
	}
	member := -1
	for r, p := range g.view.Peers {
		if p.ID == from {
			member = r
		}
	}
	if member < 0 || member == g.view.Rank {
		return nil, welcomeAbsent
	}
	if h.view != g.viewHash || int(h.from) != member || int(h.to) != g.view.Rank || int(h.size) != g.Size() {
		if int(h.from) != member {
			g = nil
		}
		return g, welcomeView
	}
	return g, welcomeReady
}

// Join connects this host with every other peer of the view and returns when
// all streams stand. ctx bounds the joining only; the group lives until Close.
func (s *Service) Join(ctx context.Context, v View, o Options) (*Group, error) {
	return s.join(ctx, v, o.withDefaults(), nil, nil)
}

// join joins as a group of a circle, unless that is nil, with what is known of the lines between its members.
func (s *Service) join(ctx context.Context, v View, o Options, c *Circle, known *matrix) (*Group, error) {
	if err := v.check(s.host.ID()); err != nil {
		return nil, err
	}
	g := newGroup(s, v, o)
	if c != nil {
		g.told = &told{circle: c, of: make([]numbers, len(v.Peers))}
	}
	if err := s.register(g); err != nil {
		return nil, err
	}
	joining, cancel := context.WithTimeout(ctx, g.opts.Join)
	defer cancel()
	if err := g.connect(joining); err != nil {
		g.fail(err)
		g.release()
		return nil, fmt.Errorf("joining the group as rank %d of %d: %w", v.Rank, g.Size(), g.Err())
	}
	g.start()
	if err := g.survey(ctx, known.among(v)); err != nil {
		g.release()
		return nil, fmt.Errorf("joining the group as rank %d of %d: %w", v.Rank, g.Size(), err)
	}
	s.log.Info("collective: joined", "rank", v.Rank, "size", g.Size(), "epoch", v.Epoch)
	for _, how := range g.Paths() {
		s.log.Warn("collective: a slow way", "path", how)
	}
	return g, nil
}

func (s *Service) register(g *Group) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := groupKey{g.view.Job, g.view.Epoch}
	switch {
	case s.closed:
		return fmt.Errorf("%w: the service", ErrClosed)
	case s.groups[key] != nil:
		return fmt.Errorf("%w: already in the group of this job and epoch", ErrView)
	}
	s.groups[key] = g
	return nil
}

func (s *Service) unregister(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := groupKey{g.view.Job, g.view.Epoch}
	if s.groups[key] == g {
		delete(s.groups, key)
	}
}

// dial opens one stream of a link, asking again while the peer is not there yet.
func (s *Service) dial(ctx context.Context, g *Group, l *link, kind streamKind) (stream, error) {
	h := hello{
		kind: kind, epoch: g.view.Epoch, job: g.view.Job, view: g.viewHash,
		from: uint32(g.view.Rank), to: uint32(l.rank), size: uint32(g.Size()),
	}
	if at := l.straight; kind != kindControl && at != "" {
		st, err := s.dialStraight(ctx, l.id, at, h)
		if err == nil {
			return st, nil
		}
		s.log.Debug("collective: no straight lane", "peer", l.id, "address", at, "err", err)
	}
	for last := error(nil); ; {
		st, port, err := s.dialOnce(ctx, g, l, h)
		if err == nil {
			if kind == kindControl && s.straight != nil {
				l.straight, _ = straightTo(st.Conn(), port)
			}
			return st, nil
		}
		if errors.Is(err, ErrPath) {
			return nil, err
		}
		if errors.Is(err, ErrMismatch) || errors.Is(err, ErrFrame) {
			return nil, &PeerError{l.rank, l.id, ErrMismatch, err.Error()}
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, &PeerError{l.rank, l.id, ErrTimeout, fmt.Sprintf("not reached while joining: %v", last)}
		case <-g.done:
			return nil, g.Err()
		case <-time.After(redialPause):
		}
	}
}

var errAbsent = errors.New("the peer has not joined this group")

// dialOnce also gives the port of the peer's straight lanes.
func (s *Service) dialOnce(ctx context.Context, g *Group, l *link, h hello) (network.Stream, uint16, error) {
	if !l.reached {
		if err := s.reach(ctx, l.id, g.opts.Direct); err != nil {
			return nil, 0, err
		}
		l.reached = true
	}
	st, err := s.host.NewStream(relayed(ctx), l.id, Protocol)
	if err != nil {
		return nil, 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	w, err := greet(st, h)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if unfit := g.judge(l, st); unfit != nil && (err != nil || w.status != welcomeAbsent) { // it has judged as well
		err = unfit
	}
	switch {
	case err == nil && w.status == welcomeReady:
		return st, w.port, nil
	case err == nil && w.status == welcomeView:
		err = fmt.Errorf("%w: the peer has another view of the group", ErrMismatch)
	case err == nil:
		err = errAbsent
	}
	_ = st.Reset()
	return nil, 0, err
}

func greet(st stream, h hello) (welcome, error) {
	if err := st.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return welcome{}, err
	}
	if _, err := st.Write(h.encode()); err != nil {
		return welcome{}, err
	}
	var b [welcomeBytes]byte
	if _, err := io.ReadFull(st, b[:]); err != nil {
		return welcome{}, err
	}
	w, err := decodeWelcome(b[:])
	if err != nil {
		return welcome{}, err
	}
	return w, st.SetDeadline(time.Time{})
}
