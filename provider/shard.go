package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// shard is one shard at work.
type shard struct {
	j     *job
	index uint32

	mu      sync.Mutex
	phase   market.Phase
	handle  *executor.Handle
	started time.Time
	session Session
}

// outcome is how a shard's last attempt ended.
type outcome struct {
	status  executor.Status
	message string
	traffic map[peer.ID]Traffic
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
		wg.Add(1)
		go func() {
			defer wg.Done()
			results[i], errs[i] = s.run(ctx)
		}()
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// run starts the shard, again if a collective broke for a reason that may pass, until it ended or time is up.
func (s *shard) run(ctx context.Context) (market.ShardResult, error) {
	if err := s.j.phase(ctx, market.PhaseStarting, ""); err != nil {
		return market.ShardResult{}, err
	}
	if s.j.terms.Task.Collective {
		return s.runCollective(ctx)
	}
	out, err := s.attempt(ctx, nil)
	if err != nil {
		return market.ShardResult{}, err
	}
	return s.result(ctx, out)
}

func (s *shard) runCollective(ctx context.Context) (market.ShardResult, error) {
	for {
		// A container of an earlier attempt talks to a socket that is gone: it starts over.
		if err := s.discard(ctx); err != nil {
			return market.ShardResult{}, err
		}
		session, err := s.open()
		if err != nil {
			return market.ShardResult{}, err
		}
		out, err := s.attempt(ctx, session)
		err = errors.Join(err, session.Close())
		if !errors.Is(err, ErrLostPeer) {
			if err != nil {
				return market.ShardResult{}, err
			}
			return s.result(ctx, out)
		}
		if late, lErr := s.late(ctx); lErr != nil || late {
			return market.ShardResult{}, errors.Join(lErr, err)
		}
		s.j.d.Log.Warn("provider: the collective broke, starting over", "job", s.j.id, "shard", s.index, "error", err)
	}
}

// late says whether there is no time left to start over.
func (s *shard) late(ctx context.Context) (bool, error) {
	now, err := s.j.d.now(ctx)
	return now >= s.j.terms.CommitBy-chain.Time(s.j.d.cfg.Policy.CommitLead), err
}

// attempt runs the container once, with its side of the collective if there is one. ErrLostPeer: the collective broke
// because of another machine, and the container is of no use any more.
func (s *shard) attempt(ctx context.Context, session Session) (outcome, error) {
	task, err := s.task(session != nil)
	if err != nil {
		return outcome{}, err
	}
	h, err := s.j.d.Engine.Start(ctx, task)
	if errors.Is(err, executor.ErrNotStarted) {
		h, err = s.j.d.Engine.Start(ctx, task)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("start shard %d: %w", s.index, err)
	}
	s.at(market.PhaseRunning, &h, session)
	if err := s.j.phase(ctx, market.PhaseRunning, ""); err != nil {
		return outcome{}, err
	}
	served := make(chan error, 1)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	if session != nil {
		go func() {
			err := session.Run(serving)
			served <- err
			if errors.Is(err, ErrLostPeer) {
				stop() // the program would only wait for a peer that is gone
			}
		}()
	}
	status, err := s.j.d.Engine.Wait(serving, h)
	if session != nil && err == nil {
		session.Ended()
	}
	if session == nil {
		if err != nil {
			return outcome{}, fmt.Errorf("wait for shard %d: %w", s.index, err)
		}
		return outcome{status: status, message: s.why(ctx, h, status)}, nil
	}
	return s.leave(ctx, h, session, status, err, served)
}

// leave ends the collective's side of an attempt after its container has ended or was given up.
func (s *shard) leave(ctx context.Context, h executor.Handle, session Session, status executor.Status, err error, served <-chan error) (outcome, error) {
	var broke error
	select {
	case broke = <-served:
	case <-ctx.Done():
		broke = <-served
	}
	switch {
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case errors.Is(broke, ErrLostPeer):
		return outcome{}, broke
	case err != nil:
		return outcome{}, fmt.Errorf("wait for shard %d: %w", s.index, err)
	}
	out := outcome{status: status, message: s.why(ctx, h, status), traffic: session.Traffic()}
	if broke != nil && status.OK() {
		out.message = clip(broke.Error())
	}
	return out, nil
}

// task is the container of this shard.
func (s *shard) task(collective bool) (executor.Task, error) {
	t := s.j.terms.Task
	env, err := market.ShardEnv(t, s.index)
	if err != nil {
		return executor.Task{}, err
	}
	mounts, err := s.j.mounts(s.index)
	if err != nil {
		return executor.Task{}, err
	}
	mounts = append(mounts, executor.Mount{Source: s.j.d.SDK, Target: sdkTarget})
	env["PYTHONPATH"] = strings.TrimSuffix(sdkTarget+":"+env["PYTHONPATH"], ":")
	out := filepath.Join(s.j.shardDir(s.index), "out")
	if err := os.MkdirAll(out, 0o777); err != nil {
		return executor.Task{}, err
	}
	task := executor.Task{
		ID: s.taskID(), Owner: s.j.d.id.String(), Image: executor.ImageDigest(t.Image),
		Command: []string{"/bin/sh", "-c", t.Command}, Env: env, WorkDir: market.WorkDir,
		Inputs: mounts, OutputDir: out, OutputTarget: market.OutputDir,
		Limits:  s.limits(),
		Timeout: s.j.terms.Timeouts.Run.Duration(), GPUs: s.j.d.gpuUUIDs(),
	}
	if !s.hasWorkDir() {
		task.WorkDir = ""
	}
	if collective {
		task.SocketDir = s.socketDir()
		task.Env["TALLY_SOCKET"] = executor.SocketTarget + "/agent.sock"
	}
	return task, nil
}

// sdkTarget is where containers find the Python SDK.
const sdkTarget = "/opt/tally/python"

// hasWorkDir says whether something was mounted at the place where programs start.
func (s *shard) hasWorkDir() bool {
	for _, m := range s.j.terms.Task.Mounts {
		if m == market.WorkDir || strings.HasPrefix(m, market.WorkDir+"/") {
			return true
		}
	}
	return false
}

func (s *shard) limits() executor.Limits {
	r := s.j.terms.Task.Resources
	return executor.Limits{
		CPUs: float64(r.MilliCPU) / 1000, MemoryBytes: int64(r.MemoryMiB) << 20,
		Output: executor.OutputLimits{Bytes: int64(r.DiskMiB) << 20},
	}
}

func (s *shard) taskID() string { return fmt.Sprintf("%s-%d", s.j.id, s.index) }

func (s *shard) socketDir() string { return filepath.Join(s.j.shardDir(s.index), "agent") }

// open makes the shard's side of the collective.
func (s *shard) open() (Session, error) {
	if err := os.MkdirAll(s.socketDir(), 0o755); err != nil {
		return nil, err
	}
	spec := SessionSpec{Job: s.j.id, Name: s.j.terms.Name, SocketDir: s.socketDir()}
	for rank, index := range s.j.terms.Ring {
		id, ok := s.j.terms.ProviderOf(index)
		if !ok {
			return nil, fmt.Errorf("shard %d has no provider", index)
		}
		lot, _ := s.j.terms.LotOf(id)
		info := peer.AddrInfo{ID: id}
		for _, a := range lot.Addrs {
			m, err := multiaddr.NewMultiaddr(a)
			if err != nil {
				return nil, fmt.Errorf("address %q of %s: %w", a, id, err)
			}
			info.Addrs = append(info.Addrs, m)
		}
		spec.Peers = append(spec.Peers, info)
		if index == s.index {
			spec.Rank = rank
		}
	}
	return s.j.d.Collectives.Open(spec)
}

// discard removes what an earlier attempt left.
func (s *shard) discard(ctx context.Context) error {
	h, err := s.find(ctx)
	if err != nil || h == nil {
		return err
	}
	if err := s.j.d.Engine.Remove(ctx, *h); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(s.j.shardDir(s.index), "out"))
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

func (s *shard) at(p market.Phase, h *executor.Handle, session Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.handle, s.session = p, h, session
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
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	head := fmt.Sprintf("%s, exit code %d", st.Reason, st.ExitCode)
	if st.Detail != "" {
		head += " (" + st.Detail + ")"
	}
	return head + "\n" + clip(strings.ToValidUTF8(strings.Join(lines, "\n"), "?"))
}
