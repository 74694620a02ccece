package testnet

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepInherited keeps what this process inherited open, such as a pipe of the shell's, from its children: they would
// have it in common. Kernels before 5.11 cannot; then it stays open, unused.
func keepInherited() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }

// ownGroup puts a child into a process group of its own and has the kernel kill it when its parent dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a process and all it started.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// killLeft kills what an ended process left in its group; mostly there is nobody.
func killLeft(pid int) { _ = killGroup(pid) }
