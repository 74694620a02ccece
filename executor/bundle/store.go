package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Store keeps manifests and chunks in a directory, each under its hash, and may be used by several goroutines and processes.
// A file appears whole or not at all, and is on disk before it has its name.
type Store struct {
	dir string
}

const (
	chunkDir    = "chunks"
	manifestDir = "manifests"
	tmpDir      = "tmp"
)

// OpenStore opens the store in dir, creating it if it is missing.
func OpenStore(dir string) (*Store, error) {
	for _, d := range []string{chunkDir, manifestDir, tmpDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("open bundle store: %w", err)
		}
	}
	return &Store{dir: dir}, nil
}

func (s *Store) chunkPath(h Hash) string {
	name := h.String()
	return filepath.Join(s.dir, chunkDir, name[:2], name)
}

func (s *Store) manifestPath(r Root) string {
	return filepath.Join(s.dir, manifestDir, r.String())
}

// PutChunk stores a chunk and returns its hash.
func (s *Store) PutChunk(data []byte) (Hash, error) {
	h := Hash(sha256.Sum256(data))
	if s.HasChunk(h, len(data)) {
		return h, nil
	}
	return h, s.write(s.chunkPath(h), data)
}

// putChecked stores a chunk from a peer if it has the hash it should.
func (s *Store) putChecked(h Hash, data []byte) error {
	if sha256.Sum256(data) != h {
		return fmt.Errorf("%w: the peer sent bytes that do not hash to %s", ErrCorrupt, h)
	}
	return s.write(s.chunkPath(h), data)
}

// HasChunk says whether a chunk of n bytes with this hash is stored. It does not read it: GetChunk does, and finds damage.
func (s *Store) HasChunk(h Hash, n int) bool {
	st, err := os.Stat(s.chunkPath(h))
	return err == nil && st.Mode().IsRegular() && st.Size() == int64(n)
}

// GetChunk reads a chunk of n bytes into buf, which must hold that many, and checks its hash. A damaged chunk is removed, so that
// fetching again mends it, and reported as ErrCorrupt.
func (s *Store) GetChunk(h Hash, buf []byte, n int) ([]byte, error) {
	path := s.chunkPath(h)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: chunk %s", ErrMissing, h)
	}
	if err != nil {
		return nil, fmt.Errorf("read chunk: %w", err)
	}
	defer f.Close()
	got, err := io.ReadFull(f, buf[:n])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read chunk: %w", err)
	}
	if got != n || sha256.Sum256(buf[:n]) != h {
		return nil, errors.Join(fmt.Errorf("%w: chunk %s was damaged in the store", ErrCorrupt, h), os.Remove(path))
	}
	return buf[:n], nil
}

// PutManifest stores a manifest, which may be before its chunks are there.
func (s *Store) PutManifest(m Manifest) (Root, error) {
	r := m.Root()
	if err := s.write(s.manifestPath(r), m.Encode()); err != nil {
		return r, err
	}
	return r, syncDir(filepath.Join(s.dir, manifestDir))
}

// Manifest reads a stored manifest and checks that it is the one named.
func (s *Store) Manifest(r Root, limits Limits) (Manifest, error) {
	b, err := os.ReadFile(s.manifestPath(r))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("%w: manifest %s", ErrMissing, r)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	m, err := Decode(b, limits)
	if err == nil && m.Root() != r {
		err = fmt.Errorf("%w: manifest %s was damaged in the store", ErrCorrupt, r)
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrMalformed) {
		return Manifest{}, errors.Join(err, os.Remove(s.manifestPath(r)))
	}
	return m, err
}

// Complete says whether the manifest and every chunk of a bundle are stored.
func (s *Store) Complete(r Root, limits Limits) (bool, error) {
	m, err := s.Manifest(r, limits)
	if errors.Is(err, ErrMissing) || errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return len(s.lacking(m)) == 0, nil
}

// write puts data under path: all of it, durably, or nothing.
func (s *Store) write(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Join(s.dir, tmpDir), "put-*")
	if err != nil {
		return fmt.Errorf("bundle store: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if errors.Is(err, fs.ErrNotExist) { // the first chunk with these two digits
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.Rename(tmp.Name(), path)
		}
	}
	if err != nil {
		return fmt.Errorf("bundle store: %w", err)
	}
	return nil
}

// Prune removes every bundle for which keep says no, every chunk that belongs to no bundle kept, and what a crash left behind. No
// bundle that is not kept may be fetched or packed meanwhile.
func (s *Store) Prune(ctx context.Context, keep func(Root) bool) error {
	wanted := map[Hash]bool{}
	manifests, err := os.ReadDir(filepath.Join(s.dir, manifestDir))
	if err != nil {
		return fmt.Errorf("prune bundles: %w", err)
	}
	everything := Limits{Entries: 1 << 31, Size: 1 << 62, Manifest: 1 << 40}
	for _, f := range manifests {
		var r Root
		if r.UnmarshalText([]byte(f.Name())) == nil && keep(r) {
			m, err := s.Manifest(r, everything)
			if err != nil {
				return fmt.Errorf("prune bundles: %w", err)
			}
			for _, e := range m.Entries {
				for _, h := range e.Chunks {
					wanted[h] = true
				}
			}
		} else if err := os.Remove(filepath.Join(s.dir, manifestDir, f.Name())); err != nil {
			return fmt.Errorf("prune bundles: %w", err)
		}
	}
	return filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil || d.IsDir() {
			return err
		}
		if top, _, _ := cutPath(rel); top == manifestDir {
			return nil
		}
		var h Hash
		if n, err := hex.Decode(h[:], []byte(d.Name()[:min(len(d.Name()), 2*hashSize)])); err == nil && n == hashSize && wanted[h] {
			return nil
		}
		return os.Remove(path)
	})
}

func cutPath(rel string) (top, rest string, found bool) {
	for i := range rel {
		if os.IsPathSeparator(rel[i]) {
			return rel[:i], rel[i+1:], true
		}
	}
	return rel, "", false
}

// syncDir makes new names in dir survive a crash. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("bundle store: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("bundle store: %w", err)
	}
	return nil
}
