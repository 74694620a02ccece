package collective

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// An arena is memory shared with a container: a memfd sealed against resizing,
// since a shared file that the container truncates would kill the agent with
// SIGBUS at its next touch (memfd_create(2), fcntl(2) F_ADD_SEALS).
type arena struct {
	file *os.File
	mem  []byte
}

func newArena(bytes int) (*arena, error) {
	fd, err := unix.MemfdCreate("tally-arena", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("creating the arena: %w", err)
	}
	f := os.NewFile(uintptr(fd), "tally-arena")
	if err := f.Truncate(int64(bytes)); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("sizing the arena to %d bytes: %w", bytes, err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("sealing the arena: %w", err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("mapping the arena: %w", err)
	}
	return &arena{file: f, mem: mem}, nil
}

func (a *arena) close() error {
	err := unix.Munmap(a.mem)
	a.mem = nil
	if e := a.file.Close(); err == nil {
		err = e
	}
	return err
}
