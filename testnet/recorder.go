package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
)

// recorder keeps a node's whole chain, block by block: a node.Handler.
type recorder struct {
	mu      sync.Mutex
	blocks  []chain.Block
	changed chan struct{}
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

// Forward implements node.Handler.
func (r *recorder) Forward(_ context.Context, b chain.Block, _ chain.Point) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = append(r.blocks, b)
	r.wake()
	return nil
}

// Backward implements node.Handler.
func (r *recorder) Backward(_ context.Context, p chain.Point) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := 0
	if p != (chain.Point{}) {
		i = slices.IndexFunc(r.blocks, func(b chain.Block) bool { return b.Point == p }) + 1
		if i == 0 {
			return fmt.Errorf("%w: rollback to slot %d, a block that was never seen", ErrReplay, p.Slot)
		}
	}
	r.blocks = slices.Clone(r.blocks[:i]) // who holds the old blocks keeps them
	r.wake()
	return nil
}

func (r *recorder) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// seen is the chain so far and a channel that closes when it changes.
func (r *recorder) seen() ([]chain.Block, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blocks[:len(r.blocks):len(r.blocks)], r.changed
}

// record follows a node's chain from its origin until ok says that what was seen is enough.
func record(ctx context.Context, n *node.Node, ok func([]chain.Block) (bool, error)) ([]chain.Block, error) {
	r := newRecorder()
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Follow(following, nil, r) }()
	blocks, err := r.until(ctx, ended, ok)
	stop()
	if !errors.Is(err, errFollowed) {
		<-ended
	}
	return blocks, err
}

var errFollowed = errors.New("the node's chain could not be followed")

// until waits for ok; ended reports the end of following.
func (r *recorder) until(ctx context.Context, ended <-chan error, ok func([]chain.Block) (bool, error)) ([]chain.Block, error) {
	for {
		blocks, changed := r.seen()
		if done, err := ok(blocks); done || err != nil {
			return blocks, err
		}
		select {
		case <-changed:
		case err := <-ended:
			return nil, fmt.Errorf("%w: %w", errFollowed, err)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
