package collective

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// names match operations that ranks submit in different orders. A rank tells rank 0 what it has come to; when all have
// come, rank 0 tells them to go, and the order in which it does so is the order of the turns.
type names struct {
	mu    sync.Mutex
	mine  map[string]chan place // what this rank waits for
	asked map[string]*asked     // at rank 0: what some rank waits for
	gone  uint64                // how many were let go
}

// place is where an operation by name runs.
type place struct {
	t    turn
	lane *lane
	seq  uint64
}

// asked is what rank 0 knows of one name.
type asked struct {
	what  map[int]string // by rank: the operation, as the rank describes it
	ticks int
}

func newNames() names { return names{mine: map[string]chan place{}, asked: map[string]*asked{}} }

// prepareNamed tells rank 0 that this rank has come to the operation.
func (g *Group) prepareNamed(o Operation) (func(context.Context) (uint64, error), error) {
	let := make(chan place, 1)
	g.starting.Lock()
	err := g.open()
	if err == nil {
		g.names.mu.Lock()
		switch _, twice := g.names.mine[o.Name]; {
		case twice:
			err = fmt.Errorf("%w: %v: this name is in flight already", ErrArgument, o)
		case len(g.names.mine) >= maxInFlight:
			err = fmt.Errorf("%w: %v: %d names are in flight already", ErrArgument, o, maxInFlight)
		default:
			g.names.mine[o.Name] = let
			g.ops.Add(1)
		}
		g.names.mu.Unlock()
	}
	g.starting.Unlock()
	if err != nil {
		return nil, err
	}
	if g.Rank() == 0 {
		err = g.asked(0, ready(o))
	} else if l := g.links[0]; !l.post(control{typ: controlReady, rank: uint32(g.Rank()), text: ready(o)}) {
		err = &PeerError{l.rank, l.id, ErrLost, fmt.Sprintf("%v: it does not read", o)}
	}
	if err != nil {
		g.fail(err)
	}
	return g.counted(func(ctx context.Context) (uint64, error) {
		select {
		case at := <-let:
			h := o.header()
			h.seq, h.epoch = at.seq, g.view.Epoch
			return at.seq, at.lane.run(ctx, at.t, h, at.lane.do(o))
		case <-g.done:
		case <-ctx.Done():
			g.Abort(fmt.Errorf("%v: %w", o, context.Cause(ctx)))
		}
		g.names.forget(o.Name, let)
		return 0, g.Err()
	}), nil
}

// ready is what a rank tells rank 0: the name and the operation, of which the latter is compared.
func ready(o Operation) string { return o.Name + "\x00" + o.String() }

// negotiated handles what a peer says about operations.
func (g *Group) negotiated(l *link, c control, text string) error {
	switch {
	case c.typ == controlHad && g.told != nil:
		return g.told.hear(l, c)
	case c.typ == controlReady && g.Rank() == 0 && int(c.rank) == l.rank && c.seq == 0:
		return g.asked(l.rank, text)
	case c.typ == controlGo && l.rank == 0 && c.rank == 0:
		return g.goes(text, c.seq)
	}
	return &PeerError{l.rank, l.id, ErrFrame, "it speaks of operations out of its place"}
}

// asked is rank 0 hearing that a rank has come to an operation.
func (g *Group) asked(rank int, text string) error {
	blame := func(kind error, format string, a ...any) error {
		return &PeerError{rank, g.view.Peers[rank].ID, kind, fmt.Sprintf(format, a...)}
	}
	name, what, ok := strings.Cut(text, "\x00")
	if !ok || name == "" || len(name) > maxName {
		return blame(ErrFrame, "a named operation without a name")
	}
	g.names.mu.Lock()
	defer g.names.mu.Unlock()
	a := g.names.asked[name]
	if a == nil {
		a = &asked{what: map[int]string{}}
		g.names.asked[name] = a
	}
	if _, twice := a.what[rank]; twice {
		return blame(ErrFrame, "it came to %q twice", name)
	}
	waits := 0
	for _, other := range g.names.asked {
		if _, in := other.what[rank]; in {
			waits++
		}
	}
	if waits > maxInFlight {
		return blame(ErrFrame, "more than %d operations by name", maxInFlight)
	}
	for _, other := range slices.Sorted(maps.Keys(a.what)) {
		if a.what[other] != what {
			return blame(ErrMismatch, "rank %d is in %s, rank %d in %s", other, a.what[other], rank, what)
		}
	}
	a.what[rank] = what
	if len(a.what) < g.Size() {
		return nil
	}
	delete(g.names.asked, name)
	g.names.gone++
	for _, l := range g.links {
		if l != nil && !l.post(control{typ: controlGo, seq: g.names.gone, text: name}) {
			return &PeerError{l.rank, l.id, ErrLost, fmt.Sprintf("%q: it does not read", name)}
		}
	}
	g.names.place(g, name, g.names.gone)
	return nil
}

// goes is this rank hearing that all have come to an operation.
func (g *Group) goes(name string, seq uint64) error {
	g.names.mu.Lock()
	defer g.names.mu.Unlock()
	if g.names.gone++; seq != g.names.gone || !g.names.place(g, name, seq) {
		return &PeerError{0, g.view.Peers[0].ID, ErrFrame, fmt.Sprintf("go %d for %q, which this rank does not wait for", seq, name)}
	}
	return nil
}

// place gives the operation its turn, holding names.mu.
func (n *names) place(g *Group, name string, seq uint64) bool {
	c, ok := n.mine[name]
	if !ok {
		return false
	}
	delete(n.mine, name)
	l := g.lanes[orderedLanes+seq%namedLanes]
	c <- place{t: l.turns.ask(), lane: l, seq: seq}
	return true
}

// forget is for an operation that will not run: if it was given a turn, that ends.
func (n *names) forget(name string, c <-chan place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.mine, name)
	select {
	case at := <-c:
		close(at.t.over)
	default:
	}
}

// tick is an error when a name waits for some rank for too long.
func (n *names) tick(v View, most int, limit time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(n.asked)) {
		a := n.asked[name]
		if a.ticks++; a.ticks <= most {
			continue
		}
		var in, out []int
		for r := range v.Peers {
			if a.what[r] != "" {
				in = append(in, r)
			} else {
				out = append(out, r)
			}
		}
		return &PeerError{out[0], v.Peers[out[0]].ID, ErrTimeout, fmt.Sprintf("rank %d: %s was submitted by ranks %v and, in %v, not by ranks %v",
			v.Rank, a.what[in[0]], in, limit, out)}
	}
	return nil
}
