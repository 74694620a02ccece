package container

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/strslice"

	"github.com/tallycompute/tally/executor"
)

// Labels on every container. They are all that recovery needs.
const (
	labelOwner       = "tally.owner"
	labelTask        = "tally.task"
	labelSpec        = "tally.spec"         // hash of the whole task
	labelTimeout     = "tally.timeout-ms"   // from the container's start
	labelOutputDir   = "tally.output-dir"   // on the host
	labelOutputBytes = "tally.output-bytes" //
	labelOutputFiles = "tally.output-files" //
	labelLogBytes    = "tally.log-bytes"    //
)

// nobody is the user and group of every task.
const (
	nobody = 65534

	hostname  = "task"
	maxVolume = 64
)

// containerName is the same for the same owner and task, so the engine itself refuses a second one.
func containerName(owner, taskID string) string {
	sum := sha256.Sum256([]byte(owner + "\x00" + taskID))
	return "tally-" + hex.EncodeToString(sum[:12])
}

// specHash tells two tasks under one ID apart.
func specHash(t executor.Task) (string, error) {
	data, err := json.Marshal(t) // maps are written in order of their keys
	if err != nil {
		return "", fmt.Errorf("%w: %w", executor.ErrInvalidTask, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// containerConfig is the part of a container that the task's program sees.
// volumes are those that the image declares.
func containerConfig(t executor.Task, spec string) *container.Config {
	config := &container.Config{
		Hostname:    hostname,
		User:        fmt.Sprintf("%d:%d", nobody, nobody),
		Env:         environment(t),
		Image:       string(t.Image),
		WorkingDir:  t.WorkDir,
		StopSignal:  "SIGTERM",
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		Labels: map[string]string{
			labelOwner:       t.Owner,
			labelTask:        t.ID,
			labelSpec:        spec,
			labelTimeout:     strconv.FormatInt(t.Timeout.Milliseconds(), 10),
			labelOutputDir:   t.OutputDir,
			labelOutputBytes: strconv.FormatInt(t.Limits.Output.Bytes, 10),
			labelOutputFiles: strconv.FormatInt(t.Limits.Output.Files, 10),
			labelLogBytes:    strconv.FormatInt(t.Limits.LogBytes, 10),
		},
	}
	if len(t.Command) > 0 {
		config.Entrypoint = strslice.StrSlice(t.Command[:1])
		config.Cmd = strslice.StrSlice(t.Command[1:])
	}
	return config
}

// environment puts the task's entries in order. The NVIDIA runtime takes the GPUs to expose from a
// variable (NVIDIA Container Toolkit, "Environment variables"), which an image or a task could set
// to "all": here it always names exactly the task's own.
func environment(t executor.Task) []string {
	env := map[string]string{"HOME": executor.TmpTarget}
	maps.Copy(env, t.Env)
	env["NVIDIA_VISIBLE_DEVICES"] = "void"
	if len(t.GPUs) > 0 {
		env["NVIDIA_VISIBLE_DEVICES"] = strings.Join(t.GPUs, ",")
		env["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
	}
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// hostConfig is the part of a container that holds the task's program in.
func hostConfig(t executor.Task, ociRuntime string, volumes []string) *container.HostConfig {
	withInit := true
	l := t.Limits
	host := &container.HostConfig{
		NetworkMode:    "none",
		IpcMode:        "private",
		CapDrop:        strslice.StrSlice{"ALL"},
		SecurityOpt:    []string{"no-new-privileges:true"},
		ReadonlyRootfs: true,
		Init:           &withInit,
		Runtime:        ociRuntime,
		ShmSize:        l.ShmBytes,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		// Programs under /tmp may run: compiled extensions and wheels are unpacked there. It belongs
		// to the task because runc 1.1 replaces the mode by that of the image's directory.
		Tmpfs: map[string]string{executor.TmpTarget: fmt.Sprintf("rw,exec,nosuid,nodev,mode=1777,uid=%d,gid=%d,size=%d", nobody, nobody, l.TmpBytes)},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{
			"max-size": strconv.FormatInt(l.LogBytes/2, 10), "max-file": "2",
		}},
		Resources: container.Resources{
			NanoCPUs:   int64(l.CPUs * 1e9),
			Memory:     l.MemoryBytes,
			MemorySwap: l.MemoryBytes, // memory and swap together: no swap
			PidsLimit:  &l.PIDs,
			Ulimits: []*container.Ulimit{
				{Name: "nofile", Soft: l.OpenFiles, Hard: l.OpenFiles},
				{Name: "core", Soft: 0, Hard: 0},
			},
		},
		Mounts: mounts(t, volumes),
	}
	if t.OutputDir != "" {
		// The limit counts for files in memory too, so it is no lower than they may grow.
		size := max(l.Output.Bytes, l.TmpBytes, l.ShmBytes)
		host.Ulimits = append(host.Ulimits, &container.Ulimit{Name: "fsize", Soft: size, Hard: size})
	}
	if len(t.GPUs) > 0 {
		host.DeviceRequests = []container.DeviceRequest{{
			Driver: "nvidia", DeviceIDs: t.GPUs, Capabilities: [][]string{{"gpu"}},
		}}
	}
	return host
}

func mounts(t executor.Task, volumes []string) []mount.Mount {
	bind := func(source, target string, readOnly bool) mount.Mount {
		return mount.Mount{
			Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly,
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate, NonRecursive: true},
		}
	}
	var list []mount.Mount
	for _, in := range t.Inputs {
		list = append(list, bind(in.Source, in.Target, true))
	}
	if t.OutputDir != "" {
		list = append(list, bind(t.OutputDir, t.OutputTarget, false))
	}
	if t.SocketDir != "" {
		list = append(list, bind(t.SocketDir, executor.SocketTarget, true))
	}
	taken := make(map[string]bool, len(list))
	for _, m := range list {
		taken[m.Target] = true
	}
	for _, v := range volumes {
		if taken[v] || v == executor.TmpTarget {
			continue
		}
		list = append(list, mount.Mount{
			Type: mount.TypeTmpfs, Target: v,
			TmpfsOptions: &mount.TmpfsOptions{SizeBytes: t.Limits.TmpBytes, Mode: 0o1777},
		})
	}
	return list
}
