//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/tallycompute/tally/executor/executortest/probe"
)

// cgroupFiles hold limits, first in version 1 of control groups, then in version 2.
var cgroupFiles = []string{
	"cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "memory/memory.memsw.limit_in_bytes",
	"cpu.max", "memory.swap.max",
}

// report looks at the process's own surroundings and tries what must not work.
func report() probe.Report {
	r := probe.Report{
		UID: os.Getuid(), GID: os.Getgid(), Status: map[string]string{}, Tmpfs: map[string]int64{}, Writable: map[string]bool{},
	}
	r.Hostname, _ = os.Hostname()
	r.Groups, _ = os.Getgroups()
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		r.Interfaces = append(r.Interfaces, i.Name)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			r.Status[name] = strings.TrimSpace(value)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 3 {
			r.Mounts = append(r.Mounts, probe.ReportMount{Source: f[0], Target: f[1], Type: f[2], Options: f[3]})
		}
	}
	for _, dir := range []string{"/tmp", "/dev/shm", "/volume"} {
		var st syscall.Statfs_t
		if syscall.Statfs(dir, &st) == nil {
			r.Tmpfs[dir] = int64(st.Blocks) * st.Bsize
		}
	}
	for _, dir := range []string{"/", "/etc", "/in", "/out", "/tmp", "/dev/shm", "/run/tally", "/volume", "/proc/sys/kernel", "/sys/fs/cgroup"} {
		r.Writable[dir] = os.WriteFile(dir+"/tally-probe", nil, 0o600) == nil
	}
	for name, which := range map[string]int{"nofile": syscall.RLIMIT_NOFILE, "fsize": syscall.RLIMIT_FSIZE, "core": syscall.RLIMIT_CORE} {
		var limit syscall.Rlimit
		if syscall.Getrlimit(which, &limit) == nil {
			r.Ulimits = append(r.Ulimits, probe.ReportLimit{Name: name, Hard: limit.Max})
		}
	}
	devices, _ := os.ReadDir("/dev")
	for _, d := range devices {
		r.Devices = append(r.Devices, d.Name())
	}
	r.VisibleGPU = os.Getenv("NVIDIA_VISIBLE_DEVICES")
	r.Cgroup = map[string]string{}
	for _, file := range cgroupFiles {
		if value, err := os.ReadFile("/sys/fs/cgroup/" + file); err == nil {
			r.Cgroup[path.Base(file)] = strings.TrimSpace(string(value))
		}
	}
	r.MountError = errorText(syscall.Mount("none", "/tmp", "tmpfs", 0, ""))
	r.UnshareError = errorText(syscall.Unshare(syscall.CLONE_NEWUSER))
	r.SetuidError = errorText(syscall.Setuid(0))
	_, err := net.DialTimeout("tcp", "192.0.2.1:80", time.Second)
	r.DialError = errorText(err)
	return r
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// dial says hello through a unix socket and prints the answer.
func dial(path string) int {
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	answer := make([]byte, 16)
	n, _ := conn.Read(answer)
	fmt.Println(string(answer[:n]))
	return 0
}
