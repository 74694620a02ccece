package testnet

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/executor/python"
	"github.com/tallycompute/tally/market"
)

// ErrTraining is a training whose parts do not add up to one.
var ErrTraining = errors.New("training")

const (
	maxRelDiff      = 1e-5 // of the parameters after 10 steps, split and alone
	maxAccuracyDiff = 0.01 // of the final accuracy
	parameterFile   = "parameters-10.f32"
	metricsFile     = "metrics.jsonl"
	maxMetricLine   = 1 << 20
)

// Metric is a line that a training script logged.
type Metric struct {
	Time          float64  `json:"time"` // Unix seconds
	Step          int      `json:"step"`
	Epoch         int      `json:"epoch"`
	Rows          int      `json:"rows"`
	Loss          *float64 `json:"loss"`
	Accuracy      *float64 `json:"accuracy"`
	ParameterHash string   `json:"parameter_hash"`
}

// readMetrics reads a metrics.jsonl.
func readMetrics(path string) (all []Metric, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w: %w", ErrTraining, err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxMetricLine)
	for s.Scan() {
		var m Metric
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("metrics %s, line %d: %w: %w", path, len(all)+1, ErrTraining, err)
		}
		all = append(all, m)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("metrics %s: %w: %w", path, ErrTraining, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("metrics %s: %w: there are none", path, ErrTraining)
	}
	return all, nil
}

// sameHashes checks that every rank logged a parameter hash at the same steps, at least every tenth, and the same one.
func sameHashes(ranks [][]Metric) error {
	var want map[int]string
	for r, ms := range ranks {
		got, last := map[int]string{}, 0
		for _, m := range ms {
			last = max(last, m.Step)
			if m.ParameterHash != "" {
				got[m.Step] = m.ParameterHash
			}
		}
		for s := 10; s <= last; s += 10 {
			if got[s] == "" {
				return fmt.Errorf("%w: rank %d logged no parameter hash at step %d", ErrTraining, r, s)
			}
		}
		if len(got) == 0 {
			return fmt.Errorf("%w: rank %d logged no parameter hash", ErrTraining, r)
		}
		if r == 0 {
			want = got
			continue
		}
		if len(got) != len(want) {
			return fmt.Errorf("%w: rank %d logged %d parameter hashes, rank 0 %d", ErrTraining, r, len(got), len(want))
		}
		for s, h := range want {
			if got[s] != h {
				return fmt.Errorf("%w: parameters differ at step %d: rank 0 has %.16s…, rank %d %.16s…", ErrTraining, s, h, r, got[s])
			}
		}
	}
	return nil
}

// accuracy is the last one logged.
func accuracy(ms []Metric) (float64, error) {
	for _, m := range slices.Backward(ms) {
		if m.Accuracy != nil {
			return *m.Accuracy, nil
		}
	}
	return 0, fmt.Errorf("%w: no accuracy was logged", ErrTraining)
}

// parameters reads float32 numbers, little-endian.
func parameters(path string) ([]float32, error) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 || len(b)%4 != 0 {
		return nil, fmt.Errorf("parameters %s of %d bytes: %w: %w", path, len(b), ErrTraining, err)
	}
	ps := make([]float32, len(b)/4)
	for i := range ps {
		ps[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return ps, nil
}

// relDiff is |a−b| / |b|, in the Euclidean norm.
func relDiff(a, b []float32) (float64, error) {
	if len(a) != len(b) {
		return 0, fmt.Errorf("%w: %d parameters and %d", ErrTraining, len(a), len(b))
	}
	var diff, norm float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		diff += d * d
		norm += float64(b[i]) * float64(b[i])
	}
	if d := math.Sqrt(diff) / math.Sqrt(norm); !math.IsNaN(d) && !math.IsInf(d, 0) {
		return d, nil
	}
	return 0, fmt.Errorf("%w: parameters that are no numbers, or all zero", ErrTraining)
}

// Split is what a training over shards left: a directory for each rank.
type Split struct{ Ranks []string }

