//go:build !windows

package wallet

import (
	"errors"
	"io/fs"
	"os"
)

// exposed says whether anyone but the owner may touch a file.
func exposed(m fs.FileMode) bool { return m.Perm()&0o077 != 0 }

// syncDir puts a directory's entries on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
