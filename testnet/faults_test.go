package testnet_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

// follower keeps the chain that a node tells.
type follower struct {
	mu        sync.Mutex
	blocks    []chain.Block
	rollbacks int // that took blocks away
	more      chan struct{}
}

func (f *follower) Forward(_ context.Context, b chain.Block, _ chain.Point) error {
	f.change(func() { f.blocks = append(f.blocks, b) })
	return nil
}

func (f *follower) Backward(_ context.Context, p chain.Point) error {
	f.change(func() {
		before := len(f.blocks)
		for n := len(f.blocks); n > 0 && f.blocks[n-1].Slot > p.Slot; n = len(f.blocks) {
			f.blocks = f.blocks[:n-1]
		}
		if len(f.blocks) < before {
			f.rollbacks++
		}
	})
	return nil
}

func (f *follower) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.more)
	f.more = make(chan struct{})
}

// await waits for what ok says of the follower.
func (f *follower) await(t *testing.T, ok func() bool) {
	t.Helper()
	for {
		f.mu.Lock()
		done, more := ok(), f.more
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		case <-time.After(time.Minute):
			t.Fatal("the chain stands still")
		}
	}
}

func (f *follower) height() uint64 {
	if len(f.blocks) == 0 {
		return 0
	}
	return f.blocks[len(f.blocks)-1].Height
}

// at is the block of a height, which is there.
func (f *follower) at(height uint64) chain.Block {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocks[len(f.blocks)-1-int(f.height()-height)]
}

// TestFaults has a node's clients see what Producer's methods do.
func TestFaults(t *testing.T) {
	ctx := t.Context()
	dir, err := os.MkdirTemp("", "testnet")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p, err := testnet.StartNode(ctx, testnet.NodeConfig{
		Dir: dir, SlotLength: 100 * time.Millisecond, Params: map[string]string{"txFeeFixed": "160000"},
		Funds: map[chain.Address]chain.Lovelace{chain.Enterprise(chain.Network{}, chain.KeyHash{1}): 5_000_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	n, err := node.Dial(ctx, node.Config{Socket: p.Socket, Network: p.Network()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if params, err := n.Params(ctx); err != nil || params.FeeFixed != 160_000 {
		t.Errorf("parameters %+v, %v", params, err)
	}
	f := &follower{more: make(chan struct{})}
	ended := make(chan error, 1)
	follow, stop := context.WithCancel(ctx)
	defer stop()
	go func() { ended <- n.Follow(follow, nil, f) }()
	f.await(t, func() bool { return f.height() >= 10 })

	at := p.Producers[0]
	to, err := at.Rollback(ctx, 6)
	if err != nil {
		t.Fatal(err)
	}
	f.await(t, func() bool { return f.rollbacks == 1 && f.height() > to.Height+6 })
	if _, err := at.Rollback(ctx, 100_000); !errors.Is(err, testnet.ErrNode) || !strings.Contains(err.Error(), "k = ") {
		t.Errorf("a rollback beyond k: %v", err)
	}
	if err := at.Slow(ctx, 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var from uint64
	f.await(t, func() bool { from = f.height() + 2; return true })
	f.await(t, func() bool { return f.height() >= from+2 })
	if a, b := f.at(from), f.at(from+1); b.Slot-a.Slot < 5 {
		t.Errorf("blocks at slots %d and %d", a.Slot, b.Slot)
	}
	if err := errors.Join(at.Slow(ctx, 0), at.Stall(ctx, time.Second), at.LimitMempool(ctx, 0)); err != nil {
		t.Fatal(err)
	}
	tip, err := at.Tip(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.await(t, func() bool { return f.height() > tip.Height })
	if next := f.at(tip.Height + 1); next.Slot < tip.Slot+10 {
		t.Errorf("blocks at slots %d and %d, with a stall of ten between", tip.Slot, next.Slot)
	}
	if dropped, err := at.Drop(ctx); err != nil || dropped != 2 {
		t.Errorf("dropped %d, %v", dropped, err)
	}
	if err := <-ended; !errors.Is(err, node.ErrConnection) {
		t.Errorf("following a node that drops its clients: %v", err)
	}
	if err := p.Cut(ctx); !errors.Is(err, testnet.ErrNode) {
		t.Errorf("cut one producer: %v", err)
	}
}
