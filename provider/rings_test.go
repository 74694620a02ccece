package provider

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// rings are collectives whose runs a test decides on.
type rings struct {
	with   peer.ID // whom traffic is exchanged with
	end    Ending
	mu     sync.Mutex
	run    func(ctx context.Context, attempt int, ended <-chan struct{}) error
	opened []SessionSpec
	closed int
}

var errGuest = errors.New("the container left without a goodbye")

func (r *rings) Open(spec SessionSpec) (Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = append(r.opened, spec)
	return &ring{all: r, attempt: len(r.opened), ended: make(chan struct{})}, nil
}

func (r *rings) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.opened)
}

type ring struct {
	all     *rings
	attempt int
	ended   chan struct{}
}

func (r *ring) Run(ctx context.Context) error { return r.all.run(ctx, r.attempt, r.ended) }
func (r *ring) Ended()                        { close(r.ended) }

func (r *ring) Traffic() map[peer.ID]Traffic {
	return map[peer.ID]Traffic{r.all.with: {Sent: 10, Received: 20}}
}

func (r *ring) Ending() Ending { return r.all.end }

func (r *ring) Note() string { return "rank 0 is reached over QUIC" }

func (r *ring) Close() error {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.all.closed++
	return nil
}
