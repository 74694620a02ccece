package collective

import (
	"context"
	"fmt"
	"time"
)

// A Handle is an operation under way.
type Handle struct {
	over chan struct{}
	err  error
}

// begin runs what prepare gave.
func begin(ctx context.Context, run func(context.Context) (uint64, error)) *Handle {
	h := &Handle{over: make(chan struct{})}
	go func() {
		_, h.err = run(ctx)
		close(h.over)
	}()
	return h
}

// Done is closed when the operation has ended.
func (h *Handle) Done() <-chan struct{} { return h.over }

// Wait waits for the operation's end and gives its error. Those who cancel ctx leave it running.
func (h *Handle) Wait(ctx context.Context) error {
	select {
	case <-h.over:
		return h.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Start begins an operation. Its buffers belong to the group until it has ended. Cancelling ctx aborts the group: the
// other ranks cannot know how far this one got. [ErrArgument] is refused at once and the group goes on.
func (g *Group) Start(ctx context.Context, o Operation) (*Handle, error) {
	run, err := g.prepare(o)
	if err != nil {
		return nil, err
	}
	return begin(ctx, run), nil
}

// Do runs an operation to its end.
func (g *Group) Do(ctx context.Context, o Operation) error {
	run, err := g.prepare(o)
	if err != nil {
		return err
	}
	_, err = run(ctx)
	return err
}

// prepare gives an operation its place; what it returns must be called, once, and gives its number if it ends well.
func (g *Group) prepare(o Operation) (run func(context.Context) (seq uint64, err error), err error) {
	o, err = o.check(g.Rank(), g.Size())
	if err != nil {
		return nil, err
	}
	switch {
	case o.Kind == Send || o.Kind == Receive:
		return g.preparePair(o)
	case o.Name != "":
		return g.prepareNamed(o)
	}
	t, h, err := g.enter(o.header())
	if err != nil {
		return nil, err
	}
	l := g.lanes[h.seq%orderedLanes]
	return g.counted(func(ctx context.Context) (uint64, error) { return h.seq, l.run(ctx, t, h, l.do(o)) }), nil
}

// enter gives an operation without a name its number, and its turn in the lane that goes with it.
func (g *Group) enter(h header) (turn, header, error) {
	g.starting.Lock()
	defer g.starting.Unlock()
	if err := g.open(); err != nil {
		return turn{}, h, err
	}
	h.epoch = g.view.Epoch
	g.seq++
	h.seq = g.seq
	g.ops.Add(1)
	return g.lanes[h.seq%orderedLanes].turns.ask(), h, nil
}

// open says why no operation can start, holding g.starting.
func (g *Group) open() error {
	if err := g.Err(); err != nil {
		return err
	}
	if g.closed {
		return fmt.Errorf("%w: the group", ErrClosed)
	}
	return nil
}

// counted ends what g.ops.Add has begun.
func (g *Group) counted(f func(context.Context) (uint64, error)) func(context.Context) (uint64, error) {
	return func(ctx context.Context) (uint64, error) {
		defer g.ops.Done()
		return f(ctx)
	}
}

// preparePair is one message between two ranks. The messages of a pair have an order of their own in each direction.
func (g *Group) preparePair(o Operation) (func(context.Context) (uint64, error), error) {
	l := g.lanes[pairLane]
	p := l.pipes[o.Root]
	g.starting.Lock()
	defer g.starting.Unlock()
	if err := g.open(); err != nil {
		return nil, err
	}
	h := o.header()
	h.epoch = g.view.Epoch
	g.ops.Add(1)
	if o.Kind == Send {
		t := p.sends.ask()
		p.sendSeq++
		h.seq = p.sendSeq
		return g.counted(func(ctx context.Context) (uint64, error) {
			return h.seq, l.run(ctx, t, h, func(h header) error {
				var b [headerBytes]byte
				h.put(b[:])
				err := p.write(b[:], 0)
				if err == nil {
					err = p.write(o.Src, len(o.Src))
				}
				if err != nil {
					return l.broken(p, h, err)
				}
				return nil
			})
		}), nil
	}
	t := p.receives.ask()
	p.recvSeq++
	h.seq = p.recvSeq
	return g.counted(func(ctx context.Context) (uint64, error) {
		return h.seq, l.run(ctx, t, h, func(h header) error {
			if err := l.expect(p, h); err != nil {
				return err
			}
			if err := p.readPayload(o.Dst); err != nil {
				return l.broken(p, h, err)
			}
			return nil
		})
	}), nil
}

// errGrace is how long a broken data stream waits for the control stream to say why.
const errGrace = time.Second

// broken turns an error of a link's data stream into the group's failure.
func (g *Group) broken(l *link, h header, err error) error {
	t := time.NewTimer(errGrace)
	defer t.Stop()
	select {
	case <-g.done:
	case <-t.C:
		g.fail(&PeerError{l.rank, l.id, ErrLost, fmt.Sprintf("%v: %v", h, err)})
	}
	return g.Err()
}