// Compare holds a split training against the same script run alone. The summary is filled in as far as it gets; the
// error says which of the promises does not hold.
func (s Split) Compare(alone string) (t TrainingSummary, ranks [][]Metric, err error) {
	for _, dir := range s.Ranks {
		ms, err := readMetrics(filepath.Join(dir, metricsFile))
		if err != nil {
			return t, nil, err
		}
		ranks = append(ranks, ms)
	}
	last := ranks[0][len(ranks[0])-1]
	t.Steps = last.Step
	if err := sameHashes(ranks); err != nil {
		return t, ranks, err
	}
	t.ParameterHashesEqual = true
	want, err := parameters(filepath.Join(alone, parameterFile))
	if err != nil {
		return t, ranks, err
	}
	for _, dir := range s.Ranks {
		got, err := parameters(filepath.Join(dir, parameterFile))
		if err != nil {
			return t, ranks, err
		}
		d, err := relDiff(got, want)
		if err != nil {
			return t, ranks, err
		}
		t.MaxRelParamDiff10 = max(t.MaxRelParamDiff10, d)
	}
	ms, err := readMetrics(filepath.Join(alone, metricsFile))
	if err != nil {
		return t, ranks, err
	}
	if t.AccuracyAlone, err = accuracy(ms); err != nil {
		return t, ranks, err
	}
	if t.AccuracySplit, err = accuracy(ranks[0]); err != nil {
		return t, ranks, err
	}
	switch d := math.Abs(t.AccuracySplit - t.AccuracyAlone); {
	case t.MaxRelParamDiff10 > maxRelDiff:
		err = fmt.Errorf("%w: after 10 steps the parameters differ from those trained alone by %.2g, more than %.0e", ErrTraining, t.MaxRelParamDiff10, maxRelDiff)
	case d > maxAccuracyDiff:
		err = fmt.Errorf("%w: accuracy %.4f split and %.4f alone differ by more than a point", ErrTraining, t.AccuracySplit, t.AccuracyAlone)
	}
	return t, ranks, err
}

// Alone runs a job's program once, over all of its input, in one container as hardened as a provider's, and leaves its
// outputs in out. dir is the job file's, work an empty directory.
func Alone(ctx context.Context, job market.Job, image executor.ImageDigest, dir, work, out string) (err error) {
	sdk := filepath.Join(work, "sdk")
	if err := errors.Join(os.CopyFS(sdk, python.Files), os.MkdirAll(out, 0o777), os.Chmod(out, 0o777)); err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	job.Shards = market.Shards{Count: 1, Min: 1}
	task := job.Task(image)
	env, err := market.ShardEnv(task, 0)
	if err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	env["PYTHONPATH"] = "/opt/tally/python"
	mounts := []executor.Mount{{Source: sdk, Target: env["PYTHONPATH"]}}
	for _, in := range job.Inputs {
		mounts = append(mounts, executor.Mount{Source: filepath.Join(dir, in.Path), Target: in.Mount})
	}
	engine, err := container.New(container.Config{})
	if err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	h, err := engine.Start(ctx, executor.Task{
		ID: filepath.Base(work), Owner: "tally-alone", Image: image, Command: []string{"/bin/sh", "-c", task.Command}, Env: env,
		WorkDir: market.WorkDir, Inputs: mounts, OutputDir: out, OutputTarget: market.OutputDir,
		Limits: executor.Limits{
			CPUs: float64(task.Resources.MilliCPU) / 1000, MemoryBytes: int64(task.Resources.MemoryMiB) << 20,
		},
		Timeout: 10 * time.Minute,
	})
	if err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	defer func() { err = errors.Join(err, engine.Remove(context.WithoutCancel(ctx), h)) }()
	st, err := engine.Wait(ctx, h)
	if err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	if !st.OK() {
		var log strings.Builder
		_ = engine.Logs(ctx, h, false, &log)
		return fmt.Errorf("alone: %w: %s, exit code %d: %s", ErrTraining, st.Reason, st.ExitCode, log.String())
	}
	return nil
}
