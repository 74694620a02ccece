package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// Entry is one file of a bundle.
type Entry struct {
	Path   string // slash-separated, relative
	Exec   bool   // may be executed
	Size   uint64 // bytes
	Chunks []Hash // of each ChunkSize bytes, the last one may be shorter
}

// Manifest lists a bundle's files in ascending byte order of their paths. Pack and Decode make valid ones.
type Manifest struct {
	Entries []Entry
}

const (
	magic    = "tally-bundle-v1"
	flagExec = 1
	hashSize = len(Hash{})
)

// Size is the number of bytes of all files.
func (m Manifest) Size() uint64 {
	var n uint64
	for _, e := range m.Entries {
		n += e.Size
	}
	return n
}

func chunkCount(size uint64) uint64 {
	n := size / ChunkSize
	if size%ChunkSize != 0 {
		n++
	}
	return n
}

// chunkLen is the length of an entry's i-th chunk.
func (e Entry) chunkLen(i int) int {
	return int(min(e.Size-uint64(i)*ChunkSize, ChunkSize))
}

// appendTo appends the entry's encoding, which is also what its leaf hashes.
func (e Entry) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.Path)))
	b = append(b, e.Path...)
	var flags byte
	if e.Exec {
		flags = flagExec
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint64(b, e.Size)
	for _, h := range e.Chunks {
		b = append(b, h[:]...)
	}
	return b
}

// Encode returns the manifest's one encoding.
func (m Manifest) Encode() []byte {
	b := []byte(magic)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Entries)))
	for _, e := range m.Entries {
		b = e.appendTo(b)
	}
	return b
}

// Decode reads an encoded manifest from a peer. What it returns is safe to unpack and within the limits.
func Decode(b []byte, limits Limits) (Manifest, error) {
	limits = limits.withDefaults()
	if len(b) > limits.Manifest {
		return Manifest{}, fmt.Errorf("%w: manifest of %d bytes, at most %d", ErrTooLarge, len(b), limits.Manifest)
	}
	d := decoder{rest: b}
	if string(d.take(len(magic))) != magic {
		return Manifest{}, fmt.Errorf("%w: not a manifest", ErrMalformed)
	}
	count := int(d.uint32())
	if count > limits.Entries {
		return Manifest{}, fmt.Errorf("%w: %d files, at most %d", ErrTooLarge, count, limits.Entries)
	}
	var m Manifest
	for i := 0; i < count && !d.short; i++ {
		m.Entries = append(m.Entries, d.entry())
	}
	switch {
	case d.short:
		return Manifest{}, fmt.Errorf("%w: manifest ends early", ErrMalformed)
	case d.flags:
		return Manifest{}, fmt.Errorf("%w: unknown flags", ErrMalformed)
	case len(d.rest) > 0:
		return Manifest{}, fmt.Errorf("%w: %d bytes after the manifest", ErrMalformed, len(d.rest))
	}
	if err := m.check(limits); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// check refuses what must not be unpacked: the paths, their order, the sizes.
func (m Manifest) check(limits Limits) error {
	if len(m.Entries) > limits.Entries {
		return fmt.Errorf("%w: %d files, at most %d", ErrTooLarge, len(m.Entries), limits.Entries)
	}
	var total uint64
	paths := newPathSet(limits.Entries)
	for i, e := range m.Entries {
		if i > 0 && e.Path <= m.Entries[i-1].Path {
			return fmt.Errorf("%w: paths %q and %q are not in ascending order", ErrMalformed, m.Entries[i-1].Path, e.Path)
		}
		if err := paths.add(e.Path); err != nil {
			return err
		}
		if e.Size > limits.Size || total > limits.Size-e.Size {
			return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limits.Size)
		}
		total += e.Size
		if uint64(len(e.Chunks)) != chunkCount(e.Size) {
			return fmt.Errorf("%w: %q has %d bytes and %d chunks", ErrMalformed, e.Path, e.Size, len(e.Chunks))
		}
	}
	return nil
}

type decoder struct {
	rest  []byte
	short bool // ended early
	flags bool // an unknown flag was seen
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.short, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) entry() Entry {
	var e Entry
	if b := d.take(2); b != nil {
		e.Path = string(d.take(int(binary.BigEndian.Uint16(b))))
	}
	if b := d.take(1); b != nil {
		e.Exec = b[0] == flagExec
		d.flags = d.flags || b[0]&^flagExec != 0
	}
	if b := d.take(8); b != nil {
		e.Size = binary.BigEndian.Uint64(b)
	}
	n := chunkCount(e.Size)
	if n > math.MaxInt/uint64(hashSize) || int(n)*hashSize > len(d.rest) {
		d.short = true
		return e
	}
	if n > 0 {
		e.Chunks = make([]Hash, n)
		for r, i := bytes.NewReader(d.take(int(n)*hashSize)), 0; i < int(n); i++ {
			_, _ = r.Read(e.Chunks[i][:]) // never short: n hashes were taken
		}
	}
	return e
}
