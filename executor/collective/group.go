package collective

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Traffic counts the payload bytes exchanged with one peer; headers and control
// frames are not counted. After an orderly Close both ends agree exactly; after
// an abort they may differ by what was on its way.
type Traffic struct {
	Sent, Received uint64
}

// A Group is this host's membership in one view. Operations without a name must be started in the same order on every
// rank; several may be in flight. Any failure of an operation, but for [ErrArgument], ends the group for all ranks.
type Group struct {
	service  *Service
	view     View
	viewHash [32]byte
	opts     Options
	log      *slog.Logger
	links    []*link // by rank; nil at our own
	lanes    [lanes]*lane
	names    names
	buffers  buffers
	told     *told // by the other ranks, if this is a circle's group
	plan     atomic.Pointer[plan]
	strain   strain
	lines    *matrix // what the plan was made of; nil: nothing was measured
	segment  int     // bytes of a ring's segments here

	starting sync.Mutex // guards closed and seq, and the order of turns
	closed   bool
	seq      uint64        // of the last operation without a name
	entered  atomic.Uint64 // of those that have begun, the last
	ops      sync.WaitGroup

	done     chan struct{} // closed by the first failure
	leaving  atomic.Bool   // the goodbye barrier is behind us
	quit     chan struct{} // ends the watchdog
	started  bool
	mu       sync.Mutex // guards err, parts, and links' streams while joining
	err      error
	parts    []*Group   // process groups, which fail with this one
	made     [][32]byte // what process groups were made of
	releases sync.Once
	wg       sync.WaitGroup
}

func newGroup(s *Service, v View, o Options) *Group {
	n := len(v.Peers)
	g := &Group{
		service: s, view: v, viewHash: v.hash(), opts: o,
		log:   s.log.With("rank", v.Rank, "size", n, "epoch", v.Epoch),
		links: make([]*link, n),
		names: newNames(),
		done:  make(chan struct{}),
		quit:  make(chan struct{}),

		segment: segmentBytes,
	}
	for r, p := range v.Peers {
		if r != v.Rank {
			g.links[r] = newLink(r, p.ID)
		}
	}
	g.plan.Store(inRankOrder(n, "nothing was measured"))
	for i := range g.lanes {
		l := &lane{g: g, pipes: make([]*pipe, n)}
		for r, link := range g.links {
			if link != nil {
				l.pipes[r] = link.pipes[i]
				l.pipes[r].group = g
			}
		}
		g.lanes[i] = l
	}
	return g
}

// Rank is this host's place in the view.
func (g *Group) Rank() int { return g.view.Rank }

// Size is the number of ranks.
func (g *Group) Size() int { return len(g.view.Peers) }

// Done is closed when the group has failed; Err then says why.
func (g *Group) Done() <-chan struct{} { return g.done }

// Err is the failure that ended the group, or nil.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Traffic gives the payload bytes exchanged with every other peer so far.
func (g *Group) Traffic() map[peer.ID]Traffic {
	t := make(map[peer.ID]Traffic, len(g.links))
	for _, l := range g.links {
		if l != nil {
			t[l.id] = Traffic{Sent: l.sent.Load(), Received: l.received.Load()}
		}
	}
	return t
}

// Abort ends the group on every rank with this reason.
func (g *Group) Abort(reason error) {
	g.fail(fmt.Errorf("%w: rank %d: %w", ErrAborted, g.view.Rank, reason))
}

// fail records the first failure, tells the others and unblocks every wait.
func (g *Group) fail(err error) {
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		return
	}
	g.err = err
	close(g.done)
	links := make([]*link, 0, len(g.links))
	for _, l := range g.links {
		if l != nil && l.complete() {
			links = append(links, l)
		}
	}
	started, parts := g.started, g.parts
	g.mu.Unlock()
	blamed := g.view.Rank
	var pe *PeerError
	if errors.As(err, &pe) {
		blamed = max(0, g.view.rankOf(pe.Peer))
	}
	for _, l := range links {
		if started {
			l.post(control{typ: controlAbort, why: causeOf(err), rank: uint32(blamed), seq: l.seq.Load(), text: err.Error()})
		}
		for _, p := range l.pipes {
			_ = p.stream.SetDeadline(time.Unix(1, 0))
		}
	}
	for _, part := range parts {
		part.fail(err)
	}
	g.log.Warn("collective: group failed", "err", err)
}

