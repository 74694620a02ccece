package collective

import (
	"slices"
	"time"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

const (
	// segmentBytes is the unit of the pipeline: what is received, folded and passed on while the next one is under way.
	segmentBytes = 256 << 10
	// localSegment is that round a ring where all ranks are on one machine: larger ones wake each other less, and over a line
	// each would take longer. Ranks need not have the same.
	localSegment = 2 * segmentBytes
)

// A hop is one step of a pipeline: what this rank sends to the next rank and
// what it receives from the previous one. What is sent in any hop but the first
// is what the hop before received, so each sent segment waits for its own.
type hop struct {
	send []byte
	recv []byte
	// fold makes recv[lo:hi] from what arrives; nil: it is what arrives.
	fold func(lo, hi int, in []byte)
	// fill makes send[lo:hi] just before it is sent, in the first hop; nil: it is there.
	fill func(lo, hi int)
	// done sees recv[lo:hi] complete.
	done func(lo, hi int)
}

func mod(a, n int) int { return ((a % n) + n) % n }

// chunk is the i-th of n nearly equal parts of b, in whole lines of so many bytes.
func chunk(b []byte, n, i, line int) []byte {
	lo, hi := bounds(len(b), n, i, line)
	return b[lo:hi:hi]
}

func bounds(length, n, i, line int) (lo, hi int) {
	q := (length/n + line - 1) / line * line
	lo = min(i*q, length)
	if i == n-1 {
		return lo, length
	}
	return lo, min(lo+q, length)
}

const cacheLine = 64

// A cycle are ranks in the order in which something goes round, and this one's place among them.
type cycle struct {
	ranks []int
	at    int
}

// rank is that at a place; after the last comes the first.
func (c cycle) rank(at int) int { return c.ranks[mod(at, len(c.ranks))] }

// cycle is the group's ring.
func (g *Group) cycle() cycle {
	ring := g.plan.Load().ring
	return cycle{ring, slices.Index(ring, g.Rank())}
}

func (l *lane) allReduceHops(o Operation, c cycle) []hop {
	n, me := len(c.ranks), c.at
	hops := make([]hop, 0, 2*(n-1))
	for i := range 2 * (n - 1) {
		out, in := mod(me-i, n), mod(me-i-1, n)
		h := hop{send: chunk(o.Dst, n, out, cacheLine), recv: chunk(o.Dst, n, in, cacheLine)}
		if i == 0 {
			h.send = chunk(o.Src, n, out, cacheLine)
		}
		if i < n-1 {
			into, own := h.recv, chunk(o.Src, n, in, cacheLine)
			h.fold = func(lo, hi int, got []byte) {
				kernel.Fold(o.Type, o.Reduce, into[lo:hi], own[lo:hi], got)
				if o.Reduce == Mean && i == n-2 {
					kernel.Divide(o.Type, into[lo:hi], l.g.Size())
				}
			}
		}
		hops = append(hops, h)
	}
	return hops
}

// bf16Hops are those of allReduceHops over bfloat16: each rank adds its float32 and rounds. All widen the same values,
// the one that made them too. Each rank rounds each value once, so that what it loses of it has a place in its residual.
func (l *lane) bf16Hops(o Operation, c cycle) []hop {
	n, me := len(c.ranks), c.at
	half := l.buffer(len(o.Src) / 2)
	send, receive := newHalver(o, l.g.segment), newHalver(o, l.g.segment)
	hops := make([]hop, 0, 2*(n-1))
	for i := range 2 * (n - 1) {
		out, in := mod(me-i, n), mod(me-i-1, n)
		h := hop{send: chunk(half, n, out, cacheLine), recv: chunk(half, n, in, cacheLine)}
		if i == 0 {
			first, _ := bounds(len(half), n, out, cacheLine)
			packed := h.send
			h.fill = func(lo, hi int) { send.pack(packed[lo:hi], nil, 2*(first+lo), 1) }
		}
		start, _ := bounds(len(half), n, in, cacheLine)
		into := h.recv
		if i < n-1 {
			h.fold = func(lo, hi int, got []byte) {
				by := 1
				if o.Reduce == Mean && i == n-2 {
					by = l.g.Size()
				}
				receive.pack(into[lo:hi], got, 2*(start+lo), by)
			}
		}
		if i >= n-2 {
			h.done = func(lo, hi int) { kernel.UnpackBF16(o.Dst[2*(start+lo):2*(start+hi)], into[lo:hi], len(o.Dst)) }
		}
		hops = append(hops, h)
	}
	return hops
}

func (l *lane) allGatherHops(parts [][]byte, c cycle) []hop {
	hops := make([]hop, 0, len(c.ranks)-1)
	for i := range len(c.ranks) - 1 {
		hops = append(hops, hop{send: parts[c.rank(c.at-i)], recv: parts[c.rank(c.at-i-1)]})
	}
	return hops
}

// broadcastHops is a chain: receive everything, and pass on each segment as it comes.
func (l *lane) broadcastHops(buf []byte, root int, c cycle) []hop {
	switch root {
	case c.rank(c.at):
		return []hop{{send: buf}}
	case c.rank(c.at + 1): // the next one has it
		return []hop{{recv: buf}}
	default:
		return []hop{{recv: buf}, {send: buf}}
	}
}

// ring runs the hops with one sender and one receiver. The receiver hands the
// sender a token per segment; the streams' own backpressure is the flow control.
func (l *lane) ring(h header, hops []hop, c cycle) error {
	next, prev := l.pipes[c.rank(c.at+1)], l.pipes[c.rank(c.at-1)]
	segments := 0
	for _, p := range hops {
		segments += (len(p.recv) + l.g.segment - 1) / l.g.segment
	}
	ready := make(chan struct{}, segments)
	return l.both(
		func() error { return l.ringSend(h, hops, next, ready) },
		func() error { return l.ringReceive(h, hops, prev, ready) })
}

// both runs a sender beside a receiver. When one fails, so does the group: the other must not wait for it.
func (l *lane) both(send, receive func() error) error {
	sent := make(chan error, 1)
	go func() {
		err := send()
		if err != nil {
			l.g.fail(err)
		}
		sent <- err
	}()
	err := receive()
	if err != nil {
		l.g.fail(err)
	}
	if e := <-sent; err == nil {
		err = e
	}
	return err
}

func (l *lane) ringSend(h header, hops []hop, next *pipe, ready <-chan struct{}) error {
	var b [headerBytes]byte
	h.put(b[:])
	if err := next.write(b[:], 0); err != nil {
		return l.broken(next, h, err)
	}
	for i, p := range hops {
		for lo := 0; lo < len(p.send); lo += l.g.segment {
			hi := min(lo+l.g.segment, len(p.send))
			if i > 0 {
				select {
				case <-ready:
				case <-l.g.done:
					return l.g.Err()
				}
			}
			if p.fill != nil {
				p.fill(lo, hi)
			}
			if err := next.write(p.send[lo:hi], hi-lo); err != nil {
				return l.broken(next, h, err)
			}
		}
	}
	return nil
}

func (l *lane) ringReceive(h header, hops []hop, prev *pipe, ready chan<- struct{}) error {
	if err := l.expect(prev, h); err != nil {
		return err
	}
	came := l.g.strain.begin(time.Now)
	bytes := 0
	defer func() { came(bytes) }()
	for _, p := range hops {
		for lo := 0; lo < len(p.recv); lo += l.g.segment {
			hi := min(lo+l.g.segment, len(p.recv))
			bytes += hi - lo
			into := p.recv[lo:hi]
			if p.fold != nil {
				into = l.segment()[:hi-lo]
			}
			if err := prev.readPayload(into); err != nil {
				return l.broken(prev, h, err)
			}
			if p.fold != nil {
				p.fold(lo, hi, into)
			}
			if p.done != nil {
				p.done(lo, hi)
			}
			ready <- struct{}{}
		}
	}
	return nil
}

// segment is the receiver's scratch.
func (l *lane) segment() []byte {
	if l.scratch == nil {
		l.scratch = make([]byte, l.g.segment)
	}
	return l.scratch
}
