package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// sdkTarget is where containers find the Python SDK.
const sdkTarget = "/opt/tally/python"

// task is the container of this shard.
func (s *shard) task(mounts []executor.Mount, collective bool) (executor.Task, error) {
	t := s.j.terms.Task
	env, err := market.ShardEnv(t, s.index)
	if err != nil {
		return executor.Task{}, err
	}
	env["PYTHONPATH"] = strings.TrimSuffix(sdkTarget+":"+env["PYTHONPATH"], ":")
	task := executor.Task{
		ID: s.taskID(), Owner: s.j.d.id.String(), Image: t.Image, Command: []string{"/bin/sh", "-c", t.Command}, Env: env,
		Inputs:    append(mounts, executor.Mount{Source: s.j.d.SDK, Target: sdkTarget}),
		OutputDir: s.j.outputDir(s.index), OutputTarget: market.OutputDir, Limits: s.limits(),
		Timeout: s.j.terms.Timeouts.Run.Duration(), GPUs: s.j.d.gpuUUIDs(),
	}
	if s.hasWorkDir() {
		task.WorkDir = market.WorkDir
	}
	if collective {
		task.SocketDir = s.socketDir()
		task.Env["TALLY_SOCKET"] = executor.SocketTarget + "/agent.sock"
	}
	return task, nil
}

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
	t := executor.Task{Limits: executor.Limits{
		CPUs: float64(r.MilliCPU) / 1000, MemoryBytes: int64(r.MemoryMiB) << 20,
		Output: executor.OutputLimits{Bytes: int64(r.DiskMiB) << 20},
	}}
	return t.WithDefaults().Limits
}

func (s *shard) taskID() string { return fmt.Sprintf("%s-%d", s.j.id, s.index) }

func (s *shard) socketDir() string { return filepath.Join(s.j.shardDir(s.index), "agent") }

// makeDirs makes what the container writes to.
func (s *shard) makeDirs(collective bool) error {
	if err := os.MkdirAll(s.j.outputDir(s.index), 0o777); err != nil || !collective {
		return err
	}
	return os.MkdirAll(s.socketDir(), 0o755)
}
