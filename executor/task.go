package executor

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ImageDigest names an image on an engine by the digest of its configuration ("sha256:" and 64 hex
// digits, the image ID of the OCI image specification), which fixes every byte of it.
type ImageDigest string

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Validate reports whether d has the form of a digest.
func (d ImageDigest) Validate() error {
	if !digestPattern.MatchString(string(d)) {
		return fmt.Errorf("%w: image %q is not a digest like sha256:<64 hex digits>", ErrInvalidTask, string(d))
	}
	return nil
}

// Where things lie inside every container.
const (
	DefaultOutputTarget = "/out"       // OutputDir, read-write
	SocketTarget        = "/run/tally" // SocketDir, read-only
	TmpTarget           = "/tmp"       // private scratch space in memory
)

// Mount makes a directory or file of the host visible to a task, read-only.
type Mount struct {
	Source string `json:"source"` // absolute path on the host
	Target string `json:"target"` // absolute path in the container
}

// Task is one program to run once. Everything the program can see, use or fill is named here.
type Task struct {
	ID    string `json:"id"`    // unique for its Owner: job, shard and attempt
	Owner string `json:"owner"` // whose task it is; a provider touches only its own

	Image   ImageDigest       `json:"image"`
	Command []string          `json:"command,omitempty"` // argument vector; empty means the image's own
	Env     map[string]string `json:"env,omitempty"`
	WorkDir string            `json:"workdir,omitempty"` // absolute path in the container; empty means TmpTarget

	Inputs       []Mount `json:"inputs,omitempty"`
	OutputDir    string  `json:"output_dir,omitempty"`    // host directory, mounted read-write; "" for none
	OutputTarget string  `json:"output_target,omitempty"` // "" means DefaultOutputTarget
	SocketDir    string  `json:"socket_dir,omitempty"`    // host directory with the agent's socket; "" for none

	Limits  Limits        `json:"limits"`
	Timeout time.Duration `json:"timeout"`        // from start to forced end
	GPUs    []string      `json:"gpus,omitempty"` // GPU UUIDs; empty for none
}

var (
	idPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$`)
	envPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	gpuPattern   = regexp.MustCompile(`^(GPU|MIG)-[0-9A-Za-z/-]{1,100}$`)
	reservedDirs = []string{"/proc", "/sys", "/dev"}
)

const (
	maxArguments = 1024
	maxTextBytes = 128 << 10 // of all arguments, or of all environment entries
	maxInputs    = 256
	maxTimeout   = 31 * 24 * time.Hour
)

// WithDefaults returns t with every zero field that has a default filled in.
func (t Task) WithDefaults() Task {
	if t.OutputTarget == "" {
		t.OutputTarget = DefaultOutputTarget
	}
	if t.WorkDir == "" {
		t.WorkDir = TmpTarget
	}
	t.Limits = t.Limits.withDefaults()
	return t
}

// Validate checks a task that has its defaults. It looks at no file and asks no engine.
// Every error is an [ErrInvalidTask].
func (t Task) Validate() error {
	if err := t.validate(); err != nil {
		return fmt.Errorf("%w: task %q: %w", ErrInvalidTask, t.ID, err)
	}
	return nil
}

func (t Task) validate() error {
	if !idPattern.MatchString(t.ID) {
		return fmt.Errorf("id must be 1 to 200 letters, digits or any of ._:/@-")
	}
	if !idPattern.MatchString(t.Owner) {
		return fmt.Errorf("owner %q must be 1 to 200 letters, digits or any of ._:/@-", t.Owner)
	}
	if err := t.Image.Validate(); err != nil {
		return err
	}
	if t.Timeout <= 0 || t.Timeout > maxTimeout {
		return fmt.Errorf("timeout %s must be above 0 and at most %s", t.Timeout, maxTimeout)
	}
	if err := t.validateText(); err != nil {
		return err
	}
	for _, gpu := range t.GPUs {
		if !gpuPattern.MatchString(gpu) {
			return fmt.Errorf("GPU %q is not a GPU UUID", gpu)
		}
	}
	if err := t.validateMounts(); err != nil {
		return err
	}
	return t.Limits.validate()
}

func (t Task) validateText() error {
	if len(t.Command) > maxArguments || len(t.Env) > maxArguments {
		return fmt.Errorf("more than %d arguments or environment entries", maxArguments)
	}
	var arguments, environment int
	for _, a := range t.Command {
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("an argument contains a zero byte")
		}
		arguments += len(a)
	}
	if len(t.Command) > 0 && t.Command[0] == "" {
		return fmt.Errorf("the command's program is empty")
	}
	for k, v := range t.Env {
		if !envPattern.MatchString(k) || strings.ContainsRune(v, 0) {
			return fmt.Errorf("environment entry %q is malformed", k)
		}
		environment += len(k) + len(v)
	}
	if arguments > maxTextBytes || environment > maxTextBytes {
		return fmt.Errorf("arguments or environment above %d bytes", maxTextBytes)
	}
	return nil
}

func (t Task) validateMounts() error {
	if len(t.Inputs) > maxInputs {
		return fmt.Errorf("more than %d inputs", maxInputs)
	}
	if err := checkTarget(t.WorkDir); err != nil {
		return fmt.Errorf("workdir: %w", err)
	}
	targets := []string{TmpTarget}
	sources := make([]string, 0, len(t.Inputs)+2)
	for _, in := range t.Inputs {
		targets = append(targets, in.Target)
		sources = append(sources, in.Source)
	}
	if t.OutputDir != "" {
		targets = append(targets, t.OutputTarget)
		sources = append(sources, t.OutputDir)
	}
	if t.SocketDir != "" {
		targets = append(targets, SocketTarget)
		sources = append(sources, t.SocketDir)
	}
	for _, s := range sources {
		if !filepath.IsAbs(s) || filepath.Clean(s) != s {
			return fmt.Errorf("host path %q is not absolute and clean", s)
		}
	}
	for i, a := range targets {
		if err := checkTarget(a); err != nil {
			return err
		}
		for _, b := range targets[i+1:] {
			if a == b || strings.HasPrefix(b, a+"/") || strings.HasPrefix(a, b+"/") {
				return fmt.Errorf("container paths %q and %q overlap", a, b)
			}
		}
	}
	return nil
}

// checkTarget refuses paths that would cover the container's own kernel file systems.
func checkTarget(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsAny(p, "\x00\n") || len(p) > 1024 {
		return fmt.Errorf("container path %q is not absolute and clean", p)
	}
	if slices.ContainsFunc(reservedDirs, func(d string) bool { return p == d || strings.HasPrefix(p, d+"/") }) {
		return fmt.Errorf("container path %q is reserved", p)
	}
	return nil
}
