package collective

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// errMeets is what ends a group whose members are to meet: it blames nobody.
var errMeets = fmt.Errorf("%w: the members meet", ErrLost)

var (
	errMine = errors.New("it is this rank's turn to lead")
	errLate = errors.New("too late")
	errLeft = fmt.Errorf("%w: the others went on without this rank", ErrLost)
)

// keep forms a new group whenever one has failed.
func (c *Circle) keep(ctx context.Context) {
	defer close(c.kept)
	for {
		g := c.current()
		select {
		case <-g.Done():
		case <-ctx.Done():
			return
		}
		broke := g.Err()
		if !mendable(broke) {
			c.end(broke)
			return
		}
		if err := c.meet(ctx, broke); err != nil {
			if ctx.Err() == nil {
				c.end(err)
			}
			return
		}
	}
}

// meet forms the next group with those who can be reached. broke is why the last one failed.
func (c *Circle) meet(ctx context.Context, broke error) error {
	if errors.Is(broke, ErrTimeout) && blamed(broke) == c.service.host.ID() {
		return fmt.Errorf("%w: the others waited for it: %w", errLeft, broke)
	}
	deadline := time.NewTimer(c.opts.Meet)
	defer deadline.Stop()
	for attempt := 0; ; attempt++ {
		if g := c.current(); g != nil {
			_ = g.Close(ctx) // it has failed: this frees it, when all that ran in it has ended
		}
		m, err := c.await(ctx, deadline.C, min(time.Duration(c.View().Rank+attempt)*c.opts.Heartbeat/4, c.opts.Silence))
		if errors.Is(err, errMine) {
			m, err = c.lead(ctx, broke, attempt < patience)
		}
		if err == nil {
			if err = c.take(ctx, m); err != nil {
				c.dropArrivals() // it may be for them that it came to nothing
			}
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c.Err() != nil:
			return c.Err()
		case errors.Is(err, errLeft):
			return fmt.Errorf("%w after: %w", err, broke)
		case errors.Is(err, errLate):
			return fmt.Errorf("%w: no majority of %d members met in %v after: %w", ErrTimeout, len(c.View().Peers), c.opts.Meet, broke)
		}
		c.service.log.Debug("collective: the members meet again", "err", err)
	}
}

// await waits for what a leader commits, or for this rank's turn to lead. Ranks lead in their order; who has given a leader
// its promise waits for it, and leads if it goes away too.
func (c *Circle) await(ctx context.Context, late <-chan time.Time, wait time.Duration) (meeting, error) {
	turn := time.NewTimer(wait)
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
		case <-c.over:
			return meeting{}, c.Err()
		case <-ctx.Done():
			return meeting{}, ctx.Err()
		}
	}
}

// take joins what was agreed on, unless a later epoch has been promised.
func (c *Circle) take(ctx context.Context, m meeting) error {
	o := c.opts
	o.Join = 2 * c.opts.Silence
	joining, stop := context.WithCancel(ctx)
	defer stop()
	c.mu.Lock()
	c.stopJoin = stop
	if c.promised != m.view.Epoch {
		stop()
	}
	known := c.lines
	c.mu.Unlock()
	g, err := c.service.join(joining, m.view, o, c, known)
	if err != nil {
		return err
	}
	c.mu.Lock()
	late := c.promised != m.view.Epoch || c.err != nil
	if !late {
		if c.group != nil {
			add(c.traffic, c.group)
		}
		c.came(m.view)
		c.restart(m.happened)
		c.group, c.view, c.pending, c.letIn, c.lines = g, m.view, nil, nil, g.lines
		c.tryAll()
		c.advance()
	}
	c.mu.Unlock()
	if !late {
		c.service.log.Info("collective: the circle goes on", "rank", m.view.Rank, "size", len(m.view.Peers), "epoch", m.view.Epoch)
		return nil
	}
	err = &PeerError{m.view.Rank, c.service.host.ID(), errMeets, "it has promised a later epoch"}
	g.fail(err)
	_ = g.Close(ctx)
	return err
}

