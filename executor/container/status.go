package container

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/tallycompute/tally/executor"
)

// killedExitCode is what a process ended by SIGKILL leaves: 128 + 9.
const killedExitCode = 137

// terminatedExitCode is what a process ended by SIGTERM leaves: 128 + 15.
const terminatedExitCode = 143

// promise is what a container was started under, as its labels record it.
type promise struct {
	timeout   time.Duration
	outputDir string
	output    executor.OutputLimits
	logBytes  int64
}

func readPromise(c container.InspectResponse) (promise, error) {
	p := promise{outputDir: c.Config.Labels[labelOutputDir]}
	var ms int64
	for label, into := range map[string]*int64{
		labelTimeout: &ms, labelOutputBytes: &p.output.Bytes, labelOutputFiles: &p.output.Files, labelLogBytes: &p.logBytes,
	} {
		n, err := strconv.ParseInt(c.Config.Labels[label], 10, 64)
		if err != nil || n < 0 {
			return promise{}, fmt.Errorf("%w: container %s: label %s: %q", executor.ErrBadHandle, c.ID, label, c.Config.Labels[label])
		}
		*into = n
	}
	p.timeout = time.Duration(ms) * time.Millisecond
	return p, nil
}

// Status implements [executor.Runtime].
func (r *Runtime) Status(ctx context.Context, h executor.Handle) (executor.Status, error) {
	c, err := r.inspect(ctx, h)
	if err != nil {
		return executor.Status{}, err
	}
	p, err := readPromise(c)
	if err != nil {
		return executor.Status{}, err
	}
	return status(c.State, p), nil
}

func neverStarted(s *container.State) bool {
	return s.Status == container.StateCreated && s.ExitCode == 0
}

func ended(s *container.State) bool {
	return !neverStarted(s) && !s.Running && !s.Paused && !s.Restarting
}

// status reads the engine's record. Whatever it can be asked again later, it answers the same.
func status(s *container.State, p promise) executor.Status {
	out := executor.Status{ExitCode: s.ExitCode, OOMKilled: s.OOMKilled, Started: engineTime(s.StartedAt), Detail: s.Error}
	switch {
	case neverStarted(s):
		out.State = executor.StateCreated
		return out
	case !ended(s):
		out.State = executor.StateRunning
		return out
	}
	out.State = executor.StateExited
	out.Finished = engineTime(s.FinishedAt)
	if out.Finished.Before(out.Started) { // the engine dates a start when it hears of it
		out.Finished = out.Started
	}
	out.Reason = reason(out, s.Status == container.StateCreated, p)
	return out
}

func reason(s executor.Status, notStarted bool, p promise) executor.Reason {
	signalled := s.ExitCode == killedExitCode || s.ExitCode == terminatedExitCode
	switch {
	case notStarted:
		return executor.ReasonNotStarted
	case s.OOMKilled && s.ExitCode != 0:
		return executor.ReasonOutOfMemory
	case !signalled:
		return executor.ReasonExited
	case !s.Started.IsZero() && s.Finished.Sub(s.Started) >= p.timeout:
		return executor.ReasonTimeout
	case s.ExitCode == killedExitCode && overLimit(p):
		return executor.ReasonOutputLimit
	default:
		return executor.ReasonKilled
	}
}

// overLimit reports whether the output directory is past its limits, or cannot be measured.
// A directory that the provider has already deleted is not.
func overLimit(p promise) bool {
	if p.outputDir == "" {
		return false
	}
	over, err := measure(p)
	return err == nil && over
}

// engineTime reads a time as the engine writes it; its zero time and anything odd become zero.
func engineTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
