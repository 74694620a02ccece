package market

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/tallycompute/tally/executor"
)

// Kind is what a job is for; it sets defaults and whether its shards talk to each other.
type Kind string

// Kinds of jobs.
const (
	Training  Kind = "training"  // shards sum gradients: one collective over all of them
	Inference Kind = "inference" // shards alone, outputs in order
	General   Kind = "general"   // shards alone
)

// Places inside every container.
const (
	WorkDir       = "/job"             // where Run starts, and where inputs without a mount go
	OutputDir     = "/out"             // the one directory whose content comes back
	CheckpointDir = "/out/checkpoints" // below OutputDir, so that checkpoints survive their container
)

// Job is a job file, read and checked, with its defaults filled in.
type Job struct {
	Name      string            `json:"name"`
	Kind      Kind              `json:"kind"`
	Image     string            `json:"image"` // an image's config digest (sha256:…) or a local tag, which the caller resolves
	Run       string            `json:"run"`   // for /bin/sh -c
	Envs      map[string]string `json:"envs"`
	Inputs    []Input           `json:"inputs"`
	Outputs   []Output          `json:"outputs"`
	Shards    Shards            `json:"shards"`
	Resources Resources         `json:"resources"`
	Budget    uint64            `json:"budget_untx"`
	Vouchers  Millis            `json:"voucher_every_ms,omitempty"` // of the program's time; 0: none
	Window    Millis            `json:"window_ms"`                  // verify.window: how long the requester may look at a committed result
	Verify    Verify            `json:"verify"`
	AuditBps  uint16            `json:"audit_bps,omitempty"`      // of its shards, the requester runs again before it approves; in ten-thousandths
	MinStake  uint64            `json:"min_stake_untx,omitempty"` // what each provider must have at stake
	Disputes  *Disputes         `json:"disputes,omitempty"`       // nil: nobody decides on a result but the requester
	Timeouts  Timeouts          `json:"timeouts"`
}

// Verify is how the requester comes to approve a result whose form is right.
type Verify string

// Ways to approve.
const (
	VerifyAccept Verify = "accept" // at once
	VerifyReview Verify = "review" // when its owner says so, lot by lot
)

// Waits says whether a result whose form is right waits for more before it is approved.
func (j Job) Waits() bool { return j.Verify == VerifyReview || j.AuditBps > 0 }

// Input is a file or directory of the requester's, and how the shards share it.
type Input struct {
	Path  string `json:"path"`  // as written; relative to the job file
	Mount string `json:"mount"` // absolute, cleaned, inside the container: the file or directory itself
	Split Split  `json:"split"`
	Line  int    `json:"-"` // in the job file, for errors found later
}

// Split is how an input is shared out.
type Split string

// Ways to split. SplitFile and SplitDir say what each does.
const (
	SplitNone    Split = "none"     // every shard gets all of it
	SplitByShard Split = "by-shard" // lines of a file, files of a directory
	SplitLines   Split = "lines"    // lines of a text file
	SplitRows    Split = "rows"     // lines of a text file whose first line is a header that every shard gets
	SplitBytes   Split = "bytes"    // bytes of a file
	SplitFiles   Split = "files"    // files of a directory
)

// Output is a file or directory of each shard's, and how the shards' become one.
type Output struct {
	Path   string `json:"path"` // absolute, cleaned: OutputDir or below
	Gather Gather `json:"gather"`
	Script string `json:"script,omitempty"` // with GatherReduce: the requester's script, relative to the job file
	Line   int    `json:"-"`                // in the job file, for errors found later
}

// Gather is how the shards' outputs become one.
type Gather string

// Ways to gather. GatherPlan says what each does.
const (
	GatherFirst  Gather = "first"  // from the lowest shard that has it
	GatherConcat Gather = "concat" // contents one after the other, in shard order
	GatherFiles  Gather = "files"  // each shard's kept, under its own directory
	GatherReduce Gather = "reduce" // given to a script
)

// Shards is how many parts a job has, and how many of them make its result worth having.
type Shards struct {
	Count  uint32 `json:"count"`
	Min    uint32 `json:"min"`
	Spares uint32 `json:"spares,omitempty"` // of a training job: wait beside it, each with a lot, for a shard that is lost
}

// Spare says whether a shard begins as a spare.
func (s Shards) Spare(shard uint32) bool { return shard >= s.Count }

// All is how many there are with the spares, which come last.
func (s Shards) All() uint32 { return s.Count + s.Spares }

// Resources is what one shard needs and is limited to.
type Resources struct {
	MilliCPU  uint64 `json:"milli_cpu"` // thousandths of a core
	MemoryMiB uint64 `json:"memory_mib"`
	DiskMiB   uint64 `json:"disk_mib"`
}

// Timeouts of a job's phases.
type Timeouts struct {
	Match   Millis `json:"match_ms"`   // finding providers and agreeing with them
	Start   Millis `json:"start_ms"`   // inputs arrive and containers start
	Run     Millis `json:"run_ms"`     // the program; price = rate × this
	Collect Millis `json:"collect_ms"` // the requester fetches the outputs
}

// Bounds that a job file and every document share.
const (
	MaxShards   = 1024
	maxRun      = 30 * Day
	maxEnvs     = 128
	maxInputs   = 32
	maxText     = 4096 // bytes of one environment value or path
	maxCommand  = 16 << 10
	maxJobBytes = 256 << 10
)

// Collective says whether the job's shards form one collective.
func (j Job) Collective() bool { return j.Kind == Training }

// SplitInputs lists the inputs of which each shard gets its own part.
func (j Job) SplitInputs() []Input { return j.inputs(true) }

// SharedInputs lists the inputs that every shard gets whole; the program is one of them.
func (j Job) SharedInputs() []Input { return j.inputs(false) }

func (j Job) inputs(split bool) (in []Input) {
	for _, i := range j.Inputs {
		if (i.Split != SplitNone) == split {
			in = append(in, i)
		}
	}
	return in
}

// Task is what a provider runs for job j on the image with that config digest.
func (j Job) Task(image ImageDigest) Task {
	t := Task{
		Image: image, Command: j.Run, Envs: j.Envs, Shards: j.Shards.All(), Spares: j.Shards.Spares, Collective: j.Collective(),
		Resources: j.Resources,
	}
	if t.Collective && (j.Shards.Min < j.Shards.Count || j.Shards.Spares > 0) {
		t.Least = j.Shards.Min
	}
	for _, in := range j.Inputs {
		t.Mounts = append(t.Mounts, in.Mount)
	}
	if split := j.SplitInputs(); len(split) > 0 {
		t.ShardInput = split[0].Mount
	}
	return t
}

// ImageDigest is an image's config digest, "sha256:" and 64 lower-case hex digits: the id an engine lists it by.
type ImageDigest = executor.ImageDigest

func isDigest(d ImageDigest) bool { return d.Validate() == nil }

var (
	jobName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// reservedMounts are the container's own directories: nothing may be mounted there or below.
var reservedMounts = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt/tally", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", OutputDir}

// within says whether cleaned path p is dir or below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// reservedBy names the reserved directory that p is in.
func reservedBy(p string) (dir string, reserved bool) {
	if p == "/" {
		return p, true
	}
	for _, d := range reservedMounts {
		if within(p, d) {
			return d, true
		}
	}
	return "", false
}

// defaultGather is what people mean when they say nothing.
func (k Kind) defaultGather() Gather {
	return cmp.Or(map[Kind]Gather{Training: GatherFirst, Inference: GatherConcat}[k], GatherFiles)
}
