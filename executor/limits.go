package executor

import "fmt"

// Limits bound what a task may use. Zero CPUs or MemoryBytes is an error; every other zero field
// takes the value of [DefaultLimits].
type Limits struct {
	CPUs        float64 `json:"cpus"`         // cores' worth of time
	MemoryBytes int64   `json:"memory_bytes"` // all memory, /tmp and /dev/shm included; there is no swap beyond it
	TmpBytes    int64   `json:"tmp_bytes"`    // size of /tmp
	ShmBytes    int64   `json:"shm_bytes"`    // size of /dev/shm
	PIDs        int64   `json:"pids"`         // processes and threads at once
	OpenFiles   int64   `json:"open_files"`   // per process
	LogBytes    int64   `json:"log_bytes"`    // of output the engine keeps, the newest

	Output OutputLimits `json:"output"`
}

// OutputLimits bound what a task may leave in its output directory.
type OutputLimits struct {
	Bytes int64 `json:"bytes"` // allocated or apparent size, whichever is larger, of all files together
	Files int64 `json:"files"` // files, directories and everything else
}

// DefaultLimits returns the limits a task gets where it names none. CPUs and MemoryBytes have no default.
func DefaultLimits() Limits {
	return Limits{
		TmpBytes:  256 << 20,
		ShmBytes:  64 << 20,
		PIDs:      512,
		OpenFiles: 4096,
		LogBytes:  16 << 20,
		Output:    OutputLimits{Bytes: 1 << 30, Files: 10_000},
	}
}

const (
	minMemoryBytes = 6 << 20 // the least a Docker engine accepts
	minLogBytes    = 64 << 10
)

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ have, def *int64 }{
		{&l.TmpBytes, &d.TmpBytes},
		{&l.ShmBytes, &d.ShmBytes},
		{&l.PIDs, &d.PIDs},
		{&l.OpenFiles, &d.OpenFiles},
		{&l.LogBytes, &d.LogBytes},
		{&l.Output.Bytes, &d.Output.Bytes},
		{&l.Output.Files, &d.Output.Files},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return l
}

func (l Limits) validate() error {
	if !(l.CPUs >= 0.01 && l.CPUs <= 4096) { // written so that NaN fails
		return fmt.Errorf("%v CPUs must be between 0.01 and 4096", l.CPUs)
	}
	for _, f := range []struct {
		name       string
		value, min int64
	}{
		{"memory_bytes", l.MemoryBytes, minMemoryBytes},
		{"tmp_bytes", l.TmpBytes, 1},
		{"shm_bytes", l.ShmBytes, 1},
		{"pids", l.PIDs, 2},
		{"open_files", l.OpenFiles, 16},
		{"log_bytes", l.LogBytes, minLogBytes},
		{"output.bytes", l.Output.Bytes, 1},
		{"output.files", l.Output.Files, 1},
	} {
		if f.value < f.min {
			return fmt.Errorf("limit %s is %d, the least is %d", f.name, f.value, f.min)
		}
	}
	return nil
}
