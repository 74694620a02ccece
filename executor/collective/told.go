package collective

import (
	"fmt"
	"math"
	"sync"
)

// told is what the ranks of a circle's group have said: up to which operation they have all results, in the group's numbers.
type told struct {
	circle *Circle
	mu     sync.Mutex
	mine   numbers
	of     []numbers // by rank
}

// tell has all others know.
func (g *Group) tell(track int, had uint64) {
	g.told.mu.Lock()
	g.told.mine[track] = had
	g.told.mu.Unlock()
	for _, l := range g.links {
		if l != nil {
			l.post(control{typ: controlHad, rank: uint32(track), seq: had})
		}
	}
}

// repeat says it again with each heartbeat: a full queue may have dropped it.
func (t *told) repeat(l *link) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for track, had := range t.mine {
		if had > 0 {
			l.post(control{typ: controlHad, rank: uint32(track), seq: had})
		}
	}
}

// hear is a rank's word.
func (t *told) hear(l *link, c control) error {
	if c.rank >= tracks {
		return &PeerError{l.rank, l.id, ErrFrame, fmt.Sprintf("it speaks of track %d", c.rank)}
	}
	t.mu.Lock()
	last := &t.of[l.rank][c.rank]
	back := c.seq < *last
	*last = max(*last, c.seq)
	t.mu.Unlock()
	if back {
		return &PeerError{l.rank, l.id, ErrFrame, "it has lost results that it had"}
	}
	t.circle.mu.Lock()
	defer t.circle.mu.Unlock()
	t.circle.advance()
	return nil
}

// least is what all the others have said.
func (t *told) least(track, self int) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := uint64(math.MaxUint64)
	for r, had := range t.of {
		if r != self {
			all = min(all, had[track])
		}
	}
	return all
}
