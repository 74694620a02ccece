package collective

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// Every pair of ranks shares a stream for each lane. The operations of one lane run one after another, those of
// different lanes beside each other: operation k without a name is in lane k mod orderedLanes, the k-th that rank 0 let
// go by name in the lanes after these, and what one rank sends another in the last.
const (
	orderedLanes = 2
	namedLanes   = 2
	pairLane     = orderedLanes + namedLanes
	lanes        = pairLane + 1
)

// A lane runs one operation at a time.
type lane struct {
	g       *Group
	pipes   []*pipe // by rank; nil at our own
	turns   turns
	current atomic.Pointer[header]
	scratch []byte   // one segment, of the receiver
	slots   [][]byte // what is small: one of each rank, and one to send from
	work    []byte   // what is rounded, or part of it; nil between operations
	packed  []byte   // one segment as int8, of the sender
	counts  *kernel.Counts
}

// buffer is of the group's memory, until the operation ends.
func (l *lane) buffer(n int) []byte {
	if cap(l.work) < n {
		l.rest()
		l.work = l.g.buffers.take(n)
	}
	return l.work[:n]
}

// rest gives it back.
func (l *lane) rest() {
	if l.work != nil {
		l.g.buffers.give(l.work)
		l.work = nil
	}
}

// A pipe is a lane's stream to one rank.
type pipe struct {
	*link
	group            *Group
	stream           stream
	reading, writing wait
	sends, receives  turns  // of the pair lane
	sendSeq, recvSeq uint64 // messages of the pair lane
}

// read fills b from the stream.
func (p *pipe) read(b []byte) error {
	p.reading.begin()
	defer p.reading.end()
	for len(b) > 0 {
		n, err := p.stream.Read(b)
		if n > 0 {
			p.heard.Add(1)
			p.reading.moves.Add(1)
			b = b[n:]
			p.hold(&p.reading, &p.group.service.paces.in, n)
		}
		if err != nil && len(b) > 0 {
			return err
		}
	}
	return nil
}

func (p *pipe) readPayload(b []byte) error {
	if err := p.read(b); err != nil {
		return err
	}
	p.received.Add(uint64(len(b)))
	return nil
}

// write sends b, of which the last payload bytes are counted as traffic.
func (p *pipe) write(b []byte, payload int) error {
	p.writing.begin()
	defer p.writing.end()
	for len(b) > 0 {
		next := b[:min(len(b), p.group.segment)]
		p.hold(&p.writing, &p.group.service.paces.out, len(next))
		n, err := p.stream.Write(next)
		if n > 0 {
			p.writing.moves.Add(1)
			b = b[n:]
		}
		if err != nil {
			return err
		}
	}
	p.sent.Add(uint64(payload))
	return nil
}

// A wait tells the watchdog whether someone is blocked on a pipe.
type wait struct {
	active atomic.Bool
	moves  atomic.Uint64
}

func (w *wait) begin() { w.moves.Add(1); w.active.Store(true) }
func (w *wait) end()   { w.active.Store(false) }

// turns let callers in one after another, in the order in which they asked.
type turns struct {
	mu   sync.Mutex
	last chan struct{}
}

// A turn is a place in the queue.
type turn struct {
	before <-chan struct{} // closed when it is ours; nil for the first
	over   chan struct{}   // closed by us
}

func (t *turns) ask() turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := turn{before: t.last, over: make(chan struct{})}
	t.last = mine.over
	return mine
}

// await waits for a turn. It must be ended in every case.
func (g *Group) await(t turn) error {
	if t.before != nil {
		<-t.before // those before us end when the group fails
	}
	return g.Err()
}

// broken turns an error of a pipe into the group's failure.
func (l *lane) broken(p *pipe, h header, err error) error { return l.g.broken(p.link, h, err) }

// expect reads the header the rank behind p sent and compares it with ours.
func (l *lane) expect(p *pipe, h header) error {
	var b [headerBytes]byte
	if err := p.read(b[:]); err != nil {
		return l.broken(p, h, err)
	}
	got, err := decodeHeader(b[:])
	if err != nil {
		return &PeerError{p.rank, p.id, ErrFrame, err.Error()}
	}
	if got != h {
		return l.g.apart(p.link, h, got)
	}
	return nil
}

// run does one operation in its turn. A cancelled ctx aborts the group: the other ranks cannot know how far this one got.
func (l *lane) run(ctx context.Context, t turn, h header, body func(header) error) error {
	defer close(t.over)
	stop := context.AfterFunc(ctx, func() { l.g.Abort(fmt.Errorf("%v: %w", h, context.Cause(ctx))) })
	defer stop()
	if err := l.g.await(t); err != nil {
		return err
	}
	l.current.Store(&h)
	defer l.current.CompareAndSwap(&h, nil)
	if slices.Contains(l.g.lanes[:orderedLanes], l) {
		l.g.entered.Store(max(l.g.entered.Load(), h.seq))
	}
	defer l.rest()
	if err := body(h); err != nil {
		l.g.fail(err)
		return l.g.Err()
	}
	return nil
}

// do is what a lane does for each kind.
func (l *lane) do(o Operation) func(h header) error {
	n, c, p := l.g.Size(), l.g.cycle(), l.g.plan.Load()
	teams := p.teams
	switch o.Kind {
	case AllReduce:
		switch {
		case n == 1:
			return func(header) error { copy(o.Dst, o.Src); return nil }
		case o.Wire == AsTopK:
			return func(h header) error {
				return l.topK(h, o,
					func() error { return l.ring(h, l.allReduceHops(o, c), c) },
					func(parts [][]byte) error { return l.ring(h, l.allGatherHops(parts, c), c) })
			}
		case len(o.Src) <= smallBytes || o.Wire == AsItIs && len(o.Src) <= p.small(): // rounding would save nothing
			return func(h header) error { return l.directReduce(h, o) }
		case teams != nil && (o.Wire == AsItIs || o.Wire == AsBF16 && o.Residual == nil):
			return func(h header) error { return l.levels(h, o, teams) }
		case o.Wire == AsBF16:
			return func(h header) error { return l.ring(h, l.bf16Hops(o, c), c) }
		case o.Wire == AsInt8:
			return func(h header) error { return l.int8Reduce(h, o) }
		}
		return func(h header) error { return l.ring(h, l.allReduceHops(o, c), c) }
	case Broadcast:
		switch {
		case n == 1:
			return func(header) error { return nil }
		case len(o.Dst) <= p.small():
			return func(h header) error { return l.directBroadcast(h, o.Dst) }
		}
		return func(h header) error { return l.ring(h, l.broadcastHops(o.Dst, o.Root, c), c) }
	case AllGather:
		parts := split(o.Dst, o.Counts)
		return func(h header) error {
			copy(parts[l.g.Rank()], o.Src)
			switch {
			case n == 1:
				return nil
			case len(o.Dst) <= p.small():
				return l.directGather(h, o.Dst, parts)
			}
			return l.ring(h, l.allGatherHops(parts, c), c)
		}
	case ReduceScatter:
		return func(h header) error { return l.reduceScatter(h, o) }
	case AllToAll:
		return func(h header) error { return l.allToAll(h, o) }
	}
	return l.directBarrier
}

// split are the parts of b, of these bytes each.
func split(b []byte, counts []int) [][]byte {
	parts := make([][]byte, len(counts))
	for i, n := range counts {
		parts[i], b = b[:n:n], b[n:]
	}
	return parts
}
