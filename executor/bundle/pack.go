package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// PackOptions are what Pack may be told beside the directory.
type PackOptions struct {
	Limits   Limits
	Progress Progress // done only: the total is not known before the end, and given as 0
}

// Pack makes a bundle of the regular files under dir. Their chunks and the manifest go into store; a nil store only computes the
// manifest. The directory may be one that an untrusted program has written and still writes: no link is followed, nothing outside
// dir is read, nothing but regular files is opened for long, and a file that changes while it is read is an error.
func Pack(ctx context.Context, dir string, store *Store, opts PackOptions) (Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Manifest{}, fmt.Errorf("pack: %w", err)
	}
	defer root.Close()
	p := packer{root: root, store: store, limits: opts.Limits.withDefaults(), progress: opts.Progress, buf: make([]byte, ChunkSize)}
	if err := p.dir(ctx, ".", 0); err != nil {
		return Manifest{}, err
	}
	slices.SortFunc(p.out.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	if err := p.out.check(p.limits); err != nil {
		return Manifest{}, err
	}
	if store != nil {
		if _, err := store.PutManifest(p.out); err != nil {
			return Manifest{}, err
		}
	}
	return p.out, nil
}

type packer struct {
	root     *os.Root
	store    *Store
	limits   Limits
	progress Progress
	buf      []byte
	done     uint64 // bytes
	names    int    // files and directories seen
	out      Manifest
}

// listed is how many names of a directory are read at once, so that a huge directory is refused before it fills the memory.
const listed = 1024

func (p *packer) dir(ctx context.Context, dir string, depth int) error {
	if depth > maxDeep {
		return fmt.Errorf("%w: directories deeper than %d at %.80q", ErrUnsafe, maxDeep, dir)
	}
	f, err := p.open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		names, err := f.ReadDir(listed)
		for _, d := range names {
			path := d.Name()
			if dir != "." {
				path = dir + "/" + path
			}
			if p.names++; p.names > 4*p.limits.Entries {
				return fmt.Errorf("%w: more than %d files and directories", ErrTooLarge, 4*p.limits.Entries)
			}
			if err := p.entry(ctx, path, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("pack: %w", err)
		}
	}
}

func (p *packer) entry(ctx context.Context, path string, depth int) error {
	if err := checkPath(path); err != nil {
		return err
	}
	st, err := p.root.Lstat(path)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	switch mode := st.Mode(); {
	case mode.IsDir():
		return p.dir(ctx, path, depth+1)
	case mode.IsRegular():
		return p.file(ctx, path)
	default:
		return fmt.Errorf("%w: %q is a %s, only regular files can be packed", ErrUnsafe, path, kind(mode))
	}
}

// open opens a file or directory that was not a link, and is not one now.
func (p *packer) open(path string) (*os.File, error) {
	before, err := p.root.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	f, err := p.root.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	after, err := f.Stat()
	if err == nil && (!os.SameFile(before, after) || before.Mode().Type() != after.Mode().Type()) {
		err = fmt.Errorf("%w: %q was replaced while it was packed", ErrUnsafe, path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (p *packer) file(ctx context.Context, path string) error {
	if len(p.out.Entries) >= p.limits.Entries {
		return fmt.Errorf("%w: more than %d files", ErrTooLarge, p.limits.Entries)
	}
	f, err := p.open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%w: %q is a %s, only regular files can be packed", ErrUnsafe, path, kind(st.Mode()))
	}
	e := Entry{Path: path, Exec: st.Mode().Perm()&0o100 != 0, Size: uint64(st.Size())}
	if e.Size > p.limits.Size || p.done > p.limits.Size-e.Size {
		return fmt.Errorf("%w: more than %d bytes at %q", ErrTooLarge, p.limits.Size, path)
	}
	for i := range chunkCount(e.Size) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		data := p.buf[:e.chunkLen(int(i))]
		if _, err := io.ReadFull(f, data); err != nil {
			return fmt.Errorf("%w: %q became shorter while it was packed: %w", ErrCorrupt, path, err)
		}
		h := Hash(sha256.Sum256(data))
		if p.store != nil {
			if h, err = p.store.PutChunk(data); err != nil {
				return err
			}
		}
		e.Chunks = append(e.Chunks, h)
		p.done += uint64(len(data))
		if p.progress != nil {
			p.progress(p.done, 0)
		}
	}
	if n, err := f.Read(p.buf[:1]); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %q became longer while it was packed", ErrCorrupt, path)
	}
	p.out.Entries = append(p.out.Entries, e)
	return nil
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	case m.IsDir():
		return "directory"
	}
	return "special file"
}
