package chaintest

import (
	"context"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Follower is told how the chain changes, one call at a time.
type Follower = interface {
	Forward(ctx context.Context, b chain.Block, tip chain.Point) error
	Backward(ctx context.Context, p chain.Point) error
}

// Follow tells f of the chain from the first of the points that are on it, else from the origin, and of every change,
// until ctx ends or a call fails: chain-sync, without a node.
func (l *Ledger) Follow(ctx context.Context, from []chain.Point, f Follower) error {
	start, blocks, seen := l.after(from)
	if err := f.Backward(ctx, start); err != nil {
		return err
	}
	for _, b := range blocks {
		if err := f.Forward(ctx, b, l.Tip()); err != nil {
			return err
		}
	}
	for {
		changed := l.Changed()
		news := l.Events(seen)
		seen += len(news)
		for _, e := range news {
			if e.Block == nil {
				if err := f.Backward(ctx, e.Rollback); err != nil {
					return err
				}
				continue
			}
			if err := f.Forward(ctx, *e.Block, l.Tip()); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// after is the first of the points that is on the chain, the blocks after it, and how many events made that chain.
func (l *Ledger) after(from []chain.Point) (start chain.Point, blocks []chain.Block, seen int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := 0
	for _, p := range from {
		if i := slices.IndexFunc(l.blocks, func(b forged) bool { return b.Point == p }); i >= 0 {
			start, first = p, i+1
			break
		}
		if p == (chain.Point{}) {
			break
		}
	}
	for _, b := range l.blocks[first:] {
		blocks = append(blocks, b.Block)
	}
	return start, blocks, len(l.events)
}

// Changed is closed at the next block made or undone.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// happened adds to the events and tells whoever waits.
func (l *Ledger) happened(e Event) {
	l.events = append(l.events, e)
	close(l.changed)
	l.changed = make(chan struct{})
}

// InMempool says whether a transaction waits for a block.
func (l *Ledger) InMempool(id chain.TxID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.mempool, func(p pending) bool { return p.tx.ID() == id })
}
