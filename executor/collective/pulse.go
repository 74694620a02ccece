package collective

import "fmt"

// pulse is what a heartbeat says: the last operation without a name that this rank has entered, and the headers of those
// under way. Not all that are in different operations read of each other: one that sums round a ring reads of the rank before
// it, and one that waits for rank 0 of that only. By their heartbeats they find out.
func (g *Group) pulse() control {
	var under []byte
	for _, l := range g.lanes[:orderedLanes] {
		if h := l.current.Load(); h != nil && h.op != laying {
			under = append(under, make([]byte, headerBytes)...)
			h.put(under[len(under)-headerBytes:])
		}
	}
	return control{typ: controlHeartbeat, rank: uint32(g.Rank()), seq: g.entered.Load(), text: string(under)}
}

// feel compares a peer's with what this rank is in.
func (g *Group) feel(l *link, c control, under []byte) error {
	l.seq.Store(c.seq)
	for ; len(under) > 0; under = under[headerBytes:] {
		theirs, err := decodeHeader(under[:headerBytes])
		if err != nil {
			return &PeerError{l.rank, l.id, ErrFrame, err.Error()}
		}
		if ours := g.lanes[theirs.seq%orderedLanes].current.Load(); ours != nil && ours.seq == theirs.seq && *ours != theirs {
			return g.apart(l, *ours, theirs)
		}
	}
	return nil
}

// apart is the error of two ranks that are in different operations.
func (g *Group) apart(l *link, ours, theirs header) error {
	return &PeerError{l.rank, l.id, ErrMismatch, fmt.Sprintf("rank %d is in %v, rank %d in %v", g.Rank(), ours, l.rank, theirs)}
}
