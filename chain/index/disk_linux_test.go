//go:build rollback

package index

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const diskVariable = "TALLY_INDEX_TEST_DISK"

// A disk that fills up while blocks are written: the index says so, keeps what it has, and goes on when there is room.
// The disk is a tmpfs in a child's own mount namespace.
func TestRollbackOnFullDisk(t *testing.T) {
	if dir := os.Getenv(diskVariable); dir != "" {
		fillDisk(t, dir)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), diskVariable+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		child.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := child.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func fillDisk(t *testing.T, dir string) {
	mount := func(flags uintptr, size string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
			t.Fatalf("mounting a small disk, for which this test needs to be root or to have user namespaces: %v", err)
		}
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	mount(0, "400k")
	defer syscall.Unmount(dir, 0)
	blocks := long()
	path := filepath.Join(dir, "index.db")
	ix, err := Open(t.Context(), path, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	ix.Register("observe/1", observe)
	for round := range 6 {
		n := int(ix.Tip().seq)
		for err = nil; err == nil; n++ {
			err = ix.apply(t.Context(), blocks[n:n+1], blocks[n].Point)
		}
		n--
		if !errors.Is(err, ErrFull) || int(ix.Tip().seq) != n {
			t.Fatalf("block %d: %v, tip %v", n, err, ix.Tip())
		}
		t.Logf("full at block %d: %v", n, err)
		if got, want := dump(t, ix), fresh(t, testConfig(), blocks[:n]); got != want {
			t.Fatalf("on a full disk:\n%s\na fresh index:\n%s", got, want)
		}
		if round%2 == 0 { // what is there must be so for a new process, too
			if err := ix.Close(); err != nil {
				t.Fatal(err)
			}
			mount(syscall.MS_REMOUNT, fmt.Sprintf("%dk", 400*(round+2)))
			ix = openTest(t, path, testConfig())
			if got, want := dump(t, ix), fresh(t, testConfig(), blocks[:n]); got != want {
				t.Fatalf("opened again:\n%s\na fresh index:\n%s", got, want)
			}
		} else {
			mount(syscall.MS_REMOUNT, fmt.Sprintf("%dk", 400*(round+2)))
		}
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
}
