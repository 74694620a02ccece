package container

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/tallycompute/tally/executor"
)

// Stop implements [executor.Runtime].
func (r *Runtime) Stop(ctx context.Context, h executor.Handle, grace time.Duration) error {
	c, err := r.inspect(ctx, h)
	if err != nil {
		return err
	}
	if ended(c.State) || neverStarted(c.State) {
		return nil
	}
	seconds := int((max(grace, 0) + time.Second - 1) / time.Second)
	return EngineError("stop task "+h.TaskID, r.cli.ContainerStop(ctx, c.ID, container.StopOptions{Timeout: &seconds}))
}

// Remove implements [executor.Runtime].
func (r *Runtime) Remove(ctx context.Context, h executor.Handle) error {
	c, err := r.inspect(ctx, h)
	if err != nil {
		return ignoreNotFound(err)
	}
	err = r.cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsConflict(err) { // somebody else is removing it
		return nil
	}
	return ignoreNotFound(EngineError("remove task "+h.TaskID, err))
}

// List implements [executor.Runtime].
func (r *Runtime) List(ctx context.Context, owner string) ([]executor.Handle, error) {
	found, err := r.cli.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", labelOwner+"="+owner)),
	})
	if err != nil {
		return nil, EngineError("list tasks of "+owner, err)
	}
	var list []executor.Handle
	for _, summary := range found {
		c, err := r.cli.ContainerInspect(ctx, summary.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, EngineError("list tasks of "+owner, err)
		}
		if !ours(c) || c.Config.Labels[labelOwner] != owner {
			continue
		}
		p, err := readPromise(c)
		if err != nil {
			return nil, err
		}
		running := !ended(c.State) && !neverStarted(c.State)
		if running && (time.Since(engineTime(c.State.StartedAt)) >= p.timeout || p.outputDir != "" && r.outputVerdict(p) != executor.ReasonNone) {
			if err := r.kill(ctx, c.ID); err != nil {
				return nil, err
			}
		}
		list = append(list, handle(c))
	}
	slices.SortFunc(list, func(a, b executor.Handle) int { return cmp.Compare(a.TaskID, b.TaskID) })
	return list, nil
}

// Logs implements [executor.Runtime].
func (r *Runtime) Logs(ctx context.Context, h executor.Handle, follow bool, w io.Writer) error {
	c, err := r.inspect(ctx, h)
	if err != nil {
		return err
	}
	p, err := readPromise(c)
	if err != nil {
		return err
	}
	stream, err := r.cli.ContainerLogs(ctx, c.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow})
	if err != nil {
		return EngineError("read logs of task "+h.TaskID, err)
	}
	defer stream.Close()
	bounded := &boundedWriter{w: w, left: p.logBytes}
	_, err = stdcopy.StdCopy(bounded, bounded, stream)
	if errors.Is(err, errLogEnd) {
		return nil
	}
	return EngineError("read logs of task "+h.TaskID, err)
}

var errLogEnd = errors.New("log limit reached")

// boundedWriter passes on so many bytes, then fails with errLogEnd.
type boundedWriter struct {
	w    io.Writer
	left int64
}

func (b *boundedWriter) Write(data []byte) (int, error) {
	whole := len(data)
	data = data[:min(int64(whole), b.left)]
	n, err := b.w.Write(data)
	b.left -= int64(n)
	if err == nil && n < whole {
		err = errLogEnd
	}
	return n, err
}
