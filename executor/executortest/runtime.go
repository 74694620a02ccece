package executortest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"github.com/tallycompute/tally/executor"
)

// Kind is the Runtime field of handles that a [Fake] makes.
const Kind = "fake"

// pollEvery is how often a Fake looks again at what it waits for.
const pollEvery = 5 * time.Millisecond

// Fake is an [executor.Runtime] and [executor.Images] on an [Engine].
type Fake struct{ e *Engine }

var (
	_ executor.Runtime = (*Fake)(nil)
	_ executor.Images  = (*Fake)(nil)
)

// Info implements [executor.Runtime]. A fake isolates nothing and says so.
func (f *Fake) Info(context.Context) (executor.Info, error) {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	if f.e.faults.down {
		return executor.Info{}, executor.ErrEngineUnavailable
	}
	return executor.Info{
		Engine: Kind, CPUs: runtime.NumCPU(), Isolation: executor.Isolation{Runtime: "none"},
		Missing: []string{"system call filter", "memory limit", "process limit", "CPU limit", "swap limit"},
	}, nil
}

// ImageID implements [executor.Images].
func (f *Fake) ImageID(_ context.Context, name string) (executor.ImageDigest, error) {
	if d, ok := f.e.images[name]; ok {
		return d, nil
	}
	return "", fmt.Errorf("%w: %s", executor.ErrImageMissing, name)
}

// HasImage implements [executor.Images].
func (f *Fake) HasImage(_ context.Context, image executor.ImageDigest) (bool, error) {
	return f.e.hasImage(image), image.Validate()
}

// Start implements [executor.Runtime].
func (f *Fake) Start(ctx context.Context, task executor.Task) (executor.Handle, error) {
	if err := ctx.Err(); err != nil {
		return executor.Handle{}, err
	}
	return f.e.start(task)
}

// Wait implements [executor.Runtime].
func (f *Fake) Wait(ctx context.Context, h executor.Handle) (executor.Status, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		s, err := f.look(h)
		if err != nil || s.State == executor.StateExited {
			return s, err
		}
		select {
		case <-ctx.Done():
			return executor.Status{}, fmt.Errorf("wait for task %s: %w", h.TaskID, ctx.Err())
		case <-tick.C:
		}
	}
}

// look enforces a task's timeout and output limits and returns its status.
func (f *Fake) look(h executor.Handle) (executor.Status, error) {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	r, err := f.e.find(h)
	if err != nil {
		return executor.Status{}, err
	}
	r.enforce()
	return r.status, nil
}

func (r *run) enforce() {
	if time.Since(r.status.Started) >= r.task.Timeout {
		r.endEarly(executor.ReasonTimeout)
	}
	if r.task.OutputDir == "" {
		return
	}
	usage, err := executor.MeasureOutputs(r.task.OutputDir, r.task.Limits.Output)
	if err == nil {
		err = usage.Check(r.task.Limits.Output)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.endEarly(executor.ReasonOutputLimit)
	}
}

// Status implements [executor.Runtime].
func (f *Fake) Status(_ context.Context, h executor.Handle) (executor.Status, error) {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	r, err := f.e.find(h)
	if err != nil {
		return executor.Status{}, err
	}
	return r.status, nil
}

// Logs implements [executor.Runtime].
func (f *Fake) Logs(ctx context.Context, h executor.Handle, follow bool, w io.Writer) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for sent := 0; ; {
		data, ended, err := f.logsFrom(h, sent)
		if err != nil {
			return err
		}
		n, err := w.Write(data)
		if sent += n; err != nil {
			return err
		}
		if ended || !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("read logs of task %s: %w", h.TaskID, ctx.Err())
		case <-tick.C:
		}
	}
}

func (f *Fake) logsFrom(h executor.Handle, from int) (data []byte, ended bool, err error) {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	r, err := f.e.find(h)
	if err != nil {
		return nil, false, err
	}
	return slices.Clone(r.logs.Bytes()[from:]), r.status.State == executor.StateExited, nil
}

// Stop implements [executor.Runtime].
func (f *Fake) Stop(ctx context.Context, h executor.Handle, grace time.Duration) error {
	f.e.mu.Lock()
	r, err := f.e.find(h)
	f.e.mu.Unlock()
	if err != nil {
		return err
	}
	r.termOnce.Do(func() { close(r.term) })
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.done:
		return nil
	case <-timer.C:
		r.kill()
	case <-ctx.Done():
		return fmt.Errorf("stop task %s: %w", h.TaskID, ctx.Err())
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop task %s: %w", h.TaskID, ctx.Err())
	}
}

// Remove implements [executor.Runtime].
func (f *Fake) Remove(_ context.Context, h executor.Handle) error {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	r, err := f.e.find(h)
	if errors.Is(err, executor.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.kill()
	delete(f.e.tasks, r.handle.ID)
	return nil
}

// List implements [executor.Runtime].
func (f *Fake) List(_ context.Context, owner string) ([]executor.Handle, error) {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	if f.e.faults.down {
		return nil, fmt.Errorf("list tasks of %s: %w", owner, executor.ErrEngineUnavailable)
	}
	var list []executor.Handle
	for _, r := range f.e.tasks {
		if r.task.Owner == owner {
			r.enforce()
			list = append(list, r.handle)
		}
	}
	slices.SortFunc(list, func(a, b executor.Handle) int { return cmp.Compare(a.TaskID, b.TaskID) })
	return list, nil
}
