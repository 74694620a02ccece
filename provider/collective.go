package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// errLate ends a collective whose result is due.
var errLate = fmt.Errorf("%w: the collective did not come to its end in time", errNotOurs)

// together runs a shard of a collective: again if the collective broke because another machine went away, until it
// ended or its result is due.
func (s *shard) together(ctx context.Context) (outcome, error) {
	if out, ok, err := s.resume(ctx); err != nil || ok {
		return out, err
	}
	work, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)
	wg.Go(func() { stop(s.awaitLate(work)) })
	before, err := s.find(ctx)
	if err != nil {
		return outcome{}, err
	}
	for again := before != nil; ; again = true {
		epoch, err := s.round(work, again)
		if err != nil {
			return outcome{}, errors.Join(context.Cause(work), s.discard(ctx))
		}
		out, err := s.attempt(work, epoch)
		if err == nil {
			return out, nil
		}
		if cause := context.Cause(work); cause != nil {
			return out, errors.Join(cause, s.discard(ctx))
		}
		if !errors.Is(err, ErrLostPeer) {
			return out, err
		}
		s.at(market.PhaseStarting, nil)
		s.j.d.Log.Warn("provider: the collective broke, starting over", "job", s.j.id, "shard", s.index, "error", err)
	}
}

// round is the epoch to join next. The first is 0, at once. When a collective broke, its ranks notice at different
// times, and one that joined at once would meet others that still hold on to the old group: so everybody comes again
// at the same time, the next full round of the clock, which is the epoch too. Who misses one takes the next.
func (s *shard) round(ctx context.Context, again bool) (epoch uint64, err error) {
	if !again {
		return 0, nil
	}
	round := s.j.d.cfg.Round
	next := time.Now().Truncate(round).Add(round)
	return uint64(next.UnixMilli() / round.Milliseconds()), sleep(ctx, time.Until(next))
}

// awaitLate is errLate when the result is due, or ctx's error.
func (s *shard) awaitLate(ctx context.Context) error {
	for {
		changed := s.j.d.Book.Changed()
		if late, err := s.j.late(ctx); err == nil && late {
			return errLate
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// resume takes up a container whose collective ended in order before this daemon was killed.
func (s *shard) resume(ctx context.Context) (outcome, bool, error) {
	traffic, ok, err := s.j.d.store.traffic(ctx, s.j.id, s.index)
	if err != nil || !ok {
		return outcome{}, false, err
	}
	h, err := s.find(ctx)
	if err != nil || h == nil {
		return outcome{}, false, err
	}
	circle, err := s.j.d.store.circle(ctx, s.j.id, s.index)
	if err != nil {
		return outcome{}, false, err
	}
	s.at(market.PhaseRunning, nil)
	status, err := s.wait(ctx, *h)
	if errors.Is(err, executor.ErrNotFound) {
		return outcome{}, false, nil
	}
	return outcome{status: status, message: s.why(ctx, *h, status), traffic: traffic, circle: circle}, err == nil, err
}

// attempt runs the container once, with its side of the collective. ErrLostPeer: the collective broke because of
// another machine, and the container is of no use any more.
func (s *shard) attempt(ctx context.Context, epoch uint64) (out outcome, err error) {
	// A container of an earlier attempt talks to a socket that is gone: it starts over.
	if err := s.discard(ctx); err != nil {
		return out, err
	}
	if err := s.makeDirs(true); err != nil {
		return out, err
	}
	session, err := s.open(epoch)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	h, err := s.start(ctx, true)
	if err != nil {
		return out, err
	}
	s.at(market.PhaseRunning, session)
	if err := s.j.phase(ctx, market.PhaseRunning, ""); err != nil {
		return out, err
	}
	return s.serve(ctx, h, session)
}

// serve serves a container's collective until both have ended.
func (s *shard) serve(ctx context.Context, h executor.Handle, session Session) (outcome, error) {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		err := session.Run(serving)
		if err == nil {
			err = s.j.d.store.setEnd(ctx, s.j.id, s.index, session.Traffic(), s.circle(session.Ending()))
		}
		if errors.Is(err, ErrLostPeer) {
			stop() // the program would only wait for a peer that is gone
		}
		served <- err
	}()
	status, err := s.wait(serving, h)
	if err == nil {
		session.Ended()
	} else {
		stop() // there is nobody to serve
	}
	broke := <-served
	switch {
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case errors.Is(broke, ErrLostPeer), errors.Is(broke, ErrStore):
		return outcome{}, broke
	case err != nil:
		return outcome{}, err
	}
	out := outcome{status: status, message: s.why(ctx, h, status), traffic: session.Traffic(), circle: s.circle(session.Ending())}
	if broke != nil && (status.OK() || errors.Is(broke, ErrNotJoined)) { // which the program does not know
		out.message = safeTo(broke.Error(), s.room())
	}
	return out, nil
}

// open makes the shard's side of the collective.
func (s *shard) open(epoch uint64) (Session, error) {
	peers, err := ranks(s.j.terms)
	if err != nil {
		return nil, err
	}
	spec := SessionSpec{Job: s.j.id, Name: s.j.terms.Name, SocketDir: s.socketDir(), Peers: peers, Least: int(s.j.terms.Task.Least), Spares: int(s.j.terms.Task.Spares), Epoch: epoch, Run: s.j.terms.Timeouts.Run.Duration()}
	if epoch != 0 {
		spec.JoinWithin = s.j.d.cfg.Round * 3 / 5 // and be free for the next round
	}
	for rank, index := range s.j.terms.Ring {
		if index == s.index {
			spec.Rank = rank
		}
	}
	return s.j.d.Collectives.Open(spec)
}

// discard removes what an earlier attempt left.
func (s *shard) discard(ctx context.Context) error {
	if err := s.j.d.store.unsetEnd(ctx, s.j.id, s.index); err != nil {
		return err
	}
	h, err := s.find(ctx)
	if err != nil {
		return err
	}
	if h != nil {
		if err := s.j.d.Engine.Remove(ctx, *h); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.j.outputDir(s.index))
}
