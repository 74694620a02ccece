//go:build linux || darwin

package container

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// freeBytes returns how much an unprivileged user may still write on the disk that holds dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("ask free space of %s: %w", dir, err)
	}
	return int64(min(st.Bavail, math.MaxInt64/uint64(st.Bsize)) * uint64(st.Bsize)), nil
}
