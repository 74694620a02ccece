package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/ledger"
	"github.com/blinklabs-io/gouroboros/protocol/chainsync"
	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"

	"github.com/tallycompute/tally/chain"
)

// Handler is told how the node's chain changes. Calls come one at a time. An error ends Follow with that error.
type Handler = interface {
	// Forward adds a block to the chain; tip is the node's own.
	Forward(ctx context.Context, b chain.Block, tip chain.Point) error
	// Backward cuts the chain after p; the zero Point is the origin. The first call of every Follow is a Backward to
	// the point where the two chains meet.
	Backward(ctx context.Context, p chain.Point) error
}

// requests that are on their way to the node while a block is handled
const pipeline = 20

// move is one step of the chain, as it came off the wire.
type move struct {
	back  bool
	point pcommon.Point // back
	era   uint          // forward
	block []byte
	tip   pcommon.Point
}

// Follow follows the node's chain, from the first of the given points that the node knows, until ctx ends or
// something fails; it does not reconnect. No points: from the origin, which the zero Point names too. It has a
// connection of its own. Errors: the handler's, ErrNoIntersection, ErrUnreachable, ErrWrongNetwork, ErrConnection.
//
// A node may know a point that is on its chain no more (dingo v0.66.0 does, after a rollback), and go on from there with
// blocks that do not follow it: then it is asked again, for older points.
func (n *Node) Follow(ctx context.Context, from []chain.Point, h Handler) error {
	h = &observed{Handler: h, seen: &n.seen}
	for {
		err := n.followFrom(ctx, from, h)
		var a *astray
		if !errors.As(err, &a) {
			return err
		}
		older := slices.DeleteFunc(slices.Clone(from), func(p chain.Point) bool { return p.Slot >= a.after.Slot })
		switch len(older) {
		case len(from):
			return err
		case 0:
			return fmt.Errorf("following the chain: %w", ErrNoIntersection)
		}
		from = older
	}
}

// astray is a block that does not follow the one before it.
type astray struct{ after chain.Point }

func (a *astray) Error() string { return fmt.Sprintf("a block that does not follow %s", a.after.Hash) }

// Unwrap gives ErrConnection: on another connection it may be otherwise.
func (a *astray) Unwrap() error { return ErrConnection }

func (n *Node) followFrom(ctx context.Context, from []chain.Point, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	moves := make(chan move)
	give := func(m move) error {
		select {
		case moves <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	cfg := chainsync.NewConfig(chainsync.WithPipelineLimit(pipeline),
		chainsync.WithRollForwardRawFunc(func(_ chainsync.CallbackContext, era uint, block []byte, tip chainsync.Tip) error {
			return give(move{era: era, block: block, tip: tip.Point})
		}),
		chainsync.WithRollBackwardFunc(func(_ chainsync.CallbackContext, p pcommon.Point, tip chainsync.Tip) error {
			return give(move{back: true, point: p, tip: tip.Point})
		}))
	defer cancel()
	s, err := n.sync(ctx, from, cfg)
	if err != nil {
		return fmt.Errorf("following the chain: %w", err)
	}
	defer func() {
		cancel() // lets a callback that waits for its turn go
		s.close()
		<-s.conn.ChainSync().Client.DoneChan()
	}()
	var last chain.Point
	for {
		select {
		case m := <-moves:
			if last, err = m.handle(ctx, last, h); err != nil {
				return err
			}
		case err := <-s.conn.ErrorChan():
			return fmt.Errorf("following the chain: %w: %w", ErrConnection, errors.Join(err, s.close()))
		case <-ctx.Done():
			return ctx.Err()
		case <-n.done:
			return fmt.Errorf("following the chain: %w", ErrClosed)
		}
	}
}

// sync opens a connection and asks for blocks after the intersection.
func (n *Node) sync(ctx context.Context, from []chain.Point, cfg chainsync.Config) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, errNoAnswer)
	defer cancel()
	s, err := n.open(ctx, ouroboros.WithChainSyncConfig(cfg))
	if err != nil {
		return nil, err
	}
	points := make([]pcommon.Point, len(from))
	for i, p := range from {
		points[i] = toPoint(p)
	}
	err = s.use(ctx, func() error { return s.conn.ChainSync().Client.Sync(points) })
	if err == nil {
		return s, nil
	}
	cause := s.close()
	<-s.conn.ChainSync().Client.DoneChan()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrConnection, context.Cause(ctx))
	case errors.Is(err, chainsync.ErrIntersectNotFound):
		return nil, ErrNoIntersection
	}
	return nil, fmt.Errorf("%w: %w", ErrConnection, errors.Join(err, cause))
}

