package executor_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/executor"
)

func good() executor.Task {
	return executor.Task{
		ID: "job-1/0/1", Owner: "provider-a",
		Image:     executor.ImageDigest("sha256:" + strings.Repeat("0a", 32)),
		Command:   []string{"python3", "/job/train.py"},
		Env:       map[string]string{"RANK": "0"},
		Inputs:    []executor.Mount{{Source: "/data/in", Target: "/data"}},
		OutputDir: "/data/out", SocketDir: "/data/sock",
		Limits:  executor.Limits{CPUs: 1, MemoryBytes: 1 << 30},
		Timeout: time.Hour,
	}
}

func TestTaskValidate(t *testing.T) {
	if err := good().WithDefaults().Validate(); err != nil {
		t.Fatal(err)
	}
	type change = func(*executor.Task)
	for name, c := range map[string]change{
		"no id":              func(t *executor.Task) { t.ID = "" },
		"id with newline":    func(t *executor.Task) { t.ID = "a\nb" },
		"owner option":       func(t *executor.Task) { t.Owner = "--x" },
		"image by name":      func(t *executor.Task) { t.Image = "debian:latest" },
		"no timeout":         func(t *executor.Task) { t.Timeout = 0 },
		"endless timeout":    func(t *executor.Task) { t.Timeout = math.MaxInt64 },
		"NaN CPUs":           func(t *executor.Task) { t.Limits.CPUs = math.NaN() },
		"no CPUs":            func(t *executor.Task) { t.Limits.CPUs = 0 },
		"no memory":          func(t *executor.Task) { t.Limits.MemoryBytes = 0 },
		"unlimited pids":     func(t *executor.Task) { t.Limits.PIDs = -1 },
		"unlimited output":   func(t *executor.Task) { t.Limits.Output.Bytes = -1 },
		"bad environment":    func(t *executor.Task) { t.Env = map[string]string{"A=B": "c"} },
		"zero byte":          func(t *executor.Task) { t.Command = []string{"a\x00b"} },
		"huge command":       func(t *executor.Task) { t.Command = []string{strings.Repeat("x", 1<<20)} },
		"relative source":    func(t *executor.Task) { t.Inputs[0].Source = "data" },
		"source not clean":   func(t *executor.Task) { t.Inputs[0].Source = "/data/../etc" },
		"target over root":   func(t *executor.Task) { t.Inputs[0].Target = "/" },
		"target over proc":   func(t *executor.Task) { t.Inputs[0].Target = "/proc/self" },
		"target over output": func(t *executor.Task) { t.Inputs[0].Target = "/out/x" },
		"target over socket": func(t *executor.Task) { t.Inputs[0].Target = "/run" },
		"target in tmp":      func(t *executor.Task) { t.Inputs[0].Target = "/tmp/in" },
		"gpu option":         func(t *executor.Task) { t.GPUs = []string{"all"} },
	} {
		task := good()
		c(&task)
		if err := task.WithDefaults().Validate(); !errors.Is(err, executor.ErrInvalidTask) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseHandle(f *testing.F) {
	h := executor.Handle{Version: 1, Runtime: "docker", ID: "c0ffee", TaskID: "job/0", Owner: "p"}
	good, _ := json.Marshal(h)
	f.Add(good)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := executor.ParseHandle(data)
		if err != nil {
			if !errors.Is(err, executor.ErrBadHandle) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if h2, err := executor.ParseHandle(again); err != nil || h2 != h {
			t.Fatalf("%+v became %+v, %v", h, h2, err)
		}
	})
}

func TestHandleOfAnotherKindIsRefused(t *testing.T) {
	h := executor.Handle{Version: 1, Runtime: "docker", ID: "c0ffee", TaskID: "job/0", Owner: "p"}
	if err := h.Check("docker"); err != nil {
		t.Error(err)
	}
	if err := h.Check("fake"); !errors.Is(err, executor.ErrBadHandle) {
		t.Error(err)
	}
	h.Version++
	if err := h.Check("docker"); !errors.Is(err, executor.ErrBadHandle) {
		t.Error(err)
	}
}
