package collective

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Circle is a membership that outlives a group: when a member is lost, a majority agree on the next epoch without it and
// do the operation that broke again, from sources that were left as they were. After each operation there is a barrier: who
// has come past it knows that all have the result. So when the members meet again, an operation has happened if one of them
// came past its barrier or all of them have its result, and otherwise nobody anywhere took it for done.
//
// Its members call Do in the same order, one operation at a time. Epochs are agreed in two phases: whoever leads asks all
// members to promise that they take part in no earlier epoch any more, and to say what has happened; when a majority of
// the view has promised, it tells them who they are. Two majorities of one view have a member in common, and no operation
// ends without all members: so the ranks' results never part, whoever is cut off from whom.
type Circle struct {
	service *Service
	opts    Options
	doing   sync.Mutex // held while a group's operation may change what has happened

	mu       sync.Mutex
	view     View
	group    *Group
	promised uint64        // epochs up to it are over
	happened uint64        // operations that are done
	had      uint64        // the operation whose result this rank has
	next     chan meeting  // of what was committed, the latest
	pending  *View         // committed, and not joined yet
	asked    chan struct{} // tells that a leader got a promise
}

// meeting is what a majority has agreed on.
type meeting struct {
	view     View
	happened uint64
}

// NewCircle joins a view and stays with those of its members that can be reached.
func (s *Service) NewCircle(ctx context.Context, v View, o Options) (*Circle, error) {
	c := &Circle{service: s, opts: o.withDefaults(), view: v, promised: v.Epoch, next: make(chan meeting, 1), asked: make(chan struct{}, 1)}
	s.mu.Lock()
	if s.circles[v.Job] != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("%w: already in a circle of this job", ErrView)
	}
	s.circles[v.Job] = c
	s.mu.Unlock()
	g, err := s.Join(ctx, v, o)
	if err != nil {
		c.forget()
		return nil, err
	}
	c.group = g
	return c, nil
}

func (c *Circle) forget() {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	delete(c.service.circles, c.view.Job)
}

// Close leaves the circle, in order if its group stands.
func (c *Circle) Close(ctx context.Context) error {
	c.forget()
	return c.group.Close(ctx)
}

// View is who is in the circle now.
func (c *Circle) View() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view
}

// Do runs an operation, with fewer members if some are lost meanwhile: View says who took part. Dst must not be Src, and
// parts have no place where ranks may go. A member that failed itself, rather than went away, ends the circle.
func (c *Circle) Do(ctx context.Context, o Operation) error {
	if o.Counts != nil || o.Receive != nil || o.Residual != nil || o.Name != "" || o.Kind != AllReduce && o.Kind != Barrier {
		return fmt.Errorf("%w: a circle does allreduce and barriers, not %v", ErrArgument, o)
	}
	if len(o.Dst) > 0 && len(o.Src) > 0 && unsafe.SliceData(o.Dst) == unsafe.SliceData(o.Src) {
		return fmt.Errorf("%w: %v: it could not be done again in place", ErrArgument, o)
	}
	k := c.count() + 1
	for {
		err := c.try(ctx, o, k)
		if err == nil || !errors.Is(err, ErrLost) && !errors.Is(err, ErrTimeout) || ctx.Err() != nil {
			return err
		}
		if err := c.meet(ctx, err); err != nil {
			return err
		}
		if c.count() >= k {
			return nil // the others had it all, and so had we
		}
	}
}

func (c *Circle) count() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.happened
}

// try does the operation in the group as it is.
func (c *Circle) try(ctx context.Context, o Operation, k uint64) error {
	c.doing.Lock()
	defer c.doing.Unlock()
	c.note(&c.had, k-1) // what is in Dst is no result any more
	if err := c.group.Do(ctx, o); err != nil {
		return err
	}
	c.note(&c.had, k)
	if err := c.group.Do(ctx, Operation{Kind: Barrier}); err != nil {
		return err
	}
	c.note(&c.happened, k)
	return nil
}

func (c *Circle) note(count *uint64, k uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count = k
}

// meet forms the next group with those who can be reached. broke is why the last one failed.
func (c *Circle) meet(ctx context.Context, broke error) error {
	deadline := time.NewTimer(c.opts.Progress)
	defer deadline.Stop()
	for attempt := 0; ; attempt++ {
		_ = c.group.Close(ctx) // it has failed: this only frees it
		m, err := c.await(ctx, deadline.C, time.Duration(c.View().Rank+attempt)*c.opts.Heartbeat/4)
		if errors.Is(err, errMine) {
			m, err = c.lead(ctx, broke)
		}
		if err == nil {
			err = c.take(ctx, m)
		}
		switch {
		case err == nil || errors.Is(err, ErrMismatch):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errLate):
			return fmt.Errorf("%w: no majority of %d members met in %v after: %w", ErrTimeout, len(c.View().Peers), c.opts.Progress, broke)
		}
	}
}

var (
	errMine = errors.New("it is this rank's turn to lead")
	errLate = errors.New("too late")
)

// await waits for what a leader commits, or for this rank's turn to lead. Ranks lead in their order; who has given a leader
// its promise waits for it, and leads if it goes away too.
func (c *Circle) await(ctx context.Context, late <-chan time.Time, patience time.Duration) (meeting, error) {
	turn := time.NewTimer(patience)
	defer turn.Stop()
	for {
		select {
		case m := <-c.next:
			return m, nil
		case <-c.asked:
			turn.Reset(c.opts.Silence)
		case <-turn.C:
			return meeting{}, errMine
		case <-late:
			return meeting{}, errLate
		case <-ctx.Done():
			return meeting{}, ctx.Err()
		}
	}
}

