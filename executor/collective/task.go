package collective

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unsafe"
)

// The tracks of a circle's operations: each has its own order, which is the same on all ranks.
const (
	inOrder = iota // operations without a name
	byName
	tracks
)

// numbers are those of operations, one in each track.
type numbers [tracks]uint64

// track is what this rank knows of one track. Operations are numbered from 1 and for as long as there is a circle.
type track struct {
	happened uint64 // operations up to it are done: all members of their view have the results
	had      uint64 // operations up to it have their results here
	last     uint64 // the last that was submitted; in order only
	base     uint64 // what had happened when the group began: it counts from there
	tasks    map[uint64]*task
}

// task is an operation until it has happened.
type task struct {
	o        Operation
	spoken   View   // in whose ranks o is
	residual []byte // as it was
	tries    chan try
	number   uint64      // by name: once it is had
	after    func(*task) // sees it had, holding the circle's mu
	lost     error       // what it comes to in the group as it is; nil: its result
	had      bool
	in       View // in which it was had
	err      error
	over     chan struct{} // closed when it has happened, or never will
}

// try is a task in one group.
type try struct {
	group  *Group
	track  int
	run    func(context.Context) (seq uint64, err error)
	finish func() // makes of the result what was asked for
}

// settle ends a task, once.
func (t *task) settle(err error) {
	select {
	case <-t.over:
	default:
		t.err = err
		close(t.over)
	}
}

// overlap says whether two buffers share memory.
func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	x, y := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}

// prepare gives an operation its place; what it returns must be called, once, and gives the epoch in which it happened.
func (c *Circle) prepare(o Operation) (run func(context.Context) (epoch uint64, err error), err error) {
	if o.Kind == Send || o.Kind == Receive {
		return c.preparePair(o)
	}
	t, err := c.submit(o, func(*task) {})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (uint64, error) {
		err := c.drive(ctx, t)
		return t.in.Epoch, err
	}, nil
}

// submit gives an operation its place; it must be driven.
func (c *Circle) submit(o Operation, after func(*task)) (*task, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if (o.Kind == AllReduce || o.Kind == ReduceScatter) && overlap(o.Dst, o.Src) {
		return nil, fmt.Errorf("%w: %v: it could not be done again in place", ErrArgument, o)
	}
	o, err := o.check(c.spoken.Rank, len(c.spoken.Peers))
	if err != nil {
		return nil, err
	}
	t := &task{
		o: o, spoken: c.spoken, residual: bytes.Clone(o.Residual), after: after,
		tries: make(chan try, 1), over: make(chan struct{}),
	}
	if o.Name == "" {
		tr := &c.tracks[inOrder]
		tr.last++
		t.number = tr.last
		tr.tasks[t.number] = t
	} else {
		switch {
		case c.named[o.Name] != nil:
			return nil, fmt.Errorf("%w: %v: this name is in flight already", ErrArgument, o)
		case len(c.named) >= maxInFlight:
			return nil, fmt.Errorf("%w: %v: %d names are in flight already", ErrArgument, o, maxInFlight)
		}
		c.named[o.Name] = t
	}
	if c.standing() {
		c.try(t)
	}
	return t, nil
}

