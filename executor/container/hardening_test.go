package container_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/executor/executortest"
	"github.com/tallycompute/tally/executor/executortest/probe"
)

// trial runs one task of the probe and returns how it ended and what it printed.
func trial(t *testing.T, config container.Config, digest executor.ImageDigest, change func(*executor.Task), command ...string) (executor.Status, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	rt := open(t, config)
	task := executor.Task{
		ID: strings.ToLower(t.Name()), Owner: "hardening-" + rand.Text(), Image: digest,
		Command: append([]string{executortest.ProbeCommand}, command...),
		Limits:  executor.Limits{CPUs: 1, MemoryBytes: 128 << 20, TmpBytes: 8 << 20, ShmBytes: 4 << 20, PIDs: 64, OpenFiles: 256},
		Timeout: time.Minute,
	}
	if change != nil {
		change(&task)
	}
	h, err := rt.Start(ctx, task)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Remove(context.Background(), h); err != nil {
			t.Error(err)
		}
	})
	status, err := rt.Wait(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	if err := rt.Logs(ctx, h, false, &logs); err != nil {
		t.Fatal(err)
	}
	return status, logs.String()
}

func TestSandbox(t *testing.T) {
	// The image asks for what it must not get: root, a volume, every GPU, an entry point in the way.
	digest := probeImage(t, `USER 0`, `VOLUME /volume`, `ENV NVIDIA_VISIBLE_DEVICES=all`, `ENTRYPOINT ["/nothing"]`,
		`LABEL tally.owner=somebody-else`, `HEALTHCHECK --interval=1s CMD ["/nothing"]`)
	in, out, sock := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Chmod(in, 0o777); err != nil {
		t.Fatal(err)
	}
	status, logs := trial(t, container.Config{}, digest, func(task *executor.Task) {
		task.Inputs = []executor.Mount{{Source: in, Target: "/in"}}
		task.OutputDir, task.SocketDir = out, sock
		task.Limits.Output.Bytes = 32 << 20
	}, "report")
	var r probe.Report
	if err := json.Unmarshal([]byte(logs), &r); err != nil || !status.OK() {
		t.Fatalf("%v: %+v %s", err, status, logs)
	}
	expect := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v; want %v", what, got, want)
		}
	}
	expect("user", r.UID, 65534)
	expect("group", r.GID, 65534)
	expect("hostname", r.Hostname, "task")
	expect("interfaces", r.Interfaces, []string{"lo"})
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		expect(set, strings.Trim(r.Status[set], "0"), "")
	}
	expect("no new privileges", r.Status["NoNewPrivs"], 1)
	expect("seccomp mode", r.Status["Seccomp"], 2) // 2: filter, proc(5)
	expect("writable", r.Writable, map[string]bool{
		"/": false, "/etc": false, "/in": false, "/run/tally": false, "/proc/sys/kernel": false, "/sys/fs/cgroup": false,
		"/out": true, "/tmp": true, "/dev/shm": true, "/volume": true,
	})
	expect("tmpfs sizes", r.Tmpfs, map[string]int64{"/tmp": 8 << 20, "/dev/shm": 4 << 20, "/volume": 8 << 20})
	for name, text := range map[string]string{"mount": r.MountError, "unshare": r.UnshareError, "setuid": r.SetuidError, "dial": r.DialError} {
		if text == "" {
			t.Errorf("%s worked", name)
		}
	}
	limits := map[string]uint64{}
	for _, l := range r.Ulimits {
		limits[l.Name] = l.Hard
	}
	expect("ulimits", limits, map[string]uint64{"nofile": 256, "fsize": 32 << 20, "core": 0})
	for _, d := range r.Devices {
		if !slices.Contains([]string{"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}, d) {
			t.Errorf("device %s", d)
		}
	}
	expect("visible GPUs", r.VisibleGPU, "void")
	checkMounts(t, r)
	checkCgroup(t, r)
}

// checkCgroup wants one CPU, and no swap beyond 128 MiB, of whichever version of control groups there is.
func checkCgroup(t *testing.T, r probe.Report) {
	t.Helper()
	v1 := map[string]string{"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000", "memory.memsw.limit_in_bytes": "134217728"}
	v2 := map[string]string{"cpu.max": "100000 100000", "memory.swap.max": "0"}
	if !maps.Equal(r.Cgroup, v1) && !maps.Equal(r.Cgroup, v2) {
		t.Errorf("control group %v; want %v or %v", r.Cgroup, v1, v2)
	}
}

