package testnet

import (
	"context"
	"errors"

	"github.com/tallycompute/tally/chain"
)

// watch follows the world's chain from its origin, for who looks on from outside.
type watch struct {
	w     *World
	rec   *recorder
	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

// Watch starts to follow the chain. The caller must close it.
func (w *World) watch(ctx context.Context) *watch {
	ctx, stop := context.WithCancel(ctx)
	x := &watch{w: w, rec: newRecorder(), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(x.ended)
		x.err = w.Node.Follow(ctx, nil, x.rec)
	}()
	return x
}

func (x *watch) close() {
	x.stop()
	<-x.ended
}

// until replays the chain at every block with transactions until ok.
func (x *watch) until(ctx context.Context, ok func(*Derived) bool) error {
	for seen := -1; ; {
		blocks, changed := x.rec.seen()
		txs := 0
		for _, b := range blocks {
			txs += len(b.Txs)
		}
		if txs != seen {
			d, err := Replay(blocks, x.w.Contracts)
			if err != nil {
				return err
			}
			if ok(d) {
				return nil
			}
			seen = txs
		}
		if err := x.wait(ctx, changed); err != nil {
			return err
		}
	}
}

// past waits until the chain has passed a slot.
func (x *watch) past(ctx context.Context, s chain.Slot) ([]chain.Block, error) {
	for {
		blocks, changed := x.rec.seen()
		if len(blocks) > 0 && blocks[len(blocks)-1].Slot > s {
			return blocks, nil
		}
		if err := x.wait(ctx, changed); err != nil {
			return nil, err
		}
	}
}

func (x *watch) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-x.ended:
		return errors.Join(errFollowed, x.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
