package collective

import "github.com/tallycompute/tally/executor/collective/kernel"

const (
	// smallBytes is the largest payload exchanged directly between all pairs.
	smallBytes = 16 << 10
	// localBytes is the largest that goes through rank 0 where all are on one machine. A ring passes as many bytes, and overlaps
	// more, but wakes each rank 2(n-1) times.
	localBytes = 64 << 10
)

// small is the largest operation, as it is, that is done at once rather than round the ring.
func (p *plan) small() int {
	if p.local {
		return localBytes
	}
	return smallBytes
}

// slot has room for so many bytes of rank r; slot(Size()) is what is sent.
func (l *lane) slot(r, n int) []byte {
	if l.slots == nil {
		l.slots = make([][]byte, l.g.Size()+1)
	}
	if need := headerBytes + n; len(l.slots[r]) < need {
		l.slots[r] = make([]byte, max(need, headerBytes+smallBytes))
	}
	return l.slots[r][headerBytes:][:n]
}

// direct sends header and out to every rank and reads each rank's payload, of bytes(rank) bytes, into its slot.
func (l *lane) direct(h header, out []byte, bytes func(rank int) int) error {
	if err := l.tell(h, out, l.pipes); err != nil {
		return err
	}
	return l.hear(h, bytes, l.pipes)
}

// tell sends header and payload as one to the ranks behind pipes; nil is this one.
func (l *lane) tell(h header, payload []byte, to []*pipe) error {
	copy(l.slot(l.g.Size(), len(payload)), payload)
	frame := l.slots[l.g.Size()][:headerBytes+len(payload)]
	h.put(frame)
	for _, p := range to {
		if p == nil {
			continue
		}
		if err := p.write(frame, len(payload)); err != nil {
			return l.broken(p, h, err)
		}
	}
	return nil
}

// hear reads headers, which must be ours, and the payloads into the ranks' slots.
func (l *lane) hear(h header, bytes func(rank int) int, from []*pipe) error {
	for _, p := range from {
		if p == nil {
			continue
		}
		if err := l.expect(p, h); err != nil {
			return err
		}
		if err := p.readPayload(l.slot(p.rank, bytes(p.rank))); err != nil {
			return l.broken(p, h, err)
		}
	}
	return nil
}

// small has every rank give out, of bytes(rank) bytes; fold makes of the slots what all end with, dst. Between machines
// each rank tells every other, which takes half a round trip. On one machine ranks share the cores, and what counts is how
// many messages there are: all tell rank 0, which folds and tells them.
func (l *lane) small(h header, out []byte, bytes func(rank int) int, dst []byte, fold func()) error {
	me, hub, others := l.g.Rank(), l.pipes[:1], l.pipes[1:]
	switch local := l.g.plan.Load().local; {
	case !local:
		if err := l.direct(h, out, bytes); err != nil {
			return err
		}
		copy(l.slot(me, len(out)), out)
		fold()
		return nil
	case me == 0:
		if err := l.hear(h, bytes, others); err != nil {
			return err
		}
		copy(l.slot(me, len(out)), out)
		fold()
		return l.tell(h, dst, others)
	}
	if err := l.tell(h, out, hub); err != nil {
		return err
	}
	if err := l.hear(h, func(int) int { return len(dst) }, hub); err != nil {
		return err
	}
	copy(dst, l.slot(0, len(dst)))
	return nil
}

func (l *lane) directReduce(h header, o Operation) error {
	n := len(o.Src)
	if o.Wire == AsInt8 { // what it has no place for is an error, whatever the size
		if err := (packer{of: o}).pack(make([]byte, kernel.Int8Bytes(n/4)), o.Src, nil, 0); err != nil {
			return err
		}
	}
	return l.small(h, o.Src, func(int) int { return n }, o.Dst, func() {
		copy(o.Dst, l.slot(0, n))
		for r := 1; r < l.g.Size(); r++ {
			kernel.Fold(o.Type, o.Reduce, o.Dst, o.Dst, l.slot(r, n))
		}
		if o.Reduce == Mean {
			kernel.Divide(o.Type, o.Dst, l.g.Size())
		}
		kernel.Settle(o.Type, o.Dst)
	})
}

func (l *lane) directBroadcast(h header, buf []byte) error {
	root := int(h.root)
	bytes := func(r int) int {
		if r == root {
			return len(buf)
		}
		return 0
	}
	return l.small(h, buf[:bytes(l.g.Rank())], bytes, buf, func() { copy(buf, l.slot(root, len(buf))) })
}

func (l *lane) directGather(h header, dst []byte, parts [][]byte) error {
	return l.small(h, parts[l.g.Rank()], func(r int) int { return len(parts[r]) }, dst, func() {
		for r, part := range parts {
			copy(part, l.slot(r, len(part)))
		}
	})
}

func (l *lane) directBarrier(h header) error {
	return l.small(h, nil, func(int) int { return 0 }, nil, func() {})
}
