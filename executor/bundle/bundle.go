package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Sentinel kinds of this package's errors.
var (
	// ErrUnsafe is a tree or manifest with something that must not be packed or unpacked: a link, a device, a path that leads
	// out of the directory, two paths that are one on some file system.
	ErrUnsafe = errors.New("unsafe bundle")
	// ErrTooLarge is a bundle beyond a limit.
	ErrTooLarge = errors.New("bundle too large")
	// ErrCorrupt is content that does not have the hash it should.
	ErrCorrupt = errors.New("corrupt bundle")
	// ErrMalformed is a manifest or message that does not have the form it should.
	ErrMalformed = errors.New("malformed bundle")
	// ErrDenied is a peer that does not grant this host the bundle.
	ErrDenied = errors.New("bundle denied")
	// ErrMissing is a bundle, or a part of one, that is not in the store asked.
	ErrMissing = errors.New("bundle missing")
	// ErrTransfer is a connection that failed or made no progress; trying again resumes.
	ErrTransfer = errors.New("bundle transfer")
)

// ChunkSize is the size in bytes of every chunk of a file but its last.
const ChunkSize = 1 << 20

// Hash is the SHA-256 hash of a chunk.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Root names a bundle by its content.
type Root [32]byte

func (r Root) String() string { return hex.EncodeToString(r[:]) }

// MarshalText writes lower-case hex.
func (r Root) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads 64 hex digits.
func (r *Root) UnmarshalText(b []byte) error {
	if len(b) != 2*len(r) {
		return fmt.Errorf("%w: root of %d characters, want %d", ErrMalformed, len(b), 2*len(r))
	}
	if _, err := hex.Decode(r[:], b); err != nil {
		return fmt.Errorf("%w: root: %w", ErrMalformed, err)
	}
	return nil
}

// Limits bound a bundle. A zero field takes the default named beside it.
type Limits struct {
	Entries  int    // files (100,000)
	Size     uint64 // bytes of all files (256 GiB)
	Manifest int    // bytes of the encoded manifest (64 MiB)
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Size == 0 {
		l.Size = 256 << 30
	}
	if l.Manifest == 0 {
		l.Manifest = 64 << 20
	}
	return l
}

// Progress is told how many bytes of how many are done. It is called from one goroutine at a time.
type Progress func(done, total uint64)
