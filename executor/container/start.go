package container

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/tallycompute/tally/executor"
)

// Start implements [executor.Runtime]. A crash between any two of its lines is repaired by calling
// it again with the same task.
func (r *Runtime) Start(ctx context.Context, task executor.Task) (executor.Handle, error) {
	task = task.WithDefaults()
	if err := task.Validate(); err != nil {
		return executor.Handle{}, err
	}
	spec, err := specHash(task)
	if err != nil {
		return executor.Handle{}, err
	}
	found, err := r.findOrCreate(ctx, task, spec)
	if err != nil {
		return executor.Handle{}, err
	}
	if l := found.Config.Labels; l[labelOwner] != task.Owner || l[labelTask] != task.ID || l[labelSpec] != spec {
		return executor.Handle{}, fmt.Errorf("%w: %s", executor.ErrTaskConflict, task.ID)
	}
	h := handle(found)
	if !neverStarted(found.State) {
		return h, nil
	}
	if err := r.cli.ContainerStart(ctx, found.ID, container.StartOptions{}); err != nil {
		// If the engine tried and failed, that is how the task ended, and its status says so.
		tried, inspectErr := r.cli.ContainerInspect(ctx, found.ID)
		if inspectErr == nil && !neverStarted(tried.State) {
			return h, nil
		}
		return executor.Handle{}, EngineError("start task "+task.ID, err)
	}
	return h, nil
}

// conflictPause is how long to wait for another process that is just creating the same container:
// the engine reserves the name before it shows the container.
const conflictPause = 50 * time.Millisecond

func (r *Runtime) findOrCreate(ctx context.Context, task executor.Task, spec string) (container.InspectResponse, error) {
	name := containerName(task.Owner, task.ID)
	for {
		found, err := r.cli.ContainerInspect(ctx, name)
		if !errdefs.IsNotFound(err) {
			return found, EngineError("find task "+task.ID, err)
		}
		err = r.create(ctx, name, task, spec)
		switch {
		case err == nil:
		case errdefs.IsConflict(err):
			select {
			case <-ctx.Done():
				return found, fmt.Errorf("start task %s: %w", task.ID, ctx.Err())
			case <-time.After(conflictPause):
			}
		default:
			return found, err
		}
	}
}

// create makes the container but does not start it.
func (r *Runtime) create(ctx context.Context, name string, task executor.Task, spec string) error {
	info, err := r.Info(ctx)
	if err != nil {
		return err
	}
	for _, needed := range []string{missingSeccomp, missingMemory, missingPIDs, missingCPU} {
		if slices.Contains(info.Missing, needed) {
			return fmt.Errorf("%w: %s %s has no %s", executor.ErrNotIsolated, info.Engine, info.Version, needed)
		}
	}
	if task.Limits.CPUs > float64(info.CPUs) {
		return fmt.Errorf("%w: %v CPUs asked for, the engine has %d", executor.ErrInvalidTask, task.Limits.CPUs, info.CPUs)
	}
	volumes, err := r.imageVolumes(ctx, task.Image)
	if err != nil {
		return err
	}
	if err := r.prepareDirs(task, info.Isolation); err != nil {
		return err
	}
	_, err = r.cli.ContainerCreate(ctx, containerConfig(task, spec),
		hostConfig(task, r.config.OCIRuntime, volumes), nil, nil, name)
	return EngineError("create container for task "+task.ID, err)
}

// imageVolumes returns the paths at which the image wants a volume: a writable one, of unbounded
// size, unless something else is mounted there.
func (r *Runtime) imageVolumes(ctx context.Context, digest executor.ImageDigest) ([]string, error) {
	image, err := r.cli.ImageInspect(ctx, string(digest))
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %s", executor.ErrImageMissing, digest)
	}
	if err != nil {
		return nil, EngineError("look up image "+string(digest), err)
	}
	if image.ID != string(digest) {
		return nil, fmt.Errorf("%w: %s", executor.ErrImageMissing, digest)
	}
	if image.Config == nil {
		return nil, nil
	}
	volumes := slices.Sorted(maps.Keys(image.Config.Volumes))
	if len(volumes) > maxVolume {
		return nil, fmt.Errorf("%w: image declares %d volumes", executor.ErrInvalidTask, len(volumes))
	}
	for _, v := range volumes {
		if !path.IsAbs(v) || path.Clean(v) != v || v == "/" || strings.HasPrefix(v, "/proc") || strings.HasPrefix(v, "/sys") || strings.HasPrefix(v, "/dev") {
			return nil, fmt.Errorf("%w: image declares a volume at %q", executor.ErrInvalidTask, v)
		}
	}
	return volumes, nil
}

