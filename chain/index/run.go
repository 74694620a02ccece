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

// Run follows src until ctx ends, and returns ctx's error. A lost source or a failing database is tried again, less and
// less often. ErrHandler, ErrChain: it cannot go on.
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
		ix.cfg.Log.Warn("lost the chain, following again", "in", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// follow is one life of a connection. It reads the tip anew: a commit whose answer was lost may have happened.
func (ix *Index) follow(ctx context.Context, src Source) error {
	if err := ix.load(ctx); err != nil {
		return err
	}
	from, err := ix.points(ctx)
	if err != nil {
		return err
	}
	return src.Follow(ctx, from, follower{ix})
}

// follower keeps the calls of a source out of Index's own methods.
type follower struct{ ix *Index }

func (f follower) Forward(ctx context.Context, b chain.Block, tip chain.Point) error {
	return f.ix.apply(ctx, b, tip)
}

func (f follower) Backward(ctx context.Context, p chain.Point) error { return f.ix.undo(ctx, p) }