// preparePair is one message in the group as it is.
func (c *Circle) preparePair(o Operation) (func(context.Context) (uint64, error), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	o, err := o.check(c.spoken.Rank, len(c.spoken.Peers))
	if err != nil {
		return nil, err
	}
	to := c.view.rankOf(c.spoken.Peers[o.Root].ID)
	if !c.standing() || to < 0 {
		return nil, &PeerError{o.Root, c.spoken.Peers[o.Root].ID, ErrLost, fmt.Sprintf("%v: a member was lost", o)}
	}
	o.Root = to
	epoch := c.view.Epoch
	run, err := c.group.prepare(o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (uint64, error) {
		_, err := run(ctx)
		return epoch, err
	}, nil
}

// try gives a task its place in the group, holding mu. A group that fails meanwhile leaves it to the next one.
func (c *Circle) try(t *task) {
	a := try{group: c.group, track: inOrder}
	if t.o.Name != "" {
		a.track = byName
	}
	var o Operation
	o, a.finish, t.lost = fit(t.o, t.spoken, c.view)
	run, err := c.group.prepare(o)
	if err != nil {
		return
	}
	a.run = run
	t.tries <- a // the last group's was run before that group was closed
}

// drive tries until the operation has happened.
func (c *Circle) drive(ctx context.Context, t *task) error {
	stop := context.AfterFunc(ctx, func() { c.Abort(fmt.Errorf("%v: %w", t.o, context.Cause(ctx))) })
	defer stop()
	for {
		select {
		case a := <-t.tries:
			copy(t.o.Residual, t.residual)
			seq, err := a.run(ctx)
			if err == nil {
				a.finish()
				c.have(t, a, seq)
			}
		case <-t.over:
			select {
			case a := <-t.tries: // its group has failed, and waits for it
				_, _ = a.run(ctx)
			default:
			}
			return t.err
		}
	}
}

// have counts a result, unless the group was promised to be over, and tells the others.
func (c *Circle) have(t *task, a try, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group != a.group || !c.standing() {
		return
	}
	tr := &c.tracks[a.track]
	t.had, t.in, t.number = true, c.view, tr.base+seq
	tr.tasks[t.number] = t
	t.after(t)
	before := tr.had
	for next := tr.tasks[tr.had+1]; next != nil && next.had; next = tr.tasks[tr.had+1] {
		tr.had++
	}
	if tr.had > before {
		c.group.tell(a.track, tr.had-tr.base)
	}
	c.advance()
}

// advance settles what all members have, holding mu.
func (c *Circle) advance() {
	if !c.standing() {
		return
	}
	for i := range c.tracks {
		tr := &c.tracks[i]
		if others := c.group.told.least(i, c.view.Rank); others >= tr.had-tr.base {
			c.settleTo(i, tr.had)
		} else {
			c.settleTo(i, tr.base+others)
		}
	}
}

// settleTo ends the operations up to a number: they have happened.
func (c *Circle) settleTo(i int, happened uint64) {
	tr := &c.tracks[i]
	if happened <= tr.happened {
		return
	}
	tr.happened = happened
	for n, t := range tr.tasks {
		if n <= happened {
			delete(tr.tasks, n)
			delete(c.named, t.o.Name)
			t.settle(t.lost)
		}
	}
}

// restart settles what has happened by a meeting, and takes back the rest, which is to be done again.
func (c *Circle) restart(happened numbers) {
	for i := range c.tracks {
		tr := &c.tracks[i]
		c.settleTo(i, happened[i])
		tr.had, tr.base = happened[i], happened[i]
		tr.last = max(tr.last, happened[i])
		for n, t := range tr.tasks {
			if t.had = false; i == byName {
				delete(tr.tasks, n)
			}
		}
	}
	if c.letIn != nil && c.letIn.number > happened[inOrder] {
		c.letIn = nil
	}
}

// tryAll gives all that has not happened its place in a new group.
func (c *Circle) tryAll() {
	for _, n := range slices.Sorted(maps.Keys(c.tracks[inOrder].tasks)) {
		c.try(c.tracks[inOrder].tasks[n])
	}
	for _, name := range slices.Sorted(maps.Keys(c.named)) {
		c.try(c.named[name])
	}
}

// fit is the operation as the members of a view do it, where it was asked for in the ranks of another, and what then makes
// its result of theirs. An operation that cannot be without the lost ones is a barrier in its place, and an error.
func fit(o Operation, asked, now View) (do Operation, finish func(), lost error) {
	finish = func() {}
	if o.Kind == AllReduce || o.Kind == Barrier || slices.EqualFunc(asked.Peers, now.Peers, samePeer) {
		return o, finish, nil
	}
	cannot := func() (Operation, func(), error) {
		return Operation{Kind: Barrier, Name: o.Name}, finish, gone(asked, now, o.String())
	}
	if !o.Kind.mends() || !now.within(asked) {
		return cannot()
	}
	do = o
	switch o.Kind {
	case Broadcast:
		if do.Root = now.rankOf(asked.Peers[o.Root].ID); do.Root < 0 {
			return cannot()
		}
	case AllGather:
		do.Counts, do.Dst = among(o.Counts, asked, now)
		finish = func() {
			parts := split(do.Dst, do.Counts)
			for r, into := range split(o.Dst, o.Counts) {
				if from := now.rankOf(asked.Peers[r].ID); from >= 0 {
					copy(into, parts[from])
				} else {
					clear(into)
				}
			}
		}
	case ReduceScatter:
		do.Counts, do.Src = among(o.Counts, asked, now)
		parts := split(do.Src, do.Counts)
		for r, from := range split(o.Src, o.Counts) {
			if to := now.rankOf(asked.Peers[r].ID); to >= 0 {
				copy(parts[to], from)
			}
		}
	}
	return do, finish, nil
}

// mends says whether an operation has a meaning without ranks that were lost.
func (k Kind) mends() bool { return k != AllToAll && k != Send && k != Receive }

// among are the counts of those who are left, and room for their parts.
func among(all []int, asked, now View) (left []int, room []byte) {
	sum := 0
	for _, p := range now.Peers {
		n := all[asked.rankOf(p.ID)]
		left, sum = append(left, n), sum+n
	}
	return left, make([]byte, sum)
}

// gone is the error of what cannot be without those who were lost.
func gone(asked, now View, what string) error {
	var first *PeerError
	var all []string
	for r, p := range asked.Peers {
		if now.rankOf(p.ID) >= 0 {
			continue
		}
		if first == nil {
			first = &PeerError{Rank: r, Peer: p.ID, Kind: ErrLost}
		}
		all = append(all, fmt.Sprint(r))
	}
	if first == nil {
		return fmt.Errorf("%w: %s: members have joined since", ErrLost, what)
	}
	first.Text = fmt.Sprintf("%s: not without ranks %s", what, strings.Join(all, ", "))
	return first
}
