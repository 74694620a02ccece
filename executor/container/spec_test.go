package container

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"github.com/tallycompute/tally/executor"
)

func task() executor.Task {
	return executor.Task{
		ID: "job/0/1", Owner: "p", Image: executor.ImageDigest("sha256:" + strings.Repeat("ab", 32)),
		Limits: executor.Limits{CPUs: 0.5, MemoryBytes: 1 << 30}, Timeout: time.Hour,
	}.WithDefaults()
}

func TestGPUsAreExactlyTheTasksOwn(t *testing.T) {
	greedy := task()
	greedy.Env = map[string]string{"NVIDIA_VISIBLE_DEVICES": "all", "A": "b"}
	if env := environment(greedy); !slices.Contains(env, "NVIDIA_VISIBLE_DEVICES=void") || !slices.Contains(env, "A=b") {
		t.Errorf("without a GPU: %v", env)
	}
	if requests := hostConfig(greedy, "", nil).DeviceRequests; len(requests) != 0 {
		t.Errorf("without a GPU: %v", requests)
	}
	greedy.GPUs = []string{"GPU-1111", "GPU-2222"}
	if env := environment(greedy); !slices.Contains(env, "NVIDIA_VISIBLE_DEVICES=GPU-1111,GPU-2222") {
		t.Errorf("with two GPUs: %v", env)
	}
	requests := hostConfig(greedy, "", nil).DeviceRequests
	if len(requests) != 1 || !slices.Equal(requests[0].DeviceIDs, greedy.GPUs) || requests[0].Count != 0 {
		t.Errorf("with two GPUs: %+v", requests)
	}
}

func TestSpecHashSeesEveryField(t *testing.T) {
	base, err := specHash(task())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*executor.Task){
		"command": func(t *executor.Task) { t.Command = []string{"x"} },
		"env":     func(t *executor.Task) { t.Env = map[string]string{"A": "b"} },
		"image":   func(t *executor.Task) { t.Image = "sha256:0" },
		"limits":  func(t *executor.Task) { t.Limits.Output.Files++ },
		"inputs":  func(t *executor.Task) { t.Inputs = []executor.Mount{{Source: "/a", Target: "/b"}} },
		"timeout": func(t *executor.Task) { t.Timeout++ },
		"gpus":    func(t *executor.Task) { t.GPUs = []string{"GPU-1"} },
	} {
		other := task()
		change(&other)
		if hash, err := specHash(other); err != nil || hash == base {
			t.Errorf("a change of %s leaves the hash as it was (%v)", name, err)
		}
	}
}

func TestNamesDoNotCollide(t *testing.T) {
	if containerName("a", "b/c") == containerName("a/b", "c") || containerName("a", "b") == containerName("b", "a") {
		t.Error("two tasks share a name")
	}
}

func TestStatusFromTheEnginesRecord(t *testing.T) {
	start, p := "2026-01-01T00:00:00Z", promise{timeout: time.Minute}
	for name, c := range map[string]struct {
		state  container.State
		want   executor.State
		reason executor.Reason
	}{
		"created":         {container.State{Status: "created"}, executor.StateCreated, executor.ReasonNone},
		"failed to start": {container.State{Status: "created", ExitCode: 128, Error: "no such GPU"}, executor.StateExited, executor.ReasonNotStarted},
		"running":         {container.State{Status: "running", Running: true, StartedAt: start}, executor.StateRunning, executor.ReasonNone},
		"paused":          {container.State{Status: "paused", Running: true, Paused: true, StartedAt: start}, executor.StateRunning, executor.ReasonNone},
		"done":            {container.State{Status: "exited", StartedAt: start, FinishedAt: "2026-01-01T00:00:10Z"}, executor.StateExited, executor.ReasonExited},
		"done late":       {container.State{Status: "exited", StartedAt: start, FinishedAt: "2026-01-01T00:02:00Z"}, executor.StateExited, executor.ReasonExited},
		"timed out":       {container.State{Status: "exited", ExitCode: 137, StartedAt: start, FinishedAt: "2026-01-01T00:01:00Z"}, executor.StateExited, executor.ReasonTimeout},
		"killed":          {container.State{Status: "exited", ExitCode: 137, StartedAt: start, FinishedAt: "2026-01-01T00:00:10Z"}, executor.StateExited, executor.ReasonKilled},
		"out of memory":   {container.State{Status: "exited", ExitCode: 137, OOMKilled: true, StartedAt: start, FinishedAt: "2026-01-01T00:00:10Z"}, executor.StateExited, executor.ReasonOutOfMemory},
		"child was OOM":   {container.State{Status: "exited", OOMKilled: true, StartedAt: start, FinishedAt: "2026-01-01T00:00:10Z"}, executor.StateExited, executor.ReasonExited},
	} {
		got := status(&c.state, p)
		if got.State != c.want || got.Reason != c.reason || (got.State == executor.StateExited && got.Finished.Before(got.Started)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDescribeClaimsNothingUnsaid(t *testing.T) {
	bare := describe(system.Info{DefaultRuntime: "runc", SecurityOptions: []string{"name=seccomp,profile=unconfined"}}, "1.41", "")
	if bare.Isolation.Seccomp || bare.Isolation.Tier() != "weak" || len(bare.Missing) != 5 {
		t.Errorf("an engine without anything: %+v", bare)
	}
	full := describe(system.Info{
		DefaultRuntime: "runc", MemoryLimit: true, SwapLimit: true, PidsLimit: true, CPUCfsQuota: true, CgroupVersion: "2",
		SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=builtin", "name=userns"},
	}, "1.47", "")
	if !full.Isolation.Seccomp || !full.Isolation.AppArmor || full.Isolation.Tier() != "userns" || len(full.Missing) != 0 {
		t.Errorf("an engine with everything: %+v", full)
	}
	if g := describe(system.Info{}, "1.41", "runsc"); g.Isolation.Tier() != "vm-like" {
		t.Errorf("gVisor: %+v", g)
	}
}
