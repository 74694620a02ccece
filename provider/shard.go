package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// shard is one shard at work.
type shard struct {
	j     *job
	index uint32

	mu      sync.Mutex
	phase   market.Phase
	started time.Time
	session Session
}

// outcome is how a shard's last attempt ended.
type outcome struct {
	status  executor.Status
	message string
	traffic map[peer.ID]Traffic
	circle  *market.Circle // nil: no spares, or this rank was not there at the end
}

// runShards runs every shard of the lot to its end.
func (j *job) runShards(ctx context.Context) ([]market.ShardResult, error) {
	results := make([]market.ShardResult, len(j.lot.Shards))
	errs := make([]error, len(j.lot.Shards))
	var wg sync.WaitGroup
	for i, st := range j.lot.Shards {
		s := &shard{j: j, index: st.Index, phase: market.PhaseStarting}
		j.mu.Lock()
		j.shards[s.index] = s
		j.mu.Unlock()
		wg.Go(func() { results[i], errs[i] = s.run(ctx) })
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// run brings the shard to its end. An error is this machine's: it can be tried again.
func (s *shard) run(ctx context.Context) (market.ShardResult, error) {
	if err := s.j.phase(ctx, market.PhaseStarting, ""); err != nil {
		return market.ShardResult{}, err
	}
	way := s.alone
	if s.j.terms.Task.Collective {
		way = s.together
	}
	out, err := way(ctx)
	switch {
	case ctx.Err() != nil:
		return market.ShardResult{}, ctx.Err()
	case errors.Is(err, errNotOurs):
		return s.failure(err), nil
	case err != nil:
		return market.ShardResult{}, fmt.Errorf("shard %d: %w", s.index, err)
	}
	return s.result(ctx, out)
}

// alone runs a shard that needs no other one.
func (s *shard) alone(ctx context.Context) (outcome, error) {
	h, err := s.start(ctx, false)
	if err != nil {
		return outcome{}, err
	}
	s.at(market.PhaseRunning, nil)
	if err := s.j.phase(ctx, market.PhaseRunning, ""); err != nil {
		return outcome{}, err
	}
	status, err := s.waitPaid(ctx, h)
	if err != nil {
		return outcome{}, err
	}
	return outcome{status: status, message: s.why(ctx, h, status)}, nil
}

// start finds the shard's container, or starts it. One that runs or has ended is taken as it is: it is the same task,
// even if this program would write it down differently by now.
func (s *shard) start(ctx context.Context, collective bool) (executor.Handle, error) {
	if h, err := s.find(ctx); err != nil {
		return executor.Handle{}, err
	} else if h != nil {
		st, err := s.j.d.Engine.Status(ctx, *h)
		switch {
		case err == nil && st.State != executor.StateCreated:
			return *h, nil
		case err != nil && !errors.Is(err, executor.ErrNotStarted) && !errors.Is(err, executor.ErrNotFound):
			return executor.Handle{}, err
		}
		if err := s.j.d.Engine.Remove(ctx, *h); err != nil {
			return executor.Handle{}, err
		}
	}
	mounts, err := s.j.mounts(s.index)
	if err != nil {
		return executor.Handle{}, err
	}
	task, err := s.task(mounts, collective)
	if err != nil {
		return executor.Handle{}, err
	}
	if err := s.makeDirs(collective); err != nil {
		return executor.Handle{}, err
	}
	h, err := s.j.d.Engine.Start(ctx, task)
	if errors.Is(err, executor.ErrNotStarted) {
		h, err = s.j.d.Engine.Start(ctx, task)
	}
	if err != nil {
		return h, fmt.Errorf("start: %w", err)
	}
	return h, nil
}

// wait waits for the container's end, and for an engine that is away meanwhile.
func (s *shard) wait(ctx context.Context, h executor.Handle) (executor.Status, error) {
	for {
		st, err := s.j.d.Engine.Wait(ctx, h)
		if !errors.Is(err, executor.ErrEngineUnavailable) {
			return st, err
		}
		s.j.d.Log.Warn("provider: the container engine is away, waiting", "job", s.j.id, "shard", s.index, "error", err)
		if err := sleep(ctx, time.Second); err != nil {
			return st, err
		}
	}
}

func (s *shard) find(ctx context.Context) (*executor.Handle, error) {
	all, err := s.j.d.Engine.List(ctx, s.j.d.id.String())
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if h.TaskID == s.taskID() {
			return &h, nil
		}
	}
	return nil, nil
}

func (s *shard) at(p market.Phase, session Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.session = p, session
	if p == market.PhaseRunning {
		s.started = time.Now()
	}
}

// why is the reason of a failure, in a line, and the last lines that the program wrote.
func (s *shard) why(ctx context.Context, h executor.Handle, st executor.Status) string {
	if st.OK() {
		return ""
	}
	var log bytes.Buffer
	if err := s.j.d.Engine.Logs(ctx, h, false, &log); err != nil {
		fmt.Fprintf(&log, "(no log: %v)", err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	lines = lines[max(0, len(lines)-20):]
	head := fmt.Sprintf("%s, exit code %d", st.Reason, st.ExitCode)
	if st.Detail != "" {
		head += " (" + st.Detail + ")"
	}
	head = market.Line(head, 512) + "\n"
	return head + safeTo(strings.Join(lines, "\n"), s.room()-len(head))
}

// room is how long this shard's message may be: the lot's result must fit into a message with all of them.
func (s *shard) room() int { return share(256<<10, len(s.j.lot.Shards), market.MaxMessage) }
