package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
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
	rate    int // bytes a second that may be sent, and taken; 0: any
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
	members := len(spec.Peers) - spec.Spares
	view := collective.View{Peers: spec.Peers[:members], Rank: spec.Rank, Epoch: spec.Epoch}
	copy(view.Job[:], spec.Job[:])
	s := &session{
		c: c, gate: gate, view: view, again: spec.Epoch != 0, ended: make(chan struct{}),
		join: collective.Options{Join: spec.JoinWithin, Least: spec.Least, Spares: spec.Peers[members:], Time: spec.Run, Bytes: uint64(float64(c.rate) * spec.Run.Seconds())},
	}
	if spec.Least > 0 {
		s.view.Epoch <<= circleEpochs
	}
	return s, nil
}

// circleEpochs are the bits for the epochs that a circle counts by itself between two attempts.
const circleEpochs = 24

// session is one shard's side of a collective.
type session struct {
	c     collectives
	gate  *collective.Gate
	view  collective.View
	again bool // another attempt has been
	join  collective.Options
	ended chan struct{}
	ranks atomic.Pointer[membership] // once joined
	over  atomic.Bool                // a spare that stood by to the end
}

// spare says whether this rank begins as one.
func (s *session) spare() bool { return s.view.Rank >= len(s.view.Peers) }

// membership is a group, or a circle where the job goes on without ranks that are lost.
type membership interface {
	Traffic() map[peer.ID]collective.Traffic
	Paths() []string
	Layout() string
	Close(ctx context.Context) error
}

// goodbye is how long a container's goodbye may still be on its way when the container has ended.
const goodbye = 2 * time.Second

// Run implements provider.Session.
func (s *session) Run(ctx context.Context) error {
	ranks, serve, err := s.enter(ctx)
	if s.spare() && errors.Is(err, collective.ErrOver) {
		err := errors.Join(s.dismiss(ctx), s.gate.Close())
		s.over.Store(err == nil)
		return err
	}
	if err != nil { // the program would wait for it
		return lost(errors.Join(fmt.Errorf("%w: %w", provider.ErrNotJoined, err), s.gate.Close()))
	}
	s.ranks.Store(&ranks)
	serving, stop := s.whileItRuns(ctx, goodbye)
	defer stop(nil)
	err = serve(serving)
	return lost(errors.Join(err, ranks.Close(ctx)))
}

// whileItRuns is a context that ends some time after the container.
func (s *session) whileItRuns(ctx context.Context, late time.Duration) (context.Context, context.CancelCauseFunc) {
	running, stop := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.ended:
		case <-running.Done():
			return
		}
		select {
		case <-time.After(late):
			stop(errors.New("the container ended without a goodbye"))
		case <-running.Done():
		}
	}()
	return running, stop
}

// standBy waits until this spare is called in. It does not offer itself before its program waits too.
func (s *session) standBy(ctx context.Context) (*collective.Circle, error) {
	running, stop := s.whileItRuns(ctx, 0)
	defer stop(nil)
	if err := s.gate.Await(running); err != nil {
		return nil, err
	}
	o := s.join
	o.Join = math.MaxInt64 // the others may break and begin again meanwhile
	return s.c.service.Enter(running, s.view, o)
}

// dismiss tells a spare's program that the job has ended without it.
func (s *session) dismiss(ctx context.Context) error {
	running, stop := s.whileItRuns(ctx, goodbye)
	defer stop(nil)
	return s.gate.Dismiss(running)
}

// seek is for how long a shard that starts again looks for a circle of the others to come into.
const seek = 3 * time.Second

// enter joins the others, and says how the container is served then.
func (s *session) enter(ctx context.Context) (membership, func(context.Context) error, error) {
	if s.join.Least == 0 {
		group, err := s.c.service.Join(ctx, s.view, s.join)
		return group, func(ctx context.Context) error { return s.gate.Run(ctx, group) }, err
	}
	var circle *collective.Circle
	var err error
	if s.spare() {
		circle, err = s.standBy(ctx)
	} else if s.again {
		o := s.join
		o.Join = seek
		circle, err = s.c.service.Enter(ctx, s.view, o)
	}
	if !s.spare() && (!s.again || errors.Is(err, collective.ErrTimeout)) { // there is none
		circle, err = s.c.service.NewCircle(ctx, s.view, s.join)
	}
	return circle, func(ctx context.Context) error { return s.gate.RunCircle(ctx, circle) }, err
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
	ranks := s.ranks.Load()
	if ranks == nil {
		return all
	}
	for id, t := range (*ranks).Traffic() {
		all[id] = provider.Traffic{Sent: t.Sent, Received: t.Received}
	}
	return all
}

// Ending implements provider.Session.
func (s *session) Ending() provider.Ending {
	if s.over.Load() {
		return provider.Ending{StoodBy: []peer.ID{s.join.Spares[s.view.Rank-len(s.view.Peers)].ID}}
	}
	if ranks := s.ranks.Load(); ranks != nil {
		if circle, ok := (*ranks).(*collective.Circle); ok {
			return provider.Ending(circle.Ending())
		}
	}
	return provider.Ending{}
}

// Note implements provider.Session.
func (s *session) Note() string {
	if ranks := s.ranks.Load(); ranks != nil {
		notes := (*ranks).Paths()
		if how := (*ranks).Layout(); how != "" {
			notes = append(notes, how)
		}
		return strings.Join(notes, "; ")
	}
	if s.spare() {
		return "a spare, standing by"
	}
	return ""
}

// Close implements provider.Session.
func (s *session) Close() error { return s.gate.Close() }
