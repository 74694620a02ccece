package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// UnpackOptions are what Unpack may be told beside the bundle and the directory.
type UnpackOptions struct {
	Limits   Limits
	Progress Progress
}

// Unpack writes a stored bundle to dir, which must be missing or empty; it appears there whole or not at all. Files have mode 0644
// or 0755. A damaged or missing chunk is ErrCorrupt or ErrMissing: fetch the bundle again, which mends it.
func (s *Store) Unpack(ctx context.Context, r Root, dir string, opts UnpackOptions) error {
	m, err := s.Manifest(r, opts.Limits)
	if err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("unpack: %s must be missing or empty: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".partial-*")
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := s.unpackInto(ctx, m, tmp, opts.Progress); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

func (s *Store) unpackInto(ctx context.Context, m Manifest, dir string, progress Progress) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	buf := make([]byte, ChunkSize)
	total, done := m.Size(), uint64(0)
	for _, e := range m.Entries {
		if parent := path.Dir(e.Path); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return fmt.Errorf("unpack %q: %w", e.Path, err)
			}
		}
		mode := fs.FileMode(0o644)
		if e.Exec {
			mode = 0o755
		}
		f, err := root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return fmt.Errorf("unpack %q: %w", e.Path, err)
		}
		err = func() error {
			for i, h := range e.Chunks {
				if err := ctx.Err(); err != nil {
					return err
				}
				data, err := s.GetChunk(h, buf, e.chunkLen(i))
				if err != nil {
					return err
				}
				if _, err := f.Write(data); err != nil {
					return err
				}
				if done += uint64(len(data)); progress != nil {
					progress(done, total)
				}
			}
			return f.Chmod(mode) // whatever the umask is
		}()
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("unpack %q: %w", e.Path, err)
		}
	}
	return nil
}
