package collective

import "github.com/tallycompute/tally/executor/collective/kernel"

const (
	// smallBytes is the largest payload exchanged directly between all pairs.
	smallBytes = 16 << 10
	smallSlot  = headerBytes + smallBytes
)

// slot is rank r's part of the small buffer; slot(Size()) is the one sent from.
func (l *lane) slot(r, n int) []byte {
	if l.small == nil {
		l.small = make([]byte, (l.g.Size()+1)*smallSlot)
	}
	return l.small[r*smallSlot+headerBytes:][:n]
}

// direct sends header and out to every rank and reads each rank's payload, of expect(rank) bytes, into its slot.
func (l *lane) direct(h header, out []byte, expect func(rank int) int) error {
	copy(l.slot(l.g.Size(), len(out)), out)
	frame := l.small[l.g.Size()*smallSlot:][:headerBytes+len(out)]
	h.put(frame)
	for _, p := range l.pipes {
		if p == nil {
			continue
		}
		if err := p.write(frame, len(out)); err != nil {
			return l.broken(p, h, err)
		}
	}
	for _, p := range l.pipes {
		if p == nil {
			continue
		}
		if err := l.expect(p, h); err != nil {
			return err
		}
		if err := p.readPayload(l.slot(p.rank, expect(p.rank))); err != nil {
			return l.broken(p, h, err)
		}
	}
	return nil
}

func (l *lane) directReduce(h header, o Operation) error {
	n := len(o.Src)
	if o.Wire == AsInt8 { // what it has no place for is an error, whatever the size
		if err := (packer{of: o}).pack(make([]byte, kernel.Int8Bytes(n/4)), o.Src, nil, 0); err != nil {
			return err
		}
	}
	if err := l.direct(h, o.Src, func(int) int { return n }); err != nil {
		return err
	}
	copy(l.slot(l.g.Rank(), n), o.Src)
	copy(o.Dst, l.slot(0, n))
	for r := 1; r < l.g.Size(); r++ {
		kernel.Fold(o.Type, o.Reduce, o.Dst, o.Dst, l.slot(r, n))
	}
	if o.Reduce == Mean {
		kernel.Divide(o.Type, o.Dst, l.g.Size())
	}
	kernel.Settle(o.Type, o.Dst)
	return nil
}

func (l *lane) directBroadcast(h header, buf []byte) error {
	root := int(h.root)
	var out []byte
	if l.g.Rank() == root {
		out = buf
	}
	err := l.direct(h, out, func(r int) int {
		if r == root {
			return len(buf)
		}
		return 0
	})
	if err == nil && l.g.Rank() != root {
		copy(buf, l.slot(root, len(buf)))
	}
	return err
}

func (l *lane) directGather(h header, parts [][]byte) error {
	if err := l.direct(h, parts[l.g.Rank()], func(r int) int { return len(parts[r]) }); err != nil {
		return err
	}
	for r, part := range parts {
		if r != l.g.Rank() {
			copy(part, l.slot(r, len(part)))
		}
	}
	return nil
}

func (l *lane) directBarrier(h header) error {
	return l.direct(h, nil, func(int) int { return 0 })
}
