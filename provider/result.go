package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// exitRuntime is the exit code of a shard that its program did not end: no shell gives it to a command that ran.
const exitRuntime = 125

// result packs what the shard left and says how it ended.
func (s *shard) result(ctx context.Context, out outcome) (market.ShardResult, error) {
	s.at(market.PhaseCollecting, nil)
	dir := s.j.outputDir(s.index)
	r := market.ShardResult{
		Index: s.index, ExitCode: int32(out.status.ExitCode), Message: out.message,
		Started: posix(out.status.Started), Finished: posix(out.status.Finished), Traffic: s.traffic(out.traffic),
	}
	r.Finished = max(r.Finished, r.Started)
	if r.Circle = out.circle; r.Circle != nil && len(r.Circle.Members) == 0 && r.Message == "" {
		r.Message = "stood by, and was not needed"
	}
	if !out.status.OK() && r.ExitCode == 0 {
		r.ExitCode = exitRuntime // whatever the program said
	}
	root, err := s.pack(ctx, dir)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err != nil {
		r.ExitCode, r.Message = max(r.ExitCode, exitRuntime), safeTo("its outputs cannot be collected: "+err.Error(), s.room())
		return r, nil
	}
	r.Output = root
	s.j.grant(root)
	r.ParamsStep, r.Params = lastParameters(metricLines(dir))
	return r, nil
}

// pack puts the outputs into the store. What the program left can make that impossible; what fails on this machine may
// pass.
func (s *shard) pack(ctx context.Context, dir string) (root market.Hash, err error) {
	for range 3 {
		root, err = s.j.d.Files.PackOutputs(ctx, dir, s.j.terms.OutputLimits())
		if err == nil || errors.Is(err, executor.ErrOutputTooLarge) || errors.Is(err, executor.ErrUnsafeOutput) {
			return root, err
		}
		s.j.d.Log.Warn("provider: cannot collect outputs, trying again", "job", s.j.id, "shard", s.index, "error", err)
		if sleep(ctx, time.Second) != nil {
			return root, err
		}
	}
	return root, err
}

// failure is the receipt of a shard that never ended, or never started.
func (s *shard) failure(err error) market.ShardResult {
	s.j.d.Log.Warn("provider: a shard cannot come to its end", "job", s.j.id, "shard", s.index, "error", err)
	return market.ShardResult{Index: s.index, ExitCode: exitRuntime, Message: safeTo(err.Error(), s.room())}
}

// failed are the receipts of a lot that never started.
func (j *job) failed(err error) []market.ShardResult {
	var all []market.ShardResult
	for _, st := range j.lot.Shards {
		all = append(all, (&shard{j: j, index: st.Index}).failure(err))
	}
	return all
}

// traffic is what was exchanged with each other rank of the collective, by shard.
func (s *shard) traffic(by map[peer.ID]Traffic) []market.Traffic {
	all := []market.Traffic{}
	for index := uint32(0); index < s.j.terms.Task.Shards && by != nil; index++ {
		id, ok := s.j.terms.ProviderOf(index)
		if t, with := by[id]; ok && with && index != s.index {
			all = append(all, market.Traffic{Shard: index, Sent: t.Sent, Received: t.Received})
		}
	}
	return all
}

// circle is who was there at the end of a collective with spares, by shard; nil: nobody, as far as this one knows.
func (s *shard) circle(e Ending) *market.Circle {
	if s.j.terms.Task.Spares == 0 || len(e.Members)+len(e.StoodBy) == 0 {
		return nil
	}
	c := &market.Circle{Members: []uint32{}, StoodBy: []uint32{}}
	for index := range s.j.terms.Task.Shards {
		id, ok := s.j.terms.ProviderOf(index)
		switch {
		case !ok:
		case slices.Contains(e.Members, id):
			c.Members = append(c.Members, index)
		case slices.Contains(e.StoodBy, id):
			c.StoodBy = append(c.StoodBy, index)
		}
	}
	return c
}

// sign signs the lot's result and stores it. From then on the escrow's actor sees to the payment.
func (j *job) sign(ctx context.Context, shards []market.ShardResult) error {
	now, err := j.d.now(ctx)
	if err != nil {
		return err
	}
	hash, err := j.terms.Hash()
	if err != nil {
		return err
	}
	signed, err := market.SignResult(market.Result{Version: 1, Job: j.id, Terms: hash, Provider: j.d.id, Shards: shards}, j.d.Peer)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	phase := market.PhaseDone
	for _, s := range shards {
		if s.ExitCode != 0 {
			phase = market.PhaseFailed
		}
	}
	if err := j.d.store.setResult(ctx, j.id, phase, signed, now); err != nil {
		return err
	}
	j.d.Log.Info("provider: result signed", "job", j.id, "phase", phase)
	return nil
}

// serve lets the requester fetch the outputs again after a restart.
func (j *job) serve(signed []byte) error {
	r, err := market.ReadResult(signed)
	if err != nil {
		return err
	}
	for _, s := range r.Shards {
		j.grant(s.Output)
	}
	j.grantInputs()
	return nil
}

func resultRoot(signed []byte) ([32]byte, error) {
	r, err := market.ReadResult(signed)
	return r.Root, err
}

// removeContainers deletes what the job has on the engine.
func (j *job) removeContainers(ctx context.Context) error {
	for _, st := range j.lot.Shards {
		s := &shard{j: j, index: st.Index}
		h, err := s.find(ctx)
		if err != nil {
			return err
		}
		if h == nil {
			continue
		}
		if err := j.d.Engine.Remove(ctx, *h); err != nil {
			return err
		}
	}
	return nil
}

// removeStrays deletes containers of ours that belong to no unfinished job.
func (d *Daemon) removeStrays(ctx context.Context) error {
	unfinished, err := d.store.jobs(ctx, false)
	if err != nil {
		return err
	}
	all, err := d.Engine.List(ctx, d.id.String())
	if err != nil {
		return err
	}
	for _, h := range all {
		known := slices.ContainsFunc(unfinished, func(r record) bool { return strings.HasPrefix(h.TaskID, r.Job.String()+"-") })
		if known {
			continue
		}
		d.Log.Info("provider: removing a container left behind", "task", h.TaskID)
		if err := d.Engine.Remove(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func posix(t time.Time) chain.Time {
	if t.IsZero() {
		return 0
	}
	return chain.Time(t.UnixMilli())
}