// take joins what was agreed on, unless a later epoch has been promised.
func (c *Circle) take(ctx context.Context, m meeting) error {
	o := c.opts
	o.Join = 2 * c.opts.Silence
	g, err := c.service.Join(ctx, m.view, o)
	if err != nil {
		return err
	}
	c.doing.Lock()
	defer c.doing.Unlock()
	c.mu.Lock()
	late, missed := c.promised != m.view.Epoch, m.happened > c.happened && c.had < m.happened
	if !late && !missed {
		c.group, c.view, c.pending = g, m.view, nil
		c.happened = max(c.happened, m.happened)
	}
	c.mu.Unlock()
	switch {
	case late:
		err = &PeerError{m.view.Rank, c.service.host.ID(), ErrLost, "it has promised a later epoch"}
	case missed:
		err = &PeerError{m.view.Rank, c.service.host.ID(), ErrMismatch, fmt.Sprintf("it has not had operation %d, which has happened", m.happened)}
	default:
		return nil
	}
	g.fail(err)
	_ = g.Close(ctx)
	return err
}

// lead asks all members for their promise and tells those who gave it.
func (c *Circle) lead(ctx context.Context, broke error) (meeting, error) {
	c.doing.Lock()
	c.mu.Lock()
	view, happened, had := c.view, c.happened, c.had
	c.promised = max(c.promised, view.Epoch) + 1
	epoch := c.promised
	c.mu.Unlock()
	c.doing.Unlock()

	lost := peer.ID("")
	var pe *PeerError
	if errors.As(broke, &pe) {
		lost = pe.Peer
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ask, cancel := context.WithTimeout(ctx, c.opts.Silence)
	defer cancel()
	type heard struct {
		rank int
		answer
		err error
	}
	all := make(chan heard, len(view.Peers))
	waiting := map[int]bool{}
	for r, p := range view.Peers {
		if r == view.Rank {
			continue
		}
		if p.ID != lost {
			waiting[r] = true
		}
		asking.Go(func() {
			a, err := c.service.summon(ask, p.ID, summons{kind: prepare, job: view.Job, view: view.hash(), epoch: epoch})
			all <- heard{r, a, err}
		})
	}
	var members bitmap
	members.set(view.Rank)
	yes := 1
	for asked := 1; asked < len(view.Peers) && len(waiting) > 0; asked++ {
		h := <-all
		delete(waiting, h.rank)
		if h.err != nil {
			continue
		}
		if !h.yes {
			c.mu.Lock()
			c.promised = max(c.promised, h.promised)
			c.mu.Unlock()
			continue
		}
		members.set(h.rank)
		yes++
		happened, had = max(happened, h.happened), min(had, h.had)
	}
	if 2*yes <= len(view.Peers) {
		return meeting{}, fmt.Errorf("%w: %d of %d members answered", ErrTimeout, yes, len(view.Peers))
	}
	happened = max(happened, had) // all who are left have it
	tell := summons{kind: commit, job: view.Job, view: view.hash(), epoch: epoch, happened: happened, members: members}
	var wg sync.WaitGroup
	told, end := context.WithTimeout(ctx, c.opts.Silence)
	defer end()
	for r, p := range view.Peers {
		if r != view.Rank && members.has(r) {
			wg.Go(func() { _, _ = c.service.summon(told, p.ID, tell) }) // who is not told does not join, and the next one leads
		}
	}
	wg.Wait()
	return meeting{view: view.among(members, epoch), happened: happened}, nil
}

// answered is this member's answer to a leader.
func (c *Circle) answered(from peer.ID, s summons) answer {
	if s.kind == commit {
		return c.committed(s)
	}
	for {
		c.mu.Lock()
		group, no := c.group, answer{promised: c.promised}
		_, ok := c.heeds(from, s)
		c.mu.Unlock()
		if !ok {
			return no
		}
		// A leader is a member whose group has failed, so that ours cannot go on.
		if group != nil {
			group.fail(&PeerError{max(0, group.view.rankOf(from)), from, ErrLost, "it meets the others again"})
		}
		if a, ok := c.promise(group, from, s); ok {
			return a
		}
	}
}

// heeds says whether a leader asks for what can be promised, and gives the view it speaks of; c.mu is held.
func (c *Circle) heeds(from peer.ID, s summons) (View, bool) {
	view := c.view
	if c.pending != nil && s.view == c.pending.hash() {
		view = *c.pending
	}
	return view, s.view == view.hash() && view.rankOf(from) >= 0 && s.epoch > c.promised
}

// promise answers a leader once nothing can happen in the group any more; not ok if there is another group by then.
func (c *Circle) promise(group *Group, from peer.ID, s summons) (a answer, ok bool) {
	c.doing.Lock()
	defer c.doing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group != group {
		return answer{}, false
	}
	view, ok := c.heeds(from, s)
	if !ok {
		return answer{promised: c.promised}, true
	}
	c.promised, c.view = s.epoch, view
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return answer{yes: true, promised: s.epoch, happened: c.happened, had: c.had}, true
}

// committed keeps what a leader has agreed on with a majority, for meet.
func (c *Circle) committed(s summons) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.epoch != c.promised || s.view != c.view.hash() || !s.members.has(c.view.Rank) || s.members.last() >= len(c.view.Peers) {
		return answer{promised: c.promised}
	}
	next := c.view.among(s.members, s.epoch)
	c.pending = &next
	select {
	case <-c.next: // one that is over
	default:
	}
	c.next <- meeting{view: next, happened: s.happened}
	return answer{yes: true, promised: c.promised, happened: c.happened, had: c.had}
}
