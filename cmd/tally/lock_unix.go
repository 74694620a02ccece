//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errLocked is a data directory that another process works in.
var errLocked = errors.New("data directory is in use")

// lockHome takes the participant's data directory for this process. The lock ends with the process, however it ends.
func lockHome(home string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", home, errLocked), f.Close())
	}
	return f, nil
}

// lockFile takes a file for this process, or fails at once.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// shareFile takes a file together with whoever else shares it, or fails at once: one process has it for itself.
func shareFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) }

// removeUnlocked removes a file that nobody has locked. Nobody can lock it meanwhile.
func removeUnlocked(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if shareFile(f) == nil {
		err = os.Remove(path)
	}
	return errors.Join(err, f.Close())
}
