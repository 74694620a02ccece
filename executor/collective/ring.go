package collective

// segmentBytes is the unit of the pipeline: what is received, folded and passed
// on while the next one is under way.
const segmentBytes = 256 << 10

// A hop is one step of a pipeline: what this rank sends to the next rank and
// what it receives from the previous one. What is sent in any hop but the first
// is what the hop before received, so each sent segment waits for its own.
type hop struct {
	send []byte
	recv []byte
	add  []byte // with a fold: recv = add ∘ what arrives
	fold fold
	mean bool // the fold is complete here: divide
}

func mod(a, n int) int { return ((a % n) + n) % n }

// chunk is the i-th of n nearly equal parts of b, in whole 64-byte lines.
func chunk(b []byte, n, i int) []byte {
	q := (len(b)/n + 63) &^ 63
	lo := min(i*q, len(b))
	hi := min(lo+q, len(b))
	if i == n-1 {
		hi = len(b)
	}
	return b[lo:hi]
}

func (g *Group) allReduceHops(dst, src []float32, r Reduce) []hop {
	n, me := g.Size(), g.Rank()
	d, s := bytesOf(dst), bytesOf(src)
	hops := make([]hop, 0, 2*(n-1))
	for i := range 2 * (n - 1) {
		out, in := mod(me-i, n), mod(me-i-1, n)
		h := hop{send: chunk(d, n, out), recv: chunk(d, n, in)}
		if i == 0 {
			h.send = chunk(s, n, out)
		}
		if i < n-1 {
			h.add, h.fold = chunk(s, n, in), r.fold()
			h.mean = r == Mean && i == n-2
		}
		hops = append(hops, h)
	}
	return hops
}

func (g *Group) allGatherHops(dst []byte, each int) []hop {
	n, me := g.Size(), g.Rank()
	block := func(i int) []byte { return dst[i*each : (i+1)*each] }
	hops := make([]hop, 0, n-1)
	for i := range n - 1 {
		hops = append(hops, hop{send: block(mod(me-i, n)), recv: block(mod(me-i-1, n))})
	}
	return hops
}

// broadcastHops is a chain: receive everything, and pass on each segment as it comes.
func (g *Group) broadcastHops(buf []byte, root int) []hop {
	switch place := mod(g.Rank()-root, g.Size()); place {
	case 0:
		return []hop{{send: buf}}
	case g.Size() - 1:
		return []hop{{recv: buf}}
	default:
		return []hop{{recv: buf}, {send: buf}}
	}
}

// ring runs the hops with one sender and one receiver. The receiver hands the
// sender a token per segment; the streams' own backpressure is the flow control.
func (g *Group) ring(h header, hops []hop) error {
	n := g.Size()
	next, prev := g.links[mod(g.Rank()+1, n)], g.links[mod(g.Rank()-1, n)]
	segments := 0
	for _, p := range hops {
		segments += (len(p.recv) + segmentBytes - 1) / segmentBytes
	}
	ready := make(chan struct{}, segments)
	sent := make(chan error, 1)
	go func() {
		err := g.ringSend(h, hops, next, ready)
		if err != nil {
			g.fail(err) // the receiver must not wait for what we will never send
		}
		sent <- err
	}()
	err := g.ringReceive(h, hops, prev, ready)
	if err != nil {
		g.fail(err)
	}
	if e := <-sent; err == nil {
		err = e
	}
	return err
}

func (g *Group) ringSend(h header, hops []hop, next *link, ready <-chan struct{}) error {
	var b [headerBytes]byte
	h.put(b[:])
	if err := next.write(b[:], 0); err != nil {
		return g.broken(next, h, err)
	}
	for i, p := range hops {
		for rest := p.send; len(rest) > 0; {
			seg := rest[:min(len(rest), segmentBytes)]
			rest = rest[len(seg):]
			if i > 0 {
				select {
				case <-ready:
				case <-g.done:
					return g.Err()
				}
			}
			if err := next.write(seg, len(seg)); err != nil {
				return g.broken(next, h, err)
			}
		}
	}
	return nil
}

func (g *Group) ringReceive(h header, hops []hop, prev *link, ready chan<- struct{}) error {
	if err := g.expect(prev, h); err != nil {
		return err
	}
	for _, p := range hops {
		for off := 0; off < len(p.recv); off += segmentBytes {
			end := min(off+segmentBytes, len(p.recv))
			into := p.recv[off:end]
			if p.fold != nil {
				into = bytesOf(g.scratch)[:end-off]
			}
			if err := prev.readPayload(into); err != nil {
				return g.broken(prev, h, err)
			}
			if p.fold != nil {
				dst := floatsOf(p.recv[off:end])
				p.fold(dst, floatsOf(p.add[off:end]), floatsOf(into))
				if p.mean {
					divide(dst, g.Size())
				}
			}
			ready <- struct{}{}
		}
	}
	return nil
}
