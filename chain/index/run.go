package index

import (
	"context"
	"errors"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Follower is told how a chain changes, one call at a time.
type Follower = interface {
	// Forward adds a block; tip is the source's own.
	Forward(ctx context.Context, b chain.Block, tip chain.Point) error
	// Backward cuts the chain after p; the zero Point is the origin.
	Backward(ctx context.Context, p chain.Point) error
}

// Source is a chain to follow, a node's. Follow starts at the first of the points that the source knows, by a Backward
// to it, and returns when ctx ends, a call fails or the source is lost. The last point given is always the base: a
// source that knows none of ours starts there.
type Source interface {
	Follow(ctx context.Context, from []chain.Point, f Follower) error
}

// How long Run waits before it follows again: the first time, and at most.
const (
	minPause = 100 * time.Millisecond
	maxPause = 15 * time.Second
)

// maxBatch is how many blocks are written at once, and as many may wait: some 60 MB at worst.
const maxBatch = 64

// Run follows src until ctx ends, and returns ctx's error. A lost source or a failing database is tried again, less and
// less often. ErrHandler, ErrChain: it cannot go on.
//
// Blocks are written while the next are fetched. At the tip each is written as it comes; those that come faster are
// written together, so that catching up costs few commits.
func (ix *Index) Run(ctx context.Context, src Source) error {
	stored, err := ix.meta(ctx, ix.db, metaHandlers)
	if err != nil {
		return err
	}
	if stored != ix.handlerText() {
		if err := ix.reset(ctx, "other handlers read it"); err != nil {
			return err
		}
	}
	pause := minPause
	for {
		before := ix.Tip()
		err := ix.follow(ctx, src)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrHandler), errors.Is(err, ErrChain):
			return err
		case errors.Is(err, errStartOver):
			continue
		}
		if ix.Tip() != before {
			pause = minPause
		}
		what := "lost the chain, following again"
		if errors.Is(err, ErrDatabase) {
			what = "cannot use the index's database, trying again"
		}
		ix.cfg.Log.Warn(what, "in", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// follow is one life of a connection. It reads the tip anew: a commit whose answer was lost may have happened. What the
// source gave is written before it returns, unless writing fails or ctx ends.
func (ix *Index) follow(ctx context.Context, src Source) error {
	if err := ix.load(ctx); err != nil {
		return err
	}
	from, err := ix.points(ctx)
	if err != nil {
		return err
	}
	sourceCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	moves, written := make(chan move, maxBatch), make(chan error, 1)
	go func() {
		err := ix.writeMoves(ctx, moves)
		cancel()
		written <- err
	}()
	err = src.Follow(sourceCtx, from, follower{moves})
	close(moves)
	if failed := <-written; failed != nil {
		return failed
	}
	return err
}

// move is one step of a source's chain.
type move struct {
	back   *chain.Point // after this there is nothing
	block  chain.Block  // or this comes next
	source chain.Point  // the source's tip then
}

// follower takes a source's calls into the queue of what is to be written.
type follower struct{ moves chan<- move }

func (f follower) Forward(ctx context.Context, b chain.Block, tip chain.Point) error {
	return f.put(ctx, move{block: b, source: tip})
}

func (f follower) Backward(ctx context.Context, p chain.Point) error {
	return f.put(ctx, move{back: &p})
}

func (f follower) put(ctx context.Context, m move) error {
	select {
	case f.moves <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeMoves writes what comes until there is no more, as many blocks at once as wait.
func (ix *Index) writeMoves(ctx context.Context, moves <-chan move) error {
	for m := range moves {
		var blocks []chain.Block
		var source chain.Point
		for more := true; more && m.back == nil; {
			blocks, source = append(blocks, m.block), m.source
			m = move{}
			if len(blocks) == maxBatch {
				break
			}
			select {
			case m, more = <-moves:
			default:
				more = false
			}
		}
		if len(blocks) > 0 {
			if err := ix.apply(ctx, blocks, source); err != nil {
				return err
			}
		}
		if m.back != nil {
			if err := ix.undo(ctx, *m.back); err != nil {
				return err
			}
		}
	}
	return nil
}