// prepareDirs lets the task's user write its output directory and read the socket's, and checks
// that the disk has room for what the task was promised.
func (r *Runtime) prepareDirs(task executor.Task, isolation executor.Isolation) error {
	for _, dir := range []string{task.OutputDir, task.SocketDir} {
		if dir == "" {
			continue
		}
		if info, err := os.Lstat(dir); err != nil {
			return fmt.Errorf("%w: %w", executor.ErrInvalidTask, err)
		} else if !info.IsDir() {
			return fmt.Errorf("%w: %s is not a directory", executor.ErrInvalidTask, dir)
		}
	}
	for _, in := range task.Inputs {
		if _, err := os.Stat(in.Source); err != nil {
			return fmt.Errorf("%w: input: %w", executor.ErrInvalidTask, err)
		}
	}
	if task.SocketDir != "" {
		if err := os.Chmod(task.SocketDir, 0o755); err != nil {
			return fmt.Errorf("open socket directory to the task: %w", err)
		}
	}
	if task.OutputDir == "" {
		return nil
	}
	free, err := freeBytes(task.OutputDir)
	if err != nil {
		return err
	}
	if free-r.config.DiskReserve < task.Limits.Output.Bytes {
		return fmt.Errorf("%w: %s has %d bytes free, the task may write %d and %d stay reserved",
			executor.ErrHostFull, task.OutputDir, free, task.Limits.Output.Bytes, r.config.DiskReserve)
	}
	// The directory can belong to the task only where this process is root and user numbers mean
	// the same inside and outside. Elsewhere it is open, and lies in a directory that is not.
	mode := os.FileMode(0o777)
	if os.Geteuid() == 0 && !isolation.UserNS && !isolation.Rootless {
		mode = 0o700
		if err := os.Chown(task.OutputDir, nobody, nobody); err != nil {
			return fmt.Errorf("give output directory to the task: %w", err)
		}
	}
	if err := os.Chmod(task.OutputDir, mode); err != nil {
		return fmt.Errorf("open output directory to the task: %w", err)
	}
	return nil
}

func handle(c container.InspectResponse) executor.Handle {
	return executor.Handle{
		Version: executor.HandleVersion, Runtime: Kind, ID: c.ID,
		TaskID: c.Config.Labels[labelTask], Owner: c.Config.Labels[labelOwner],
	}
}

// inspect asks for a handle's container and makes sure that it is the one meant.
func (r *Runtime) inspect(ctx context.Context, h executor.Handle) (container.InspectResponse, error) {
	if err := h.Check(Kind); err != nil {
		return container.InspectResponse{}, err
	}
	c, err := r.cli.ContainerInspect(ctx, h.ID)
	if err != nil {
		return c, EngineError("find task "+h.TaskID, err)
	}
	if !ours(c) || handle(c) != h {
		return c, fmt.Errorf("%w: container %s is not task %s of %s", executor.ErrBadHandle, h.ID, h.TaskID, h.Owner)
	}
	return c, nil
}

// ours tells our containers from those of an image that merely carries our labels.
func ours(c container.InspectResponse) bool {
	l := c.Config.Labels
	return strings.TrimPrefix(c.Name, "/") == containerName(l[labelOwner], l[labelTask])
}

// ignoreNotFound is for what may already be gone.
func ignoreNotFound(err error) error {
	if errors.Is(err, executor.ErrNotFound) {
		return nil
	}
	return err
}
