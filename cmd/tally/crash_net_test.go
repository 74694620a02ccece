//go:build crash && linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"slices"
	"sync"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// Net is the network of a crash test: a ledger in memory that outlives the process that is killed, served over a socket.
type Net struct {
	ledger *chaintest.Ledger
	mu     sync.Mutex
	made   int // blocks
}

// Every so many blocks the chain goes back by so many.
const (
	undoEvery = 6
	undoDepth = 2
)

// Answer is what became of a submission.
type Answer struct{ Rule, Detail, Other string }

// Submit hands in a transaction.
func (n *Net) Submit(tx []byte, a *Answer) error {
	err := n.ledger.Submit(tx)
	var rule *chain.RuleError
	switch {
	case errors.As(err, &rule):
		a.Rule, a.Detail = rule.Rule, rule.Detail
	case err != nil:
		a.Other = err.Error()
	}
	return nil
}

// InMempool says whether a transaction waits.
func (n *Net) InMempool(id chain.TxID, has *bool) error {
	*has = n.ledger.InMempool(id)
	return nil
}

// Tip is the last block.
func (n *Net) Tip(_ int, p *chain.Point) error {
	*p = n.ledger.Tip()
	return nil
}

// Events are those after so many.
func (n *Net) Events(after int, es *[]chaintest.Event) error {
	*es = append([]chaintest.Event{}, n.ledger.Events(after)...)
	return nil
}

// Forge lets a slot pass and makes a block; now and then the chain goes back before that.
func (n *Net) Forge(_ int, p *chain.Point) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.made++; n.made%undoEvery == 0 {
		if err := n.ledger.Rollback(undoDepth); err != nil {
			return err
		}
	}
	b, err := n.ledger.Forge(1)
	*p = b.Point
	return err
}

// serve answers connections until the listener is closed.
func (n *Net) serve(l net.Listener) {
	s := rpc.NewServer()
	if err := s.Register(n); err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.ServeCodec(jsonrpc.NewServerCodec(c))
	}
}

// remote is a Net as the killed process sees it: a submit.Node, a purse's rules and an index's source.
type remote struct {
	*rpc.Client
	forged chan struct{}
}

func dialNet(socket string) (*remote, error) {
	c, err := jsonrpc.Dial("unix", socket)
	return &remote{c, make(chan struct{}, 1)}, err
}

// Params implements rules.
func (r *remote) Params(context.Context) (chain.Params, error) { return chaintest.Params(), nil }

// Clock implements rules.
func (r *remote) Clock(context.Context) (chain.Clock, error) { return chaintest.Clock(), nil }

// Submit implements submit.Node. The process can be killed before the transaction is handed in, and before it learns
// what became of it.
func (r *remote) Submit(_ context.Context, tx []byte) error {
	point("before a submission")
	var a Answer
	if err := r.Call("Net.Submit", tx, &a); err != nil {
		return err
	}
	point("after a submission")
	switch {
	case a.Rule != "":
		return &chain.RuleError{Rule: a.Rule, Detail: a.Detail}
	case a.Other != "":
		return errors.New(a.Other)
	}
	return nil
}

// InMempool implements submit.Node.
func (r *remote) InMempool(_ context.Context, id chain.TxID) (has bool, err error) {
	return has, r.Call("Net.InMempool", id, &has)
}

// Tip implements submit.Node.
func (r *remote) Tip(context.Context) (p chain.Point, err error) { return p, r.Call("Net.Tip", 0, &p) }

func (r *remote) forge() (p chain.Point, err error) {
	err = r.Call("Net.Forge", 0, &p)
	select {
	case r.forged <- struct{}{}:
	default:
	}
	return p, err
}

// Follow implements index.Source.
func (r *remote) Follow(ctx context.Context, from []chain.Point, f chaintest.Follower) error {
	var events []chaintest.Event
	if err := r.Call("Net.Events", 0, &events); err != nil {
		return err
	}
	var blocks []chain.Block
	for _, e := range events {
		if e.Block != nil {
			blocks = append(blocks, *e.Block)
		} else {
			blocks = blocks[:1+slices.IndexFunc(blocks, func(b chain.Block) bool { return b.Point == e.Rollback })]
		}
	}
	start, next := chain.Point{}, 0
	for _, p := range from {
		if i := slices.IndexFunc(blocks, func(b chain.Block) bool { return b.Point == p }); i >= 0 {
			start, next = p, i+1
			break
		}
	}
	if err := f.Backward(ctx, start); err != nil {
		return err
	}
	for _, b := range blocks[next:] {
		if err := f.Forward(ctx, b, b.Point); err != nil {
			return err
		}
	}
	for seen := len(events); ; seen += len(events) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.forged:
		}
		events = nil
		if err := r.Call("Net.Events", seen, &events); err != nil {
			return fmt.Errorf("following: %w", err)
		}
		for _, e := range events {
			if e.Block == nil {
				if err := f.Backward(ctx, e.Rollback); err != nil {
					return err
				}
			} else if err := f.Forward(ctx, *e.Block, e.Block.Point); err != nil {
				return err
			}
		}
	}
}