// handle makes a step after the last point, and says which is the last one now.
func (m move) handle(ctx context.Context, last chain.Point, h Handler) (chain.Point, error) {
	if m.back {
		p, err := fromPoint(m.point)
		if err != nil {
			return last, err
		}
		return p, h.Backward(ctx, p)
	}
	tip, err := fromPoint(m.tip)
	if err != nil {
		return last, err
	}
	b, before, err := decodeBlock(m.era, m.block)
	if err != nil {
		return last, err
	}
	if last != (chain.Point{}) && before != last.Hash {
		return last, fmt.Errorf("following the chain: %w", &astray{last})
	}
	return b.Point, h.Forward(ctx, b, tip)
}

// observed notes in a node's diary what a handler is told.
type observed struct {
	Handler
	seen *diary
	last chain.Point
}

func (o *observed) Forward(ctx context.Context, b chain.Block, tip chain.Point) error {
	if o.last = b.Point; b.Point == tip {
		s := sight{tip, time.Now()}
		o.seen.note(func(seen *sightings) { seen.fresh = append(seen.fresh, s) })
	}
	return o.Handler.Forward(ctx, b, tip)
}

func (o *observed) Backward(ctx context.Context, p chain.Point) error {
	if o.last != (chain.Point{}) && o.last != p {
		r := rollback{o.last, p}
		o.seen.note(func(seen *sightings) { seen.rollbacks = append(seen.rollbacks, r) })
	}
	o.last = p
	return o.Handler.Backward(ctx, p)
}

// decodeBlock reads a block of any era, and the hash of the one before it. The ledger library takes a null for a block or a
// header, and panics when it is asked about one: what it cannot bear is as little a block as what it refuses.
func decodeBlock(era uint, raw []byte) (b chain.Block, before chain.BlockHash, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("block of era %d: %w: %v", era, ErrUnexpected, p)
		}
	}()
	lb, err := ledger.NewBlockFromCbor(era, raw)
	if err != nil {
		return b, before, fmt.Errorf("block of era %d: %w: %w", era, ErrUnexpected, err)
	}
	b = chain.Block{Point: chain.Point{Slot: chain.Slot(lb.SlotNumber()), Hash: chain.BlockHash(lb.Hash())}, Height: lb.BlockNumber()}
	for _, t := range lb.Transactions() {
		bt, err := chain.BlockTxFrom(t)
		if err != nil {
			return b, before, fmt.Errorf("transaction %s of block %s: %w: %w", t.Hash(), b.Hash, ErrUnexpected, err)
		}
		b.Txs = append(b.Txs, bt)
	}
	return b, chain.BlockHash(lb.PrevHash()), nil
}

func toPoint(p chain.Point) pcommon.Point {
	if p == (chain.Point{}) {
		return pcommon.NewPointOrigin()
	}
	return pcommon.NewPoint(uint64(p.Slot), slices.Clone(p.Hash[:]))
}

func fromPoint(p pcommon.Point) (c chain.Point, err error) {
	switch len(p.Hash) {
	case 0:
		return c, nil
	case len(c.Hash):
		return chain.Point{Slot: chain.Slot(p.Slot), Hash: chain.BlockHash(p.Hash)}, nil
	}
	return c, fmt.Errorf("point with a hash of %d bytes: %w", len(p.Hash), ErrUnexpected)
}
