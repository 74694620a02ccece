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
	for pause := time.Second; ; pause = min(2*pause, 10*time.Second) {
		out, err := s.attempt(work)
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
		if sleep(work, pause) != nil {
			return out, errors.Join(context.Cause(work), s.discard(ctx))
		}
	}
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
	s.at(market.PhaseRunning, nil)
	status, err := s.wait(ctx, *h)
	if errors.Is(err, executor.ErrNotFound) {
		return outcome{}, false, nil
	}
	return outcome{status: status, message: s.why(ctx, *h, status), traffic: traffic}, err == nil, err
}

// attempt runs the container once, with its side of the collective. ErrLostPeer: the collective broke because of
// another machine, and the container is of no use any more.
func (s *shard) attempt(ctx context.Context) (out outcome, err error) {
	// A container of an earlier attempt talks to a socket that is gone: it starts over.
	if err := s.discard(ctx); err != nil {
		return out, err
	}
	if err := s.makeDirs(true); err != nil {
		return out, err
	}
	session, err := s.open()
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
			err = s.j.d.store.setTraffic(ctx, s.j.id, s.index, session.Traffic())
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
	out := outcome{status: status, message: s.why(ctx, h, status), traffic: session.Traffic()}
	if broke != nil && status.OK() {
		out.message = safeTo(broke.Error(), s.room())
	}
	return out, nil
}

// open makes the shard's side of the collective.
func (s *shard) open() (Session, error) {
	peers, err := ranks(s.j.terms)
	if err != nil {
		return nil, err
	}
	spec := SessionSpec{Job: s.j.id, Name: s.j.terms.Name, SocketDir: s.socketDir(), Peers: peers}
	for rank, index := range s.j.terms.Ring {
		if index == s.index {
			spec.Rank = rank
		}
	}
	return s.j.d.Collectives.Open(spec)
}

// discard removes what an earlier attempt left.
func (s *shard) discard(ctx context.Context) error {
	if err := s.j.d.store.unsetTraffic(ctx, s.j.id, s.index); err != nil {
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
