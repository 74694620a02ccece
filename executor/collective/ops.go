package collective

import (
	"context"
	"fmt"
	"time"
)

// AllReduce folds the ranks' src element by element into dst, equal in every bit
// on every rank. dst and src have the same length and are the same slice or do
// not overlap; src is left as it was unless it is dst.
func (g *Group) AllReduce(ctx context.Context, dst, src []float32, r Reduce) error {
	if len(dst) != len(src) || len(src)*4 > MaxOperation || r > Max {
		return fmt.Errorf("%w: allreduce (%v) of %d values into %d", ErrArgument, r, len(src), len(dst))
	}
	return g.run(ctx, header{op: opAllReduce, reduce: r, bytes: uint64(len(src)) * 4}, func(h header) error {
		switch {
		case g.Size() == 1:
			copy(dst, src)
			return nil
		case h.bytes <= smallBytes:
			return g.directReduce(h, dst, src)
		}
		return g.ring(h, g.allReduceHops(dst, src, r))
	})
}

// Broadcast copies the root's buf into everyone's. Every rank waits for the one
// before it to have come to the operation.
func (g *Group) Broadcast(ctx context.Context, buf []byte, root int) error {
	if root < 0 || root >= g.Size() || len(buf) > MaxOperation {
		return fmt.Errorf("%w: broadcast of %d bytes from rank %d of %d", ErrArgument, len(buf), root, g.Size())
	}
	return g.run(ctx, header{op: opBroadcast, root: uint16(root), bytes: uint64(len(buf))}, func(h header) error {
		switch {
		case g.Size() == 1:
			return nil
		case h.bytes <= smallBytes:
			return g.directBroadcast(h, buf)
		}
		return g.ring(h, g.broadcastHops(buf, root))
	})
}

// AllGather puts rank r's src at dst[r*len(src):]. src has the same length on
// every rank and dst Size times that; they may overlap only if src is this
// rank's own place in dst.
func (g *Group) AllGather(ctx context.Context, dst, src []byte) error {
	if len(dst) != g.Size()*len(src) || len(dst) > MaxOperation {
		return fmt.Errorf("%w: allgather of %d bytes from each of %d ranks into %d", ErrArgument, len(src), g.Size(), len(dst))
	}
	return g.run(ctx, header{op: opAllGather, bytes: uint64(len(src))}, func(h header) error {
		copy(dst[g.Rank()*len(src):], src)
		switch {
		case g.Size() == 1:
			return nil
		case h.bytes <= smallBytes:
			return g.directGather(h, dst)
		}
		return g.ring(h, g.allGatherHops(dst, len(src)))
	})
}

// Barrier returns when every rank has called it.
func (g *Group) Barrier(ctx context.Context) error {
	return g.run(ctx, header{op: opBarrier}, g.directBarrier)
}

// run gives one operation its turn and its number. A cancelled ctx aborts the
// group: the other ranks cannot know how far this one got.
func (g *Group) run(ctx context.Context, h header, body func(header) error) error {
	select {
	case <-g.turn:
	case <-g.done:
		return g.Err()
	case <-g.quit:
		return fmt.Errorf("%w: the group", ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { g.turn <- struct{}{} }()
	if err := g.Err(); err != nil {
		return err
	}
	if g.leaving.Load() {
		return fmt.Errorf("%w: the group", ErrClosed)
	}
	g.seq++
	h.seq, h.epoch = g.seq, g.view.Epoch
	g.current.Store(&h)
	stop := context.AfterFunc(ctx, func() { g.Abort(fmt.Errorf("%v: %w", h, context.Cause(ctx))) })
	defer stop()
	if err := body(h); err != nil {
		g.fail(err)
		return g.Err()
	}
	return nil
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

// expect reads the header the rank behind l sent and compares it with ours.
func (g *Group) expect(l *link, h header) error {
	var b [headerBytes]byte
	if err := l.read(b[:]); err != nil {
		return g.broken(l, h, err)
	}
	got, err := decodeHeader(b[:])
	if err != nil {
		return &PeerError{l.rank, l.id, ErrFrame, err.Error()}
	}
	if got != h {
		return &PeerError{l.rank, l.id, ErrMismatch, fmt.Sprintf("rank %d is in %v, rank %d in %v", g.Rank(), h, l.rank, got)}
	}
	return nil
}
