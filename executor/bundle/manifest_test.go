package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func file(path string, size uint64) Entry {
	e := Entry{Path: path, Size: size}
	for range chunkCount(size) {
		e.Chunks = append(e.Chunks, Hash{1})
	}
	return e
}

func TestDecodeRefuses(t *testing.T) {
	encode := func(es ...Entry) []byte { return Manifest{Entries: es}.Encode() }
	good := encode(file("a", 1), file("b/c", 2))
	if _, err := Decode(good, Limits{}); err != nil {
		t.Fatal(err)
	}
	flags := bytes.Clone(good)
	flags[len(magic)+4+2+1] = 2
	huge := encode(Entry{Path: "a"})
	binary.BigEndian.PutUint64(huge[len(huge)-8:], 1<<63)
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"empty input":         {nil, ErrMalformed},
		"other magic":         {append([]byte("x"), good...), ErrMalformed},
		"truncated":           {good[:len(good)-1], ErrMalformed},
		"trailing byte":       {append(bytes.Clone(good), 0), ErrMalformed},
		"unknown flag":        {flags, ErrMalformed},
		"size without chunks": {huge, ErrMalformed},
		"parent":              {encode(file("../a", 1)), ErrUnsafe},
		"parent inside":       {encode(file("a/../../b", 1)), ErrUnsafe},
		"absolute":            {encode(file("/etc/passwd", 1)), ErrUnsafe},
		"dot":                 {encode(file(".", 1)), ErrUnsafe},
		"empty path":          {encode(file("", 1)), ErrUnsafe},
		"empty name":          {encode(file("a//b", 1)), ErrUnsafe},
		"trailing slash":      {encode(file("a/", 1)), ErrUnsafe},
		"backslash":           {encode(file(`..\a`, 1)), ErrUnsafe},
		"nul":                 {encode(file("a\x00b", 1)), ErrUnsafe},
		"long name":           {encode(file(string(bytes.Repeat([]byte("n"), 256)), 1)), ErrUnsafe},
		"unsorted":            {encode(file("b", 1), file("a", 1)), ErrMalformed},
		"twice":               {encode(file("a", 1), file("a", 1)), ErrMalformed},
		"case":                {encode(file("A", 1), file("a", 1)), ErrUnsafe},
		"case of a directory": {encode(file("A/x", 1), file("a/y", 1)), ErrUnsafe},
		"file and directory":  {encode(file("a", 1), file("a/b", 1)), ErrUnsafe},
		"too large":           {encode(file("a", 600), file("b", 600)), ErrTooLarge},
		"too many":            {encode(file("a", 0), file("b", 0), file("c", 0), file("d", 0)), ErrTooLarge},
		"too long":            {bytes.Repeat([]byte("x"), 2000), ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(c.raw, Limits{Entries: 3, Size: 1000, Manifest: 1000}); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	// Sizes whose sum overflows.
	m := Manifest{Entries: []Entry{{Path: "a", Size: 1 << 63}, {Path: "b", Size: 1 << 63}}}
	if err := m.check(Limits{Entries: 9, Size: 1<<64 - 1}); err == nil {
		t.Fatal("an overflowing sum passed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(Manifest{}.Encode())
	f.Add(Manifest{Entries: []Entry{file("a", 1), file("b/c", 2*ChunkSize+1)}}.Encode())
	f.Add(Manifest{Entries: []Entry{{Path: "run.sh", Exec: true}}}.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Decode(raw, Limits{Entries: 1000, Manifest: 1 << 20})
		if err != nil {
			return
		}
		if !bytes.Equal(m.Encode(), raw) {
			t.Fatal("two encodings of one manifest")
		}
		for _, e := range m.Entries {
			if err := checkPath(e.Path); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(m.chunks()); uint64(n)*ChunkSize < m.Size() {
			t.Fatalf("%d chunks for %d bytes", n, m.Size())
		}
	})
}
