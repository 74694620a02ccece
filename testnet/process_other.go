//go:build !linux

package testnet

import (
	"os"
	"syscall"
)

func keepInherited() {}

func ownGroup() *syscall.SysProcAttr { return nil }

func killGroup(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func terminate(p *os.Process) error { return p.Signal(os.Interrupt) }

func killLeft(int) {}
