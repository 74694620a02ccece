package collective

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Circle is a membership that outlives a group: when a member is lost, a majority agree on the next epoch without it and
// do what was under way again, from sources that were left as they were. Members tell each other up to which operation
// they have all results. So when they meet again, an operation has happened if one of them knows that all have its result,
// or all say so; otherwise nobody anywhere took it for done.
//
// Epochs are agreed in two phases: whoever leads asks all members to promise that they take part in no earlier epoch any
// more, and to say what they have; when a majority of the view has promised, it tells them who they are. (Of an even
// number, half is enough with its first member.) Two such majorities have a member in common, and no operation ends
// without all members: so the ranks' results never part, whoever is cut off from whom.
//
// Operations are described in the view that Spoken gives, which changes in [Circle.Admit] only: at the same operation on
// every rank. Ranks that were lost since have no part: their place in what is gathered is zeros, their part of what is
// reduced and scattered is nobody's. What cannot be without them (a broadcast from one of them, alltoall) ends with
// ErrLost on every rank. What one rank sends another is not sent again: it ends with ErrLost where the group broke.
type Circle struct {
	service *Service
	opts    Options
	roster  View // all who may be members, in their order
	size    int  // members that it began with
	cancel  context.CancelFunc
	kept    chan struct{} // closed when keep has ended
	closing sync.Once
	closed  error

	mu       sync.Mutex
	group    *Group
	view     View
	spoken   View
	promised uint64   // epochs up to it are over
	pending  *meeting // committed, and not joined yet
	stopJoin func()   // ends the joining of an epoch under way
	tracks   [tracks]track
	named    map[string]*task // by name, not happened
	traffic  map[peer.ID]Traffic
	lines    *matrix           // between the members, as last measured
	wants    map[int]time.Time // places in the roster of who asked to come in, and when
	calls    map[int]int       // of places: times they were let in since they last came
	letIn    *arrivals
	missed   bitmap // spares that were not there when they were wanted
	ending   Ending
	err      error
	over     chan struct{} // closed with err
	next     chan meeting  // of what was committed, the latest
	asked    chan struct{} // tells that a leader got a promise
}

// meeting is what a majority has agreed on.
type meeting struct {
	view     View
	happened numbers
}

// NewCircle joins a view and stays with those of its members that can be reached.
func (s *Service) NewCircle(ctx context.Context, v View, o Options) (*Circle, error) {
	c, err := s.newCircle(v, o)
	if err != nil {
		return nil, err
	}
	if err := c.first(ctx, v); err != nil {
		c.forget()
		return nil, err
	}
	c.begin(ctx)
	return c, nil
}

// first joins the view that the circle begins with. If the others meet before that is done, so does this member.
func (c *Circle) first(ctx context.Context, v View) error {
	joining, stop := context.WithCancel(ctx)
	defer stop()
	c.mu.Lock()
	c.view, c.spoken, c.promised, c.stopJoin = v, v, v.Epoch, stop
	c.mu.Unlock()
	g, err := c.service.join(joining, v, c.opts, c, nil)
	c.mu.Lock()
	late := c.promised != v.Epoch
	if !late && err == nil {
		c.group, c.lines = g, g.lines
	}
	c.mu.Unlock()
	if !late || ctx.Err() != nil {
		return err
	}
	broke := fmt.Errorf("%w: before this rank had joined", errMeets)
	if err == nil {
		g.fail(broke)
		_ = g.Close(ctx)
	}
	return c.meet(ctx, broke)
}

