package executor

import (
	"context"
	"io"
	"time"
)

// Runtime runs tasks. All methods are safe for concurrent use, and none depends on what an earlier
// value of the same Runtime remembers: a provider that crashed makes a new one and goes on.
type Runtime interface {
	// Info asks the engine what it is and what it can hold a task to.
	Info(ctx context.Context) (Info, error)
	// Start runs a task, or finds it: the same task under the same ID is started once, ever, until it
	// is removed. Another task under that ID is an ErrTaskConflict.
	Start(ctx context.Context, task Task) (Handle, error)
	// Wait returns when the task has ended. While somebody waits, the timeout and the output limits
	// are enforced; a provider therefore waits for every task it runs, from its start or its recovery
	// on. Ending ctx ends the waiting, not the task.
	Wait(ctx context.Context, h Handle) (Status, error)
	// Status looks once, without waiting.
	Status(ctx context.Context, h Handle) (Status, error)
	// Logs copies what the engine kept of the task's standard output and error to w, at most
	// Limits.LogBytes; with follow, until the task ends.
	Logs(ctx context.Context, h Handle, follow bool, w io.Writer) error
	// Stop asks the task to end and forces it after grace. Stopping an ended task is no error.
	Stop(ctx context.Context, h Handle, grace time.Duration) error
	// Remove forces the task to end and deletes it from the engine; its output directory stays.
	// Removing twice is no error.
	Remove(ctx context.Context, h Handle) error
	// List finds every task of an owner, running or ended, in order of task ID. Tasks past their
	// timeout or their output limits are ended before it returns.
	List(ctx context.Context, owner string) ([]Handle, error)
}

// Images finds images that are already on the engine.
type Images interface {
	// ImageID resolves a local name such as "tally/torch:bookworm"; ErrImageMissing if there is none.
	ImageID(ctx context.Context, name string) (ImageDigest, error)
	// HasImage reports whether an image is on the engine.
	HasImage(ctx context.Context, image ImageDigest) (bool, error)
}

// Info describes an engine as it is: what it says of itself, never what one hopes.
type Info struct {
	Engine      string    `json:"engine"`  // "docker"
	Version     string    `json:"version"` // of the engine
	APIVersion  string    `json:"api_version"`
	CPUs        int       `json:"cpus"`
	MemoryBytes int64     `json:"memory_bytes"`
	Isolation   Isolation `json:"isolation"`
	GPUs        bool      `json:"gpus"` // the engine can pass GPUs to a container
	// Missing lists, in words, the limits this engine cannot enforce. A provider publishes them.
	Missing []string `json:"missing,omitempty"`
}

// Isolation is what stands between a task and the host.
type Isolation struct {
	Runtime    string `json:"runtime"` // OCI runtime: "runc", "crun", "runsc", …
	Seccomp    bool   `json:"seccomp"`
	AppArmor   bool   `json:"apparmor"`
	SELinux    bool   `json:"selinux"`
	UserNS     bool   `json:"user_namespace"` // root in the container is not root on the host
	Rootless   bool   `json:"rootless"`       // the engine itself is not root
	CgroupV2   bool   `json:"cgroup_v2"`
	UserKernel bool   `json:"user_kernel"` // system calls end in a kernel of the task's own (gVisor, a VM)
}

// Tier is the isolation in one word, strongest first: "vm-like", "userns", "seccomp", "weak".
func (i Isolation) Tier() string {
	switch {
	case i.UserKernel:
		return "vm-like"
	case i.Seccomp && (i.UserNS || i.Rootless):
		return "userns"
	case i.Seccomp:
		return "seccomp"
	default:
		return "weak"
	}
}

// State is where a task is in its life.
type State string

// A task goes forward through these, never back.
const (
	StateCreated State = "created" // known to the engine, not yet running
	StateRunning State = "running"
	StateExited  State = "exited"
)

// Reason says why a task ended.
type Reason string

// Why a task ended. The runtime derives them from what the engine recorded.
const (
	ReasonNone        Reason = ""       // it has not
	ReasonExited      Reason = "exited" // by itself; ExitCode says how
	ReasonKilled      Reason = "killed" // by a signal: Stop, or somebody on the host
	ReasonOutOfMemory Reason = "out-of-memory"
	ReasonTimeout     Reason = "timeout"
	ReasonOutputLimit Reason = "output-limit"
	ReasonHostFull    Reason = "host-full"   // ended because the host's disk was nearly full
	ReasonNotStarted  Reason = "not-started" // the engine could not run its program at all
)

// Status is a task's state as the engine knows it.
type Status struct {
	State     State     `json:"state"`
	ExitCode  int       `json:"exit_code"` // 128+signal if a signal ended it
	OOMKilled bool      `json:"oom_killed"`
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"`
	Reason    Reason    `json:"reason"`
	Detail    string    `json:"detail,omitempty"` // what the engine said, for people
}

// OK reports whether the task ended by itself with exit code 0.
func (s Status) OK() bool {
	return s.State == StateExited && s.Reason == ReasonExited && s.ExitCode == 0
}
