package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/tallycompute/tally/executor"
)

// How often the output directory is measured. A large one is given ten times as long to rest as
// measuring it took.
const (
	measureEvery = 250 * time.Millisecond
	measureShare = 10
)

// Wait implements [executor.Runtime].
func (r *Runtime) Wait(ctx context.Context, h executor.Handle) (executor.Status, error) {
	c, err := r.inspect(ctx, h)
	if err != nil {
		return executor.Status{}, err
	}
	p, err := readPromise(c)
	if err != nil {
		return executor.Status{}, err
	}
	if neverStarted(c.State) {
		return status(c.State, p), fmt.Errorf("wait for task %s: %w", h.TaskID, executor.ErrNotStarted)
	}
	if ended(c.State) {
		return status(c.State, p), nil
	}
	why, err := r.watch(ctx, c, p)
	if err != nil {
		return executor.Status{}, err
	}
	s, err := r.Status(ctx, h)
	if err == nil && why != executor.ReasonNone && s.ExitCode == killedExitCode {
		s.Reason = why
	}
	return s, err
}

// watch returns when the container has ended, and why if it was ended here.
func (r *Runtime) watch(ctx context.Context, c container.InspectResponse, p promise) (executor.Reason, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the request below
	defer cancel()
	done, failed := r.cli.ContainerWait(ctx, c.ID, container.WaitConditionNotRunning)
	deadline := time.NewTimer(time.Until(engineTime(c.State.StartedAt).Add(p.timeout)))
	defer deadline.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	if p.outputDir == "" {
		look.Stop()
	}
	why := executor.ReasonNone
	for {
		end := executor.ReasonNone
		select {
		case <-done:
			return why, nil
		case err := <-failed:
			// The engine may have ended the task itself, as it does when it is shut down.
			if again, inspectErr := r.cli.ContainerInspect(ctx, c.ID); inspectErr == nil && ended(again.State) {
				return why, nil
			}
			return why, EngineError("wait for container "+c.ID, err)
		case <-deadline.C:
			end = executor.ReasonTimeout
		case <-look.C:
			began := time.Now()
			end = r.outputVerdict(p)
			look.Reset(max(measureEvery, measureShare*time.Since(began)))
		}
		if end == executor.ReasonNone || why != executor.ReasonNone {
			continue
		}
		if err := r.kill(ctx, c.ID); err != nil {
			return why, err
		}
		why = end
	}
}

// outputVerdict says why a task must be ended for what it writes, if it must.
func (r *Runtime) outputVerdict(p promise) executor.Reason {
	if over, err := measure(p); err != nil || over {
		return executor.ReasonOutputLimit
	}
	if free, err := freeBytes(p.outputDir); err == nil && free < r.config.DiskReserve {
		return executor.ReasonHostFull
	}
	return executor.ReasonNone
}

func measure(p promise) (over bool, err error) {
	usage, err := executor.MeasureOutputs(p.outputDir, p.output)
	switch {
	case errors.Is(err, executor.ErrOutputTooLarge):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return usage.Check(p.output) != nil, nil
}

// kill ends a container at once. That it has already ended is no error.
func (r *Runtime) kill(ctx context.Context, id string) error {
	err := EngineError("kill container "+id, r.cli.ContainerKill(ctx, id, "SIGKILL"))
	if err == nil || errors.Is(err, executor.ErrNotFound) {
		return nil
	}
	c, inspectErr := r.cli.ContainerInspect(ctx, id)
	if inspectErr == nil && ended(c.State) {
		return nil
	}
	return err
}