// checkMounts compares the file systems of the host that a task sees with the list of those meant.
func checkMounts(t *testing.T, r probe.Report) {
	t.Helper()
	allowed := []string{"/in", "/out", "/run/tally", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/dev/init", "/sbin/docker-init"}
	for _, m := range r.Mounts {
		options := strings.Split(m.Options, ",")
		switch {
		case m.Target == "/" || m.Target == "/in" || m.Target == "/run/tally":
			if !slices.Contains(options, "ro") {
				t.Errorf("%s is mounted %s", m.Target, m.Options)
			}
		case m.Target == "/tmp":
			if !slices.Contains(options, "nosuid") || !slices.Contains(options, "nodev") || slices.Contains(options, "noexec") {
				t.Errorf("/tmp is mounted %s", m.Options)
			}
		}
		if strings.HasPrefix(m.Source, "/dev/") && !slices.Contains(allowed, m.Target) {
			t.Errorf("unexpected mount of the host: %+v", m)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	digest := probeImage(t)
	status, logs := trial(t, container.Config{}, digest, nil, "allocate", fmt.Sprint(512<<20))
	if status.ExitCode != 137 || !status.OOMKilled || status.Reason != executor.ReasonOutOfMemory {
		t.Errorf("512 MiB in 128 MiB: %+v %s", status, logs)
	}
	status, logs = trial(t, container.Config{}, digest, func(task *executor.Task) {
		task.Limits.MemoryBytes = 1 << 30
	}, "allocate", fmt.Sprint(512<<20))
	if !status.OK() {
		t.Errorf("512 MiB in 1 GiB: %+v %s", status, logs)
	}
}

func TestProcessLimit(t *testing.T) {
	digest := probeImage(t)
	if status, logs := trial(t, container.Config{}, digest, nil, "threads", "200"); status.OK() {
		t.Errorf("200 threads of 64: %+v %s", status, logs)
	}
	if status, logs := trial(t, container.Config{}, digest, func(task *executor.Task) {
		task.Limits.PIDs = 400
	}, "threads", "200"); !status.OK() {
		t.Errorf("200 threads of 400: %+v %s", status, logs)
	}
}

func TestTmpIsBounded(t *testing.T) {
	digest := probeImage(t)
	if status, logs := trial(t, container.Config{}, digest, nil, "write", "/tmp/x", fmt.Sprint(16<<20)); status.OK() || !strings.Contains(logs, "no space") {
		t.Errorf("16 MiB in 8 MiB of /tmp: %+v %s", status, logs)
	}
	if status, logs := trial(t, container.Config{}, digest, nil, "write", "/tmp/x", fmt.Sprint(4<<20)); !status.OK() {
		t.Errorf("4 MiB in 8 MiB of /tmp: %+v %s", status, logs)
	}
}

func TestOneFileIsBoundedByTheKernel(t *testing.T) {
	out := t.TempDir()
	status, logs := trial(t, container.Config{}, probeImage(t), func(task *executor.Task) {
		task.OutputDir, task.Limits.Output.Bytes = out, 8<<20
	}, "write", "/out/x", fmt.Sprint(64<<20))
	info, err := os.Stat(filepath.Join(out, "x"))
	if err != nil || status.OK() || info.Size() > 8<<20 {
		t.Errorf("64 MiB in 8 MiB of output: %+v %s (%v, %v)", status, logs, info, err)
	}
}

// A deleted file that is still open cannot be measured; the reserve of free disk catches it.
func TestHiddenOutputMeetsTheReserve(t *testing.T) {
	out := t.TempDir()
	free := container.FreeBytes(t, out)
	const room = 512 << 20
	status, logs := trial(t, container.Config{DiskReserve: free - room}, probeImage(t), func(task *executor.Task) {
		task.OutputDir = out
		task.Limits.Output.Bytes, task.Limits.TmpBytes = 1<<20, 8<<30 // the latter lifts RLIMIT_FSIZE
		task.Limits.MemoryBytes = 1 << 30
	}, "hoard", "/out")
	if status.Reason != executor.ReasonHostFull {
		t.Errorf("hidden file: %+v %s", status, logs)
	}
}

func TestFullDiskRefusesTasks(t *testing.T) {
	rt := open(t, container.Config{DiskReserve: 1 << 60})
	_, err := rt.Start(context.Background(), executor.Task{
		ID: "full", Owner: "hardening", Image: probeImage(t), OutputDir: t.TempDir(),
		Limits: executor.Limits{CPUs: 1, MemoryBytes: 128 << 20}, Timeout: time.Minute,
	})
	if err == nil || !strings.Contains(err.Error(), executor.ErrHostFull.Error()) {
		t.Errorf("started with %v", err)
	}
}

func TestSocketReachesTheAgent(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("hello task"))
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-served })
	if err := os.Chmod(filepath.Join(dir, "agent.sock"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, logs := trial(t, container.Config{}, probeImage(t), func(task *executor.Task) { task.SocketDir = dir },
		"dial", executor.SocketTarget+"/agent.sock")
	if !status.OK() || strings.TrimSpace(logs) != "hello task" {
		t.Errorf("%+v %q", status, logs)
	}
}
