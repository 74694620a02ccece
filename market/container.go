package market

import (
	"strings"

	"github.com/tallycompute/tally/executor"
)

// SDKTarget is where containers find the Python SDK.
const SDKTarget = "/opt/tally/python"

// Container is the task of one shard, the same for whoever runs it: the provider, or an attester who runs it again.
// mounts are where its inputs are on this machine, sdk the directory of the Python SDK, out an empty one for what it
// leaves. ID, owner and GPUs are for the caller to fill in.
func (t Terms) Container(index uint32, mounts []executor.Mount, sdk, out string) (executor.Task, error) {
	env, err := ShardEnv(t.Task, index)
	if err != nil {
		return executor.Task{}, err
	}
	env["PYTHONPATH"] = strings.TrimSuffix(SDKTarget+":"+env["PYTHONPATH"], ":")
	task := executor.Task{
		Image: t.Task.Image, Command: []string{"/bin/sh", "-c", t.Task.Command}, Env: env,
		Inputs:    append(mounts, executor.Mount{Source: sdk, Target: SDKTarget}),
		OutputDir: out, OutputTarget: OutputDir, Timeout: t.Timeouts.Run.Duration(),
		Limits: t.Task.limits(),
	}
	for _, m := range t.Task.Mounts {
		if within(m, WorkDir) {
			task.WorkDir = WorkDir // something was mounted where programs start
		}
	}
	return task.WithDefaults(), nil
}

// OutputLimits bound what a shard may leave.
func (t Terms) OutputLimits() executor.OutputLimits {
	return executor.Task{Limits: t.Task.limits()}.WithDefaults().Limits.Output
}

func (t Task) limits() executor.Limits {
	r := t.Resources
	return executor.Limits{
		CPUs: float64(r.MilliCPU) / 1000, MemoryBytes: int64(r.MemoryMiB) << 20,
		Output: executor.OutputLimits{Bytes: int64(r.DiskMiB) << 20},
	}
}
