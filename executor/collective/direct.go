package collective

const (
	// smallBytes is the largest payload exchanged directly between all pairs.
	smallBytes = 16 << 10
	smallSlot  = headerBytes + smallBytes
)

// slot is rank r's part of the small buffer; slot(Size()) is the one sent from.
func (g *Group) slot(r, n int) []byte {
	return g.small[r*smallSlot+headerBytes:][:n]
}

// direct sends header and out to every rank and calls in for each rank's
// payload, of expect(rank) bytes, when it has arrived in its slot.
func (g *Group) direct(h header, out []byte, expect func(rank int) int) error {
	frame := g.small[g.Size()*smallSlot:][:headerBytes+len(out)]
	h.put(frame)
	copy(frame[headerBytes:], out)
	for _, l := range g.links {
		if l == nil {
			continue
		}
		if err := l.write(frame, len(out)); err != nil {
			return g.broken(l, h, err)
		}
	}
	for _, l := range g.links {
		if l == nil {
			continue
		}
		if err := g.expect(l, h); err != nil {
			return err
		}
		if err := l.readPayload(g.slot(l.rank, expect(l.rank))); err != nil {
			return g.broken(l, h, err)
		}
	}
	return nil
}

func (g *Group) directReduce(h header, dst, src []float32) error {
	n := len(src) * 4
	if err := g.direct(h, bytesOf(src), func(int) int { return n }); err != nil {
		return err
	}
	copy(g.slot(g.Rank(), n), bytesOf(src))
	f := h.reduce.fold()
	copy(dst, floatsOf(g.slot(0, n)))
	for r := 1; r < g.Size(); r++ {
		f(dst, dst, floatsOf(g.slot(r, n)))
	}
	if h.reduce == Mean {
		divide(dst, g.Size())
	}
	return nil
}

func (g *Group) directBroadcast(h header, buf []byte) error {
	root := int(h.root)
	var out []byte
	if g.Rank() == root {
		out = buf
	}
	err := g.direct(h, out, func(r int) int {
		if r == root {
			return len(buf)
		}
		return 0
	})
	if err == nil && g.Rank() != root {
		copy(buf, g.slot(root, len(buf)))
	}
	return err
}

func (g *Group) directGather(h header, dst []byte) error {
	each := int(h.bytes)
	if err := g.direct(h, dst[g.Rank()*each:][:each], func(int) int { return each }); err != nil {
		return err
	}
	for r := range g.Size() {
		if r != g.Rank() {
			copy(dst[r*each:], g.slot(r, each))
		}
	}
	return nil
}

func (g *Group) directBarrier(h header) error {
	return g.direct(h, nil, func(int) int { return 0 })
}
