package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/tallycompute/tally/executor"
)

// copyOutput copies one plain file that a task left into a directory of ours.
func copyOutput(from, to string, o executor.OutputFile) error {
	in, err := executor.OpenOutput(from, o)
	if err != nil {
		return err
	}
	path := filepath.Join(to, filepath.FromSlash(o.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return errors.Join(err, in.Close())
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, in.Close(), out.Close())
}