// attach adopts an inbound stream that named this group.
func (g *Group) attach(h hello, st stream) error {
	l := g.links[h.from]
	if l.id > g.service.host.ID() {
		return fmt.Errorf("%w: rank %d dialed, but its peer ID is the higher one", ErrFrame, h.from)
	}
	if err := g.judge(l, st); err != nil {
		g.fail(err)
		return err
	}
	select {
	case <-l.ready: // the peer never learned that it has it, and will not use it
		g.fail(&PeerError{l.rank, l.id, ErrLost, "it opened a stream anew: the first one is of no use"})
		return fmt.Errorf("%w: rank %d opened a stream it already has", ErrFrame, h.from)
	default:
	}
	if _, err := st.Write(welcome{status: welcomeReady, port: g.service.straightPort()}.encode()); err != nil {
		return err
	}
	if err := st.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return g.adopt(l, h.kind, st)
}

// adopt puts a stream in its place; a repeated one replaces the first.
func (g *Group) adopt(l *link, kind streamKind, st stream) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-l.ready:
		return fmt.Errorf("%w: rank %d has all its streams", ErrFrame, l.rank)
	default:
	}
	if g.err != nil {
		return g.err
	}
	old, err := l.put(kind, st)
	if err != nil {
		return err
	}
	if old != nil {
		_ = old.Reset()
	}
	if l.complete() {
		close(l.ready)
	}
	return nil
}

// connect dials the peers with higher IDs and waits for those with lower ones.
func (g *Group) connect(ctx context.Context) error {
	var dials sync.WaitGroup
	defer dials.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, l := range g.links {
		if l == nil {
			continue
		}
		g.service.host.ConnManager().Protect(l.id, g.tag())
		if l.id < g.service.host.ID() {
			continue
		}
		if addrs := g.view.Peers[l.rank].Addrs; len(addrs) > 0 {
			g.service.host.Peerstore().AddAddrs(l.id, addrs, time.Hour)
		}
		dials.Go(func() {
			// The first tells when the peer is there; the others go beside each other.
			for i, kind := range streamKinds() {
				if i == 0 {
					g.dial(ctx, l, kind)
				} else {
					dials.Go(func() { g.dial(ctx, l, kind) })
				}
			}
		})
	}
	for _, l := range g.links {
		if l == nil {
			continue
		}
		select {
		case <-l.ready:
		case <-g.done:
			return g.Err()
		case <-ctx.Done():
			return &PeerError{l.rank, l.id, ErrTimeout, fmt.Sprintf("rank %d waited for it to join: %v", g.view.Rank, ctx.Err())}
		}
	}
	if g.local() {
		g.segment = localSegment
	}
	return nil
}

// dial opens one stream of a link; a failure is the group's.
func (g *Group) dial(ctx context.Context, l *link, kind streamKind) {
	st, err := g.service.dial(ctx, g, l, kind)
	if err == nil {
		if err = g.adopt(l, kind, st); err != nil {
			_ = st.Reset()
		}
	}
	if err != nil {
		g.fail(err)
	}
}

func (g *Group) tag() string {
	return fmt.Sprintf("tally/collective/%x/%d", g.view.Job[:8], g.view.Epoch)
}

// start begins the control streams and the watchdog; release waits for them.
func (g *Group) start() {
	g.mu.Lock()
	g.started = true
	g.mu.Unlock()
	for _, l := range g.links {
		if l != nil {
			g.wg.Go(func() { l.writeControl(g.opts.Silence) })
			g.wg.Go(func() { l.readControl(g) })
		}
	}
	g.wg.Go(g.watch)
}
