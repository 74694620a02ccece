package executortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest/probe"
)

// Program is what the engine runs for a container. ctx ends when the task is killed.
type Program func(ctx context.Context, task executor.Task, p probe.Process) int

// RunProbe is the Program that does what package probe does; Command[0] is not looked at.
func RunProbe(ctx context.Context, _ executor.Task, p probe.Process) int { return probe.Run(ctx, p) }

// Engine is a container engine in memory. It keeps its tasks while the [Fake] runtimes that talk to
// it come and go, as a real engine does while a provider restarts.
type Engine struct {
	mu      sync.Mutex
	program Program
	images  map[string]executor.ImageDigest
	tasks   map[string]*run // by engine ID
	serial  int
	faults  faults
	running sync.WaitGroup
}

// run is one task on an Engine, guarded by its mu except where said.
type run struct {
	handle   executor.Handle
	task     executor.Task
	status   executor.Status
	override executor.Reason // why it was ended, where its exit code does not say
	kill     context.CancelFunc
	term     chan struct{}
	termOnce sync.Once
	logs     bytes.Buffer
	done     chan struct{} // closed when ended
}

// NewEngine makes an engine that has the named images and runs program for every task.
func NewEngine(program Program, images map[string]executor.ImageDigest) *Engine {
	return &Engine{program: program, images: images, tasks: map[string]*run{}}
}

// Runtime makes a new runtime that talks to e. It remembers nothing itself.
func (e *Engine) Runtime() *Fake { return &Fake{e} }

// Close kills every task and waits for their programs.
func (e *Engine) Close() {
	e.mu.Lock()
	for _, r := range e.tasks {
		r.kill()
	}
	e.mu.Unlock()
	e.running.Wait()
}

func (e *Engine) start(task executor.Task) (executor.Handle, error) {
	task = task.WithDefaults()
	if err := task.Validate(); err != nil {
		return executor.Handle{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.faults.onStart(task); err != nil {
		return executor.Handle{}, err
	}
	for _, r := range e.tasks {
		if r.task.Owner == task.Owner && r.task.ID == task.ID {
			if !reflect.DeepEqual(r.task, task) {
				return executor.Handle{}, fmt.Errorf("%w: %s", executor.ErrTaskConflict, task.ID)
			}
			return r.handle, nil
		}
	}
	if !e.hasImage(task.Image) {
		return executor.Handle{}, fmt.Errorf("%w: %s", executor.ErrImageMissing, task.Image)
	}
	e.serial++
	ctx, kill := context.WithCancel(context.Background())
	r := &run{
		handle: executor.Handle{
			Version: executor.HandleVersion, Runtime: Kind, ID: fmt.Sprintf("fake-%d", e.serial), TaskID: task.ID, Owner: task.Owner,
		},
		task: task, kill: kill, term: make(chan struct{}), done: make(chan struct{}),
		status: executor.Status{State: executor.StateRunning, Started: time.Now()},
	}
	e.tasks[r.handle.ID] = r
	hang := e.faults.hang[task.ID]
	e.running.Go(func() { e.run(ctx, r, hang) })
	return r.handle, nil
}

// run runs the program and records how it ended. One that hangs ends only when killed.
func (e *Engine) run(ctx context.Context, r *run, hang bool) {
	defer r.kill()
	code := 137
	if hang {
		<-ctx.Done()
	} else {
		code = e.program(ctx, r.task, r.process(e))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		code = 137
	}
	r.end(code)
}

func (r *run) process(e *Engine) probe.Process {
	return probe.Process{
		Args:   r.task.Command[min(1, len(r.task.Command)):],
		Getenv: func(k string) string { return r.task.Env[k] },
		Output: lockedWriter{e, r},
		Path:   r.hostPath,
		Term:   r.term,
	}
}

// end records the end of a task once; the engine's mu is held.
func (r *run) end(code int) {
	if r.status.State == executor.StateExited {
		return
	}
	reason := executor.ReasonExited
	if code == 137 || code == 143 {
		reason = executor.ReasonKilled
	}
	if r.override != executor.ReasonNone {
		reason = r.override
	}
	r.status.State, r.status.ExitCode, r.status.Reason = executor.StateExited, code, reason
	r.status.OOMKilled = reason == executor.ReasonOutOfMemory
	r.status.Finished = time.Now()
	close(r.done)
}

// hostPath maps a path of the container to the host's, as its mounts would.
func (r *run) hostPath(p string) string {
	mounts := r.task.Inputs
	if r.task.OutputDir != "" {
		mounts = append(mounts[:len(mounts):len(mounts)], executor.Mount{Source: r.task.OutputDir, Target: r.task.OutputTarget})
	}
	p = path.Clean("/" + p)
	for _, m := range mounts {
		if p == m.Target || strings.HasPrefix(p, m.Target+"/") {
			return filepath.Join(m.Source, strings.TrimPrefix(p, m.Target))
		}
	}
	return "/nonexistent" + p
}

func (e *Engine) hasImage(digest executor.ImageDigest) bool {
	for _, d := range e.images {
		if d == digest {
			return true
		}
	}
	return false
}

// find returns a handle's task; the engine's mu is held.
func (e *Engine) find(h executor.Handle) (*run, error) {
	if err := h.Check(Kind); err != nil {
		return nil, err
	}
	if e.faults.down {
		return nil, fmt.Errorf("find task %s: %w", h.TaskID, executor.ErrEngineUnavailable)
	}
	r, ok := e.tasks[h.ID]
	if !ok {
		return nil, fmt.Errorf("%w: %s", executor.ErrNotFound, h.TaskID)
	}
	if r.handle != h {
		return nil, fmt.Errorf("%w: %s is not task %s of %s", executor.ErrBadHandle, h.ID, h.TaskID, h.Owner)
	}
	return r, nil
}

// endEarly kills a running task and notes why; the engine's mu is held.
func (r *run) endEarly(why executor.Reason) {
	if r.status.State == executor.StateExited {
		return
	}
	r.override = why
	r.kill()
}

var errLogFull = errors.New("log is full")

// lockedWriter keeps a task's output, as much as its limit allows.
type lockedWriter struct {
	e *Engine
	r *run
}

func (w lockedWriter) Write(data []byte) (int, error) {
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if int64(w.r.logs.Len()+len(data)) > w.r.task.Limits.LogBytes {
		return 0, errLogFull
	}
	return w.r.logs.Write(data)
}

var _ io.Writer = lockedWriter{}
