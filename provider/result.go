package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// metricsFile is where the SDK writes metrics, below the output directory.
const metricsFile = "metrics.jsonl"

// result packs what the shard left and says how it ended.
func (s *shard) result(ctx context.Context, out outcome) (market.ShardResult, error) {
	s.at(market.PhaseCollecting, s.handle, s.session)
	dir := filepath.Join(s.j.shardDir(s.index), "out")
	r := market.ShardResult{
		Index: s.index, ExitCode: int32(out.status.ExitCode), Message: safe(out.message),
		Started: posix(out.status.Started), Finished: posix(out.status.Finished),
		Traffic: s.traffic(out),
	}
	if !out.status.OK() && r.ExitCode == 0 {
		r.ExitCode = 125 // ended by the runtime, whatever the program said
	}
	root, err := s.j.d.Files.PackOutputs(ctx, dir, s.limits().Output)
	if err != nil {
		if ctx.Err() != nil {
			return r, err
		}
		r.ExitCode, r.Message = max(r.ExitCode, 125), safe("its outputs cannot be collected: "+err.Error())
		return r, nil
	}
	r.Output = root
	s.j.d.Files.Grant(root, s.j.requester.Requester)
	r.ParamsStep, r.Params = lastParameters(metricLines(dir, market.MaxMetrics))
	return r, nil
}

// traffic is what was exchanged with each other rank of the collective, by shard.
func (s *shard) traffic(out outcome) []market.Traffic {
	all := []market.Traffic{}
	for index := uint32(0); index < s.j.terms.Task.Shards && out.traffic != nil; index++ {
		id, ok := s.j.terms.ProviderOf(index)
		if t, with := out.traffic[id]; ok && with && index != s.index {
			all = append(all, market.Traffic{Shard: index, Sent: t.Sent, Received: t.Received})
		}
	}
	return all
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
		if !s.Output.IsZero() {
			j.d.Files.Grant(s.Output, j.requester.Requester)
		}
	}
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
func (d *Daemon) removeStrays(ctx context.Context, unfinished []record) error {
	all, err := d.Engine.List(ctx, d.id.String())
	if err != nil {
		return err
	}
	for _, h := range all {
		known := false
		for _, r := range unfinished {
			known = known || strings.HasPrefix(h.TaskID, r.Job.String()+"-")
		}
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

// metricLines are the last lines of a shard's metrics, as the program wrote them; none if there are none or the file
// is not one to be trusted.
func metricLines(outDir string, most int) []string {
	f, err := os.Lstat(filepath.Join(outDir, metricsFile))
	if err != nil || !f.Mode().IsRegular() {
		return nil
	}
	in, err := executor.OpenOutput(outDir, executor.OutputFile{Path: metricsFile, Size: f.Size()})
	if err != nil {
		return nil
	}
	defer func() { _ = in.Close() }()
	var lines []string
	for line := range tailLines(in) {
		if len(line) > 0 && len(line) <= market.MaxMetric && json.Valid(line) {
			if lines = append(lines, string(line)); len(lines) > most {
				lines = lines[1:]
			}
		}
	}
	return lines
}

// lastParameters is the newest parameter hash among metrics.
func lastParameters(lines []string) (step uint64, hash market.Hash) {
	for _, l := range lines {
		var m struct {
			Step uint64      `json:"step"`
			Hash market.Hash `json:"parameter_hash"`
		}
		if json.Unmarshal([]byte(l), &m) == nil && !m.Hash.IsZero() {
			step, hash = m.Step, m.Hash
		}
	}
	return step, hash
}

func posix(t time.Time) chain.Time {
	if t.IsZero() {
		return 0
	}
	return chain.Time(t.UnixMilli())
}
