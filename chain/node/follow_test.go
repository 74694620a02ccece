package node_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
)

// handler is a node.Handler of two functions, nil ones being content.
type handler struct {
	forward  func(chain.Block) error
	backward func(chain.Point) error
}

func (h handler) Forward(_ context.Context, b chain.Block, _ chain.Point) error {
	if h.forward == nil {
		return nil
	}
	return h.forward(b)
}

func (h handler) Backward(_ context.Context, p chain.Point) error {
	if h.backward == nil {
		return nil
	}
	return h.backward(p)
}

var errEnough = errors.New("enough")

func TestFollow(t *testing.T) {
	n, ctx := dial(t, node.Config{}), t.Context()
	unknown := chain.Point{Slot: 3, Hash: chain.BlockHash{1, 2, 3}}
	var blocks []chain.Block
	var back []chain.Point
	collect := func(many int) handler {
		blocks, back = nil, nil
		return handler{
			forward: func(b chain.Block) error {
				if blocks = append(blocks, b); len(blocks) == many {
					return errEnough
				}
				return nil
			},
			backward: func(p chain.Point) error { back = append(back, p); return nil },
		}
	}
	if err := n.Follow(ctx, []chain.Point{unknown, {}}, collect(5)); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if len(back) != 1 || back[0] != (chain.Point{}) {
		t.Errorf("from an unknown point or the origin, it went back to %v", back)
	}
	for i, b := range blocks[1:] {
		if b.Height != blocks[i].Height+1 || b.Slot <= blocks[i].Slot {
			t.Errorf("block %d at slot %d after %d at %d", b.Height, b.Slot, blocks[i].Height, blocks[i].Slot)
		}
	}
	first, third := blocks[0], blocks[2]
	if err := n.Follow(ctx, []chain.Point{unknown, third.Point, first.Point}, collect(1)); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if len(back) != 1 || back[0] != third.Point || blocks[0].Height != third.Height+1 {
		t.Errorf("from block %d, it went back to %v and on with %d", third.Height, back, blocks[0].Height)
	}
	if err := n.Follow(ctx, []chain.Point{unknown}, handler{}); !errors.Is(err, node.ErrNoIntersection) {
		t.Errorf("from an unknown point: %v", err)
	}
}

func TestFollowEnds(t *testing.T) {
	n := dial(t, node.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	err := n.Follow(ctx, nil, handler{forward: func(chain.Block) error { cancel(); return nil }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while it waits: %v", err)
	}
	err = n.Follow(t.Context(), nil, handler{backward: func(chain.Point) error { return errEnough }})
	if !errors.Is(err, errEnough) {
		t.Errorf("a handler's error: %v", err)
	}
	go n.Close()
	if err := n.Follow(t.Context(), nil, handler{}); !errors.Is(err, node.ErrClosed) {
		t.Errorf("closed while it follows: %v", err)
	}
	if _, err := n.Tip(t.Context()); !errors.Is(err, node.ErrClosed) {
		t.Errorf("asked when closed: %v", err)
	}
}