// heard is a member's answer to a leader.
type heard struct {
	rank int
	answer
	err error
}

// patience is how many times a leader comes again with a later epoch for members that have promised another one; after that
// it goes on without them.
const patience = 6

// lead asks all members for their promise and tells those who gave it, and those who are to come in.
func (c *Circle) lead(ctx context.Context, broke error, patient bool) (meeting, error) {
	c.mu.Lock()
	view, letIn := c.view, c.letIn
	mine := c.answer(saidYes)
	c.promised = max(c.promised, view.Epoch) + 1
	mine.promised = c.promised
	c.mu.Unlock()
	s := summons{kind: prepare, job: view.Job, view: view.hash(), epoch: mine.promised}

	var asking sync.WaitGroup
	defer asking.Wait()
	ask, cancel := context.WithTimeout(ctx, c.opts.Silence)
	defer cancel()
	all := make(chan heard, len(view.Peers))
	waiting, shunned := map[int]bool{}, blamed(broke)
	for r, p := range view.Peers {
		if r == view.Rank || p.ID == shunned && errors.Is(broke, ErrTimeout) {
			continue // who made the others wait too long is not asked
		}
		waiting[r] = p.ID != shunned
		asking.Go(func() {
			a, err := c.service.summon(ask, p.ID, s)
			all <- heard{r, a, err}
		})
	}
	var members bitmap
	members.set(view.Rank)
	yes, no, elsewhere, m := 1, 0, 0, mine
	var enough <-chan time.Time // who was lost may have been slow only
hearing:
	for range len(waiting) {
		if !anyOf(waiting) && enough == nil {
			enough = time.After(c.opts.Heartbeat)
		}
		var h heard
		select {
		case h = <-all:
		case <-enough:
			break hearing
		}
		delete(waiting, h.rank)
		switch {
		case h.err != nil:
		case h.status == saidYes && h.fits(mine):
			members.set(h.rank)
			yes++
			m = m.and(h.answer)
		case h.status == saidElsewhere:
			elsewhere++
		default:
			no++
			c.mu.Lock()
			c.promised = max(c.promised, min(h.promised, c.promised+maxSkip))
			c.mu.Unlock()
		}
	}
	if !quorum(view, members) {
		if n := len(view.Peers); 2*(n-elsewhere) < n {
			return meeting{}, errLeft
		}
		return meeting{}, fmt.Errorf("%w: %d of %d members answered", ErrTimeout, yes, len(view.Peers))
	}
	if no > 0 && patient {
		return meeting{}, fmt.Errorf("%w: %d of %d members have promised another epoch", ErrLost, no, len(view.Peers))
	}
	if yes+len(c.opts.Spares) < c.opts.Least {
		return meeting{}, fmt.Errorf("%w: %d of %d members are left, where at least %d are wanted", ErrLost, yes, len(view.Peers), c.opts.Least)
	}
	next := meeting{view: view.among(members, s.epoch), happened: m.settled()}
	s.kind, s.happened, s.members = commit, next.happened, c.roster.places(next.view)
	if letIn != nil && letIn.number <= next.happened[inOrder] {
		s.members = s.members.or(letIn.places)
		next.view = c.roster.among(s.members, s.epoch)
	}
	c.mu.Lock()
	if c.promised == s.epoch {
		c.pending = &next // others may join it, and this one not
	}
	c.mu.Unlock()
	c.tell(ctx, next.view, s)
	return next, nil
}

// maxSkip bounds how far one member's word moves the epoch.
const maxSkip = 1 << 16

func anyOf(set map[int]bool) bool {
	for _, in := range set {
		if in {
			return true
		}
	}
	return false
}

// blamed is the peer that a failure names, if it was lost.
func blamed(broke error) peer.ID {
	var pe *PeerError
	if errors.As(broke, &pe) && !errors.Is(broke, errMeets) {
		return pe.Peer
	}
	return ""
}

