//go:build unix

package bundle_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tallycompute/tally/executor/bundle"
)

// Pipes and sockets that a program left in its output directory are refused; opening the pipe would wait for ever.
func TestPackRefusesSpecialFiles(t *testing.T) {
	for name, mode := range map[string]uint32{"pipe": syscall.S_IFIFO, "socket": syscall.S_IFSOCK} {
		dir := t.TempDir()
		if err := syscall.Mknod(filepath.Join(dir, "x"), mode|0o644, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Pack(t.Context(), dir, nil, bundle.PackOptions{}); !errors.Is(err, bundle.ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
