package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/tallycompute/tally/testnet/devnet/internal/control"
	"github.com/tallycompute/tally/testnet/devnet/internal/link"
	"github.com/tallycompute/tally/testnet/devnet/internal/node"
)

// lookEvery is how often two nodes' tips are compared while one catches up.
const lookEvery = 20 * time.Millisecond

// pair is two producers, child processes joined by a link that can be cut. Joined, one forges and the other follows it; cut
// apart, both forge. When they are joined again the one with the longer chain goes on and the other follows. That choice is
// made here because dingo v0.66.0 does not make it: a node that connects goes back to where its chain and the other's part,
// even when its own is the longer one. So no node ever follows one with a shorter chain.
type pair struct {
	assignment // what both have in common
	dirs       []string
	log        *slog.Logger
	producers  []node.Producer
	peers      []*net.TCPListener // where each is followed

	changing sync.Mutex // one cut or heal at a time
	leader   int        // whom the other follows
	parted   uint64     // height of the last block they had in common when they were cut
	sever    func()     // cuts the link and waits for its end; nil: it is cut
}

// newPair makes a pair whose leader is the one that has the longer chain.
func newPair(a assignment, dirs []string, tips []node.Tip, log *slog.Logger) *pair {
	p := &pair{assignment: a, dirs: dirs, log: log, producers: make([]node.Producer, len(dirs))}
	if tips[1].Height > tips[0].Height {
		p.leader, p.Tip = 1, tips[1].Slot
	}
	return p
}

// run runs both until ctx ends or one of them does.
func (p *pair) run(ctx context.Context, announce func(ready) error) error {
	l, err := node.Listen(filepath.Join(p.Dir, controlFile))
	if err != nil {
		return err
	}
	defer l.Close()
	g := newGroup(ctx)
	defer func() { // when all that could change it has ended
		if p.sever != nil {
			p.sever()
		}
	}()
	if err := p.start(g); err != nil {
		g.cancel()
		if ctx.Err() != nil { // told to end while it started
			err = nil
		}
		return errors.Join(err, g.wait())
	}
	g.run(func(ctx context.Context) error { return control.Serve(ctx, l, p.commands(ctx), theirs, p.log) })
	if err := announce(readyWith(p.Settings, l.Addr().String(), p.producers...)); err != nil {
		g.cancel()
		return errors.Join(err, g.wait())
	}
	return g.wait()
}

// commands are the link's; life is how long it may last.
func (p *pair) commands(life context.Context) map[string]control.Command {
	return map[string]control.Command{
		"cut":  {Do: func(ctx context.Context, _ url.Values) (any, error) { return nil, p.cut(ctx) }},
		"heal": {Do: func(ctx context.Context, _ url.Values) (any, error) { return p.heal(ctx, life) }},
	}
}

// start starts the nodes, the leader first.
func (p *pair) start(g *group) (err error) {
	for range p.dirs {
		l, err := loopback()
		if err != nil {
			return err
		}
		p.peers = append(p.peers, l)
	}
	for _, i := range []int{p.leader, 1 - p.leader} {
		a := p.assignment
		a.Dir, a.Pool = p.dirs[i], i
		if i != p.leader {
			if a.Follow, err = p.link(g.ctx); err != nil {
				return err
			}
		}
		started, wait, err := startChild(g.ctx, a, p.peers[i])
		if err != nil {
			return err
		}
		g.run(wait)
		p.producers[i] = started
	}
	return nil
}

// link opens a link to the leader and returns the address at which to follow it.
func (p *pair) link(ctx context.Context) (address string, err error) {
	l, err := loopback()
	if err != nil {
		return "", err
	}
	ctx, cut := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := link.Forward(ctx, l, p.peers[p.leader].Addr().String()); !errors.Is(err, context.Canceled) {
			p.log.Error("the link broke", "error", err)
		}
	}()
	p.sever = func() { cut(); <-ended }
	return l.Addr().String(), nil
}

// cut parts the two; from then on both forge.
func (p *pair) cut(ctx context.Context) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.sever == nil {
		return nil
	}
	p.sever()
	p.sever = nil
	tip, err := p.tip(ctx, 1-p.leader)
	if err != nil {
		return err
	}
	p.parted = tip.Height
	return p.command(ctx, 1-p.leader, leadCommand)
}

// heal joins the two and returns the tip at which the one that now follows has come up to the other. life is how long the
// link may last.
func (p *pair) heal(ctx, life context.Context) (node.Tip, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.sever == nil {
		a, errA := p.tip(ctx, p.leader)
		b, errB := p.tip(ctx, 1-p.leader)
		if err := errors.Join(errA, errB); err != nil {
			return node.Tip{}, err
		}
		if k := p.Settings.SecurityParam(); min(a.Height, b.Height) > p.parted+k {
			return node.Tip{}, fmt.Errorf("%w: both forged more than k = %d blocks since the cut, and no node gives up so many", node.ErrFault, k)
		}
		if b.Height > a.Height {
			p.leader = 1 - p.leader
		}
		address, err := p.link(life)
		if err != nil {
			return node.Tip{}, err
		}
		if err := p.command(ctx, 1-p.leader, followCommand+"?address="+address); err != nil {
			return node.Tip{}, err
		}
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ahead, err := p.tip(ctx, p.leader)
		if err != nil {
			return node.Tip{}, err
		}
		behind, err := p.tip(ctx, 1-p.leader)
		if err != nil || ahead == behind {
			return behind, err
		}
		select {
		case <-ctx.Done():
			return node.Tip{}, fmt.Errorf("producers at %+v and %+v: %w", ahead, behind, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (p *pair) tip(ctx context.Context, i int) (t node.Tip, err error) {
	err = control.Ask(ctx, p.producers[i].Control, tipCommand, &t)
	return t, err
}

func (p *pair) command(ctx context.Context, i int, command string) error {
	return control.Ask(ctx, p.producers[i].Control, command, &struct{}{})
}

// loopback opens a port that only this machine reaches.
func loopback() (*net.TCPListener, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}