// quorum says whether these ranks of a view decide for it: more than half, or half with the first one.
func quorum(v View, members bitmap) bool {
	n := members.count()
	return 2*n > len(v.Peers) || 2*n == len(v.Peers) && members.has(0)
}

// tell tells the members of a view. Who is not told does not join, and the next one leads.
func (c *Circle) tell(ctx context.Context, v View, s summons) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Silence)
	defer cancel()
	var wg sync.WaitGroup
	for r, p := range v.Peers {
		if r != v.Rank {
			wg.Go(func() { _, _ = c.service.summon(ctx, p.ID, s) })
		}
	}
	wg.Wait()
}

// answered is this member's answer to a peer.
func (c *Circle) answered(from peer.ID, s summons) answer {
	place := c.roster.rankOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if place < 0 || c.err != nil {
		return answer{}
	}
	switch s.kind {
	case commit:
		return c.committed(from, s)
	case knock:
		return c.knocked(place)
	}
	view := c.view
	if c.pending != nil && s.view == c.pending.view.hash() {
		view = c.pending.view
	}
	switch {
	case view.rankOf(from) < 0:
		return answer{status: saidElsewhere}
	case s.view != view.hash() || s.epoch <= c.promised || s.epoch > c.promised+maxSkip:
		return c.answer(saidNo)
	}
	if c.pending != nil && view.Epoch == c.pending.view.Epoch { // what it would have done again is no result any more
		c.restart(c.pending.happened)
		c.view, c.pending = view, nil
	}
	c.promised = s.epoch
	c.stopJoin() // of an earlier epoch
	select {
	case c.asked <- struct{}{}:
	default:
	}
	// A leader is a member whose group has failed, so that ours cannot go on.
	if c.group != nil {
		c.group.fail(&PeerError{max(0, c.group.view.rankOf(from)), from, errMeets, "it meets the others again"})
	}
	return c.answer(saidYes)
}

// answer tells what this member has, holding mu.
func (c *Circle) answer(status answerStatus) answer {
	a := answer{status: status, promised: c.promised}
	for i := range c.tracks {
		a.happened[i], a.had[i] = c.tracks[i].happened, c.tracks[i].had
	}
	return a
}

// committed keeps what a leader has agreed on with a majority, for meet. It must be what the promises allow.
func (c *Circle) committed(from peer.ID, s summons) answer {
	entering := len(c.view.Peers) == 0
	members := c.roster.among(s.members, s.epoch)
	ok := s.epoch == c.promised || entering && s.epoch > c.promised
	ok = ok && s.members.last() < len(c.roster.Peers) && s.members.has(c.roster.Rank) && members.rankOf(from) >= 0
	if !entering {
		ok = ok && s.view == c.view.hash() && c.mayBe(members, s.happened)
	}
	if !ok {
		return c.answer(saidNo)
	}
	c.promised = s.epoch
	if entering {
		c.stopJoin() // of an earlier epoch: who is not in is not asked for its promise, which does so otherwise
	}
	m := meeting{view: members, happened: s.happened}
	c.pending = &m
	select {
	case <-c.next: // one that is over
	default:
	}
	c.next <- m
	return c.answer(saidYes)
}

// mayBe checks a leader's result: enough of the view, nobody but those who are let in, all that has happened and nothing
// that this member has not had.
func (c *Circle) mayBe(next View, happened numbers) bool {
	var left bitmap
	for _, p := range next.Peers {
		place := c.roster.rankOf(p.ID)
		if r := c.view.rankOf(p.ID); r >= 0 {
			left.set(r)
		} else if c.letIn == nil || !c.letIn.places.has(place) || c.letIn.number > happened[inOrder] {
			return false
		}
	}
	for i := range c.tracks {
		if happened[i] < c.tracks[i].happened || happened[i] > c.tracks[i].had {
			return false
		}
	}
	return quorum(c.view, left) && left.count()+len(c.opts.Spares) >= c.opts.Least
}
