package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Owners of payments
//
// A process that pays is named after a file in the data directory that it keeps locked, until it ends, however it ends.
// Who asks whether an owner lives locks the file too, but shared, so that nobody who asks is taken for the owner. Files
// that nobody has locked are removed by whoever comes next.

// owners are the names of such files.
const owners = "paying-*"

// nameTries is how often a new file may be swept away before it is locked. Others sweep once each as they begin to pay,
// so that many in a row do not happen; it ends where no file can be locked at all.
const nameTries = 1000

// name is this process as an owner of payments.
func (c *coffer) name(a *app) (string, error) {
	var err error
	for tries := 0; c.locked == nil; tries++ {
		if tries == nameTries {
			return "", err
		}
		var f *os.File
		if f, err = os.CreateTemp(a.home, owners); err != nil {
			return "", err
		}
		if err = lockFile(f); err == nil && stands(f) {
			c.locked = f
		} else { // another process was about to remove it
			err = errors.Join(fmt.Errorf("%s: cannot be kept", f.Name()), err, f.Close())
			_ = os.Remove(f.Name())
		}
	}
	return filepath.Base(c.locked.Name()), nil
}

// stands says whether an open file is still the one of its name.
func stands(f *os.File) bool {
	open, err := f.Stat()
	named, err2 := os.Stat(f.Name())
	return err == nil && err2 == nil && os.SameFile(open, named)
}

func (a *app) lives(owner string) bool {
	f, err := os.OpenFile(a.path(owner), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	err = shareFile(f)
	if e := f.Close(); e != nil {
		a.logger.Debug("owner of a payment", "error", e)
	}
	return err != nil
}

// sweep removes what processes that were killed have left of their names.
func (a *app) sweep() {
	all, err := fs.Glob(os.DirFS(a.home), owners)
	for _, name := range all {
		err = errors.Join(err, removeUnlocked(a.path(name)))
	}
	if err != nil {
		a.logger.Debug("owners of payments", "error", err)
	}
}
