package testnet

import (
	"os"
	"syscall"
)

// ownGroup puts a child into a process group of its own and has the kernel kill it when its parent dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a process and all it started.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
