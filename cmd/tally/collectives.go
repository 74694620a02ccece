package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor/collective"
	"github.com/tallycompute/tally/provider"
)

// collectives opens provider sessions on a collective service.
type collectives struct {
	service *collective.Service
	arena   int64
	log     *slog.Logger
}

// Open implements provider.Collectives.
func (c collectives) Open(spec provider.SessionSpec) (provider.Session, error) {
	gate, err := collective.NewGate(collective.GateOptions{
		Dir: spec.SocketDir, ArenaBytes: int(c.arena), Job: spec.Name, LocalSize: 1, Log: c.log,
	})
	if err != nil {
		return nil, err
	}
	view := collective.View{Peers: spec.Peers, Rank: spec.Rank, Epoch: spec.Epoch}
	copy(view.Job[:], spec.Job[:])
	return &session{c: c, gate: gate, view: view, join: collective.Options{Join: spec.JoinWithin}, ended: make(chan struct{})}, nil
}

// session is one shard's side of a collective.
type session struct {
	c     collectives
	gate  *collective.Gate
	view  collective.View
	join  collective.Options
	ended chan struct{}
	group atomic.Pointer[collective.Group] // once joined
}

// goodbye is how long a container's goodbye may still be on its way when the container has ended.
const goodbye = 2 * time.Second

// Run implements provider.Session.
func (s *session) Run(ctx context.Context) error {
	group, err := s.c.service.Join(ctx, s.view, s.join)
	if err != nil {
		return lost(err)
	}
	s.group.Store(group)
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-s.ended:
		case <-serving.Done():
			return
		}
		select {
		case <-time.After(goodbye):
			stop(errors.New("the container ended without a goodbye"))
		case <-serving.Done():
		}
	}()
	err = s.gate.Run(serving, group)
	return lost(errors.Join(err, group.Close(ctx)))
}

// lost marks what another machine is to blame for.
func lost(err error) error {
	if errors.Is(err, collective.ErrLost) || errors.Is(err, collective.ErrTimeout) {
		return fmt.Errorf("%w: %w", provider.ErrLostPeer, err)
	}
	return err
}

// Ended implements provider.Session. It is called once.
func (s *session) Ended() { close(s.ended) }

// Traffic implements provider.Session.
func (s *session) Traffic() map[peer.ID]provider.Traffic {
	all := map[peer.ID]provider.Traffic{}
	group := s.group.Load()
	if group == nil {
		return all
	}
	for id, t := range group.Traffic() {
		all[id] = provider.Traffic{Sent: t.Sent, Received: t.Received}
	}
	return all
}

// Close implements provider.Session.
func (s *session) Close() error { return s.gate.Close() }
