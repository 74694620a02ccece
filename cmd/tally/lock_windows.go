package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
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
func lockFile(f *os.File) error { return lockAs(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// shareFile takes a file together with whoever else shares it, or fails at once: one process has it for itself.
func shareFile(f *os.File) error { return lockAs(f, 0) }

func lockAs(f *os.File, how uint32) error {
	const whole = 1
	return windows.LockFileEx(windows.Handle(f.Fd()), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, whole, 0, &windows.Overlapped{})
}

// removeUnlocked removes a file that nobody has open: Windows sees to that.
func removeUnlocked(path string) error {
	if err := os.Remove(path); !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return err
	}
	return nil
}
