package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/tallycompute/tally/executor"
)

// Kind is the Runtime field of handles this package makes.
const Kind = "docker"

// Config says how to reach the engine and what to keep for the host. The zero value is good.
type Config struct {
	// Host of the engine, like "unix:///var/run/docker.sock"; "" means $DOCKER_HOST, else the default.
	Host string
	// OCIRuntime to run containers with, like "runsc"; "" means the engine's default.
	OCIRuntime string
	// DiskReserve is how many bytes of the outputs' disk are never given to tasks; 0 means 1 GiB.
	DiskReserve int64
}

const defaultDiskReserve = 1 << 30

// Runtime is an [executor.Runtime] and [executor.Images] on a Docker-compatible engine.
// It holds connections and nothing else; close it when done.
type Runtime struct {
	cli    *client.Client
	config Config
}

var (
	_ executor.Runtime = (*Runtime)(nil)
	_ executor.Images  = (*Runtime)(nil)
)

// New prepares a Runtime. It does not talk to the engine yet.
func New(config Config) (*Runtime, error) {
	cli, err := Dial(config.Host)
	if err != nil {
		return nil, err
	}
	if config.DiskReserve == 0 {
		config.DiskReserve = defaultDiskReserve
	}
	return &Runtime{cli: cli, config: config}, nil
}

// Close ends the connections to the engine. Tasks run on.
func (r *Runtime) Close() error { return r.cli.Close() }

// Dial makes a client that agrees on the API version with the engine at its first request.
// An empty host means $DOCKER_HOST, else the default.
func Dial(host string) (*client.Client, error) {
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	cli, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", executor.ErrEngineUnavailable, err)
	}
	return cli, nil
}

// EngineError gives an error of the engine's client its kind, and for a missing engine the sentence
// that says what to type. A nil err stays nil.
func EngineError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "permission denied while trying to connect"):
		return fmt.Errorf("%s: %w: its socket may not be opened by this user; type: sudo usermod -aG docker $USER, then log in again (%w)",
			doing, executor.ErrEngineUnavailable, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s: %w: it hung up (%w)", doing, executor.ErrEngineUnavailable, err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%s: %w: nothing answers; on Debian type: sudo apt-get install -y docker.io && sudo service docker start (%w)",
			doing, executor.ErrEngineUnavailable, err)
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", doing, executor.ErrNotFound, err)
	case errdefs.IsInvalidArgument(err):
		return fmt.Errorf("%s: %w: %w", doing, executor.ErrInvalidTask, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// Info implements [executor.Runtime].
func (r *Runtime) Info(ctx context.Context) (executor.Info, error) {
	info, err := r.cli.Info(ctx)
	if err != nil {
		return executor.Info{}, EngineError("ask the engine what it is", err)
	}
	return describe(info, r.cli.ClientVersion(), r.config.OCIRuntime), nil
}

// describe reads an engine's answer. It reports a protection only where the engine names it.
func describe(info system.Info, apiVersion, ociRuntime string) executor.Info {
	if ociRuntime == "" {
		ociRuntime = info.DefaultRuntime
	}
	out := executor.Info{
		Engine: Kind, Version: info.ServerVersion, APIVersion: apiVersion,
		CPUs: info.NCPU, MemoryBytes: info.MemTotal,
		Isolation: executor.Isolation{
			Runtime:    ociRuntime,
			CgroupV2:   info.CgroupVersion == "2",
			UserKernel: ociRuntime == "runsc" || strings.HasPrefix(ociRuntime, "kata"),
		},
	}
	_, out.GPUs = info.Runtimes["nvidia"]
	for _, option := range info.SecurityOptions {
		name, rest, _ := strings.Cut(option, ",")
		switch name {
		case "name=seccomp":
			out.Isolation.Seccomp = !strings.Contains(rest, "unconfined")
		case "name=apparmor":
			out.Isolation.AppArmor = true
		case "name=selinux":
			out.Isolation.SELinux = true
		case "name=userns":
			out.Isolation.UserNS = true
		case "name=rootless":
			out.Isolation.Rootless = true
		}
	}
	for _, limit := range []struct {
		holds bool
		name  string
	}{
		{out.Isolation.Seccomp || out.Isolation.UserKernel, missingSeccomp},
		{info.MemoryLimit, missingMemory},
		{info.PidsLimit, missingPIDs},
		{info.CPUCfsQuota, missingCPU},
		{info.SwapLimit, "swap limit"},
	} {
		if !limit.holds {
			out.Missing = append(out.Missing, limit.name)
		}
	}
	return out
}

// Names of limits in [executor.Info]'s Missing without which no task is started.
const (
	missingSeccomp = "system call filter"
	missingMemory  = "memory limit"
	missingPIDs    = "process limit"
	missingCPU     = "CPU limit"
)

// ImageID implements [executor.Images].
func (r *Runtime) ImageID(ctx context.Context, name string) (executor.ImageDigest, error) {
	image, err := r.cli.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("%w: %s", executor.ErrImageMissing, name)
	}
	if err != nil {
		return "", EngineError("look up image "+name, err)
	}
	digest := executor.ImageDigest(image.ID)
	if err := digest.Validate(); err != nil {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	return digest, nil
}

// HasImage implements [executor.Images].
func (r *Runtime) HasImage(ctx context.Context, image executor.ImageDigest) (bool, error) {
	if err := image.Validate(); err != nil {
		return false, err
	}
	_, err := r.ImageID(ctx, string(image))
	if errors.Is(err, executor.ErrImageMissing) {
		return false, nil
	}
	return err == nil, err
}