// newCircle registers a circle of the view's peers and the spares.
func (s *Service) newCircle(v View, o Options) (*Circle, error) {
	roster := v
	roster.Peers = append(roster.Peers[:len(v.Peers):len(v.Peers)], o.Spares...)
	if err := roster.check(s.host.ID()); err != nil {
		return nil, err
	}
	c := &Circle{
		service: s, opts: o.withDefaults(), roster: roster, size: len(v.Peers), kept: make(chan struct{}),
		stopJoin: func() {}, named: map[string]*task{}, traffic: map[peer.ID]Traffic{}, wants: map[int]time.Time{}, calls: map[int]int{},
		over: make(chan struct{}), next: make(chan meeting, 1), asked: make(chan struct{}, 1),
	}
	for i := range c.tracks {
		c.tracks[i].tasks = map[uint64]*task{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fmt.Errorf("%w: the service", ErrClosed)
	case s.circles[v.Job] != nil:
		return nil, fmt.Errorf("%w: already in a circle of this job", ErrView)
	}
	s.circles[v.Job] = c
	return c, nil
}

// begin has the circle keep itself; Close ends that.
func (c *Circle) begin(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.keep(ctx)
}

func (c *Circle) forget() {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	if c.service.circles[c.roster.Job] == c {
		delete(c.service.circles, c.roster.Job)
	}
}

// Close waits until all members close, and leaves with them. What fails after that is nobody's loss.
func (c *Circle) Close(ctx context.Context) error {
	c.closing.Do(func() {
		last, err := c.submit(Operation{Kind: Barrier}, func(*task) {})
		if err == nil {
			err = c.drive(ctx, last)
		}
		if c.closed = err; err == nil {
			c.finish(last.in)
		}
		c.stop()
		if err := c.current().Close(ctx); err != nil && c.closed == nil {
			c.service.log.Info("collective: the circle came to its end, and a member was gone then", "err", err)
		}
		c.end(fmt.Errorf("%w: the circle", ErrClosed))
	})
	return c.closed
}

// Leave goes away from a circle, which goes on without this member at once. The others are told why.
func (c *Circle) Leave(ctx context.Context, why error) {
	c.closing.Do(func() {
		c.stop()
		ended := c.Err()
		leaves := &PeerError{c.View().Rank, c.service.host.ID(), ErrLost, fmt.Sprintf("it leaves: %v", why)}
		c.end(leaves)
		g := c.current()
		g.fail(leaves)
		_ = g.Close(ctx)
		if c.closed = ended; ended == nil {
			c.closed = fmt.Errorf("%w: left the circle: %w", ErrClosed, why)
		}
	})
}

// Abort ends the circle on every rank with this reason.
func (c *Circle) Abort(reason error) {
	c.end(fmt.Errorf("%w: rank %d: %w", ErrAborted, c.View().Rank, reason))
}

// stop ends keep: no other group is formed.
func (c *Circle) stop() {
	c.cancel()
	<-c.kept
	c.forget()
}

// end makes this the result of all that has not happened, here and, if the group stands, everywhere.
func (c *Circle) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halt(err) && c.group != nil && !errors.Is(err, ErrClosed) { // which it has been, in order
		c.group.fail(err)
	}
}

// halt makes this the result of all that has not happened here, holding mu. It says whether there was none before.
func (c *Circle) halt(err error) bool {
	if c.err != nil {
		return false
	}
	c.err = err
	close(c.over)
	for i := range c.tracks {
		for _, t := range c.tracks[i].tasks {
			t.settle(err)
		}
		clear(c.tracks[i].tasks)
	}
	for _, t := range c.named {
		t.settle(err)
	}
	clear(c.named)
	return true
}

// View is who is in the circle now.
func (c *Circle) View() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view
}

// Spoken is the view in which operations are described: see [Circle.Admit].
func (c *Circle) Spoken() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoken
}

// Traffic gives the payload bytes exchanged with every other peer so far, those that are gone among them.
func (c *Circle) Traffic() map[peer.ID]Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.traffic)
	if c.group != nil {
		add(all, c.group)
	}
	return all
}

func add(all map[peer.ID]Traffic, g *Group) {
	for id, t := range g.Traffic() {
		all[id] = Traffic{all[id].Sent + t.Sent, all[id].Received + t.Received}
	}
}

// Over is closed when the circle has ended; Err then says why.
func (c *Circle) Over() <-chan struct{} { return c.over }

// Err is what ended the circle, or nil.
func (c *Circle) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Circle) current() *Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.group
}

// standing says whether the group can be used, holding mu.
func (c *Circle) standing() bool {
	return c.err == nil && c.promised == c.view.Epoch && c.group != nil && c.group.view.Epoch == c.view.Epoch
}

// Start begins an operation: see [Circle.Do].
func (c *Circle) Start(ctx context.Context, o Operation) (*Handle, error) {
	run, err := c.prepare(o)
	if err != nil {
		return nil, err
	}
	return begin(ctx, run), nil
}

// Do runs an operation, with fewer members if some are lost meanwhile. Dst must not be Src. Cancelling ctx aborts the
// circle. A member whose program failed, rather than its machine, ends it too.
func (c *Circle) Do(ctx context.Context, o Operation) error {
	run, err := c.prepare(o)
	if err != nil {
		return err
	}
	_, err = run(ctx)
	return err
}

// Part joins a process group, as [Group.Part]. It ends when any member of the circle is lost.
func (c *Circle) Part(ctx context.Context, ranks []int) (*Group, error) {
	c.mu.Lock()
	g, spoken, view, err := c.group, c.spoken, c.view, c.err
	c.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case spoken.hash() != view.hash():
		return nil, gone(spoken, view, "a process group is made of members that are all there")
	}
	return g.Part(ctx, ranks)
}

// mendable says whether the others can go on after this failure.
func mendable(err error) bool { return errors.Is(err, ErrLost) || errors.Is(err, ErrTimeout) }
