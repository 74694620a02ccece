package bundle_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycompute/tally/executor/bundle"
)

// writeTree makes a directory of files; a path that ends in "*" is executable.
func writeTree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for path, data := range files {
		name, exec := strings.CutSuffix(path, "*")
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if exec {
			mode = 0o755
		}
		if err := os.WriteFile(full, data, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readTree(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		name := filepath.ToSlash(rel)
		st, err := d.Info()
		if err != nil {
			return err
		}
		if st.Mode().Perm()&0o100 != 0 {
			name += "*"
		}
		out[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameTree(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	for name, data := range want {
		if g, ok := got[name]; !ok || !bytes.Equal(g, data) {
			t.Errorf("%s: there %v, %d bytes, want %d", name, ok, len(g), len(data))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func sample() map[string][]byte {
	big := noise(3*bundle.ChunkSize + 17)
	return map[string][]byte{
		"train.py":        []byte("print('hello')\n"),
		"run.sh*":         []byte("#!/bin/sh\n"),
		"empty":           {},
		"data/a.bin":      big,
		"data/twice.bin":  big,
		"data/exact.bin":  noise(2 * bundle.ChunkSize),
		"data/deep/x/y/z": []byte("z"),
		"Größe.txt":       []byte("ü"),
	}
}

func newStore(t testing.TB) *bundle.Store {
	t.Helper()
	s, err := bundle.OpenStore(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPackUnpack(t *testing.T) {
	ctx, store, files := t.Context(), newStore(t), sample()
	var packed uint64
	m, err := bundle.Pack(ctx, writeTree(t, files), store, bundle.PackOptions{Progress: func(done, _ uint64) { packed = done }})
	if err != nil {
		t.Fatal(err)
	}
	if packed != m.Size() {
		t.Fatalf("progress says %d of %d", packed, m.Size())
	}
	dst := filepath.Join(t.TempDir(), "new", "out")
	if err := store.Unpack(ctx, m.Root(), dst, bundle.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, readTree(t, dst), files)
	if names, _ := os.ReadDir(filepath.Dir(dst)); len(names) != 1 {
		t.Fatalf("left behind: %v", names)
	}
	again, err := bundle.Pack(ctx, dst, nil, bundle.PackOptions{})
	if err != nil || again.Root() != m.Root() {
		t.Fatalf("packing what was unpacked gives %s, want %s: %v", again.Root(), m.Root(), err)
	}
	if err := store.Unpack(ctx, m.Root(), dst, bundle.UnpackOptions{}); err == nil {
		t.Fatal("unpacked over existing files")
	}
}

// The root is the formula of the package comment, computed by an independent program.
func TestRootVectors(t *testing.T) {
	for _, c := range []struct {
		files map[string][]byte
		root  string
	}{
		{nil, vectorEmpty},
		{map[string][]byte{"a": []byte("hello")}, vectorOne},
		{map[string][]byte{"a": []byte("hello"), "b/c*": {}, "b/d": bytes.Repeat([]byte("x"), bundle.ChunkSize+1)}, vectorThree},
	} {
		m, err := bundle.Pack(t.Context(), writeTree(t, c.files), nil, bundle.PackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Root().String() != c.root {
			t.Errorf("%d files: root %s, want %s", len(c.files), m.Root(), c.root)
		}
	}
}

func TestRootDependsOnEverything(t *testing.T) {
	root := func(files map[string][]byte) bundle.Root {
		m, err := bundle.Pack(t.Context(), writeTree(t, files), nil, bundle.PackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Root()
	}
	seen := map[bundle.Root]string{}
	for name, files := range map[string]map[string][]byte{
		"base":    {"a": []byte("1"), "b": []byte("2")},
		"content": {"a": []byte("1"), "b": []byte("3")},
		"name":    {"a": []byte("1"), "c": []byte("2")},
		"mode":    {"a": []byte("1"), "b*": []byte("2")},
		"moved":   {"a": []byte("1"), "d/b": []byte("2")},
		"less":    {"a": []byte("1")},
		"empty":   {},
	} {
		r := root(files)
		if other, dup := seen[r]; dup {
			t.Errorf("%s and %s have the same root", name, other)
		}
		seen[r] = name
	}
}

func TestPackRefuses(t *testing.T) {
	dir := func(make func(dir string) error) string {
		d := t.TempDir()
		if err := make(d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	touch := func(names ...string) func(string) error {
		return func(d string) error {
			for _, n := range names {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(d, n)), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(d, n), []byte("12345678"), 0o644); err != nil {
					return err
				}
			}
			return nil
		}
	}
	deep := strings.Repeat("d/", 70)
	for name, c := range map[string]struct {
		dir    string
		limits bundle.Limits
		want   error
	}{
		"link to a file":      {dir: dir(func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "l")) }), want: bundle.ErrUnsafe},
		"link to a directory": {dir: dir(func(d string) error { return os.Symlink("/etc", filepath.Join(d, "l")) }), want: bundle.ErrUnsafe},
		"dangling link":       {dir: dir(func(d string) error { return os.Symlink("nowhere", filepath.Join(d, "l")) }), want: bundle.ErrUnsafe},
		"backslash":           {dir: dir(touch(`a\b`)), want: bundle.ErrUnsafe},
		"newline":             {dir: dir(touch("a\nb")), want: bundle.ErrUnsafe},
		"not UTF-8":           {dir: dir(touch("a\xff")), want: bundle.ErrUnsafe},
		"case of files":       {dir: dir(touch("Readme", "README")), want: bundle.ErrUnsafe},
		"case of directories": {dir: dir(touch("Data/a", "data/b")), want: bundle.ErrUnsafe},
		"too deep":            {dir: dir(touch(deep + "f")), want: bundle.ErrUnsafe},
		"too many":            {dir: dir(touch("a", "b", "c")), limits: bundle.Limits{Entries: 2}, want: bundle.ErrTooLarge},
		"too big":             {dir: dir(touch("a", "b", "c")), limits: bundle.Limits{Size: 20}, want: bundle.ErrTooLarge},
		"missing":             {dir: "/nonexistent", want: fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Pack(t.Context(), c.dir, newStore(t), bundle.PackOptions{Limits: c.limits})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	many := dir(func(d string) error {
		for i := range 50 {
			if err := os.Mkdir(filepath.Join(d, fmt.Sprint(i)), 0o755); err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := bundle.Pack(t.Context(), many, nil, bundle.PackOptions{Limits: bundle.Limits{Entries: 10}}); !errors.Is(err, bundle.ErrTooLarge) {
		t.Fatalf("a flood of empty directories: %v", err)
	}
}

func TestCancelledPack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bundle.Pack(ctx, writeTree(t, sample()), nil, bundle.PackOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestDamagedStore(t *testing.T) {
	ctx, store, dir := t.Context(), newStore(t), writeTree(t, sample())
	m, err := bundle.Pack(ctx, dir, store, bundle.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Entries[len(m.Entries)-1].Chunks[0]
	for name, damage := range map[string]func(path string) error{
		"flipped": func(p string) error {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b[0] ^= 1
			return os.WriteFile(p, b, 0o600)
		},
		"truncated": func(p string) error { return os.Truncate(p, 1) },
		"gone":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(store.Dir(), "chunks", h.String()[:2], h.String())
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			dst := filepath.Join(t.TempDir(), "out")
			err := store.Unpack(ctx, m.Root(), dst, bundle.UnpackOptions{})
			if !errors.Is(err, bundle.ErrCorrupt) && !errors.Is(err, bundle.ErrMissing) {
				t.Fatalf("got %v", err)
			}
			if _, err := os.Stat(dst); !errors.Is(err, fs.ErrNotExist) {
				t.Fatal("a damaged bundle was unpacked")
			}
			if ok, err := store.Complete(m.Root(), bundle.Limits{}); ok || err != nil {
				t.Fatalf("complete %v %v", ok, err)
			}
			if _, err := bundle.Pack(ctx, dir, store, bundle.PackOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := store.Unpack(ctx, m.Root(), dst, bundle.UnpackOptions{}); err != nil {
				t.Fatalf("packing again did not mend it: %v", err)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	ctx, store := t.Context(), newStore(t)
	shared := noise(1000)
	keep, err := bundle.Pack(ctx, writeTree(t, map[string][]byte{"s": shared, "k": noise(2000)}), store, bundle.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	drop, err := bundle.Pack(ctx, writeTree(t, map[string][]byte{"s": shared, "d": noise(3000)}), store, bundle.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(store.Dir(), "tmp", "put-123")
	if err := os.WriteFile(stale, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Prune(ctx, func(r bundle.Root) bool { return r == keep.Root() }); err != nil {
		t.Fatal(err)
	}
	if ok, err := store.Complete(keep.Root(), bundle.Limits{}); !ok || err != nil {
		t.Fatalf("the kept bundle: %v %v", ok, err)
	}
	if _, err := store.Manifest(drop.Root(), bundle.Limits{}); !errors.Is(err, bundle.ErrMissing) {
		t.Fatalf("got %v", err)
	}
	for _, e := range drop.Entries {
		for i, h := range e.Chunks {
			if has := store.HasChunk(h, int(e.Size)-i*bundle.ChunkSize); has != (e.Path == "s") {
				t.Errorf("chunk of %s is there: %v", e.Path, has)
			}
		}
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a stale temporary file was kept")
	}
}

func TestRootText(t *testing.T) {
	var r bundle.Root
	_, _ = rand.Read(r[:])
	text, err := r.MarshalText()
	if err != nil || string(text) != hex.EncodeToString(r[:]) {
		t.Fatalf("%s %v", text, err)
	}
	var back bundle.Root
	if err := back.UnmarshalText(text); err != nil || back != r {
		t.Fatalf("%v %v", back, err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("g", 64), strings.Repeat("0", 65)} {
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, bundle.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
