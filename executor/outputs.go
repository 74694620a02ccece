package executor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OutputFile is one plain file that a task left, by its slash-separated path below the output directory.
type OutputFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// SkippedOutput is something a task left that is not collected, and why.
type SkippedOutput struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Outputs is what a task left. Files are in order of path, byte by byte.
type Outputs struct {
	Files   []OutputFile
	Skipped []SkippedOutput // symbolic links, pipes, sockets, devices, unprintable names
	Bytes   int64           // sum of the files' sizes
}

// Usage is how much of its limits a task has used.
type Usage struct {
	Bytes int64 // allocated or apparent size of each entry, whichever is larger
	Files int64 // entries of every kind
}

const (
	maxOutputDepth = 32
	maxOutputPath  = 1024
	readDirBatch   = 256
)

// ListOutputs lists the plain files below dir. No symbolic link is followed, no pipe opened, and no
// more is looked at than limits allow: beyond them the error is [ErrOutputTooLarge]. Call it after
// the task has ended; a task still running cannot lead it out of dir, but can make the list stale.
func ListOutputs(dir string, limits OutputLimits) (Outputs, error) {
	var out Outputs
	usage, err := walk(dir, limits, func(name string, info fs.FileInfo) {
		why := ""
		switch {
		case info.IsDir():
			return
		case !info.Mode().IsRegular():
			why = "not a plain file: " + info.Mode().Type().String()
		case !printable(name):
			why = "name is not printable UTF-8"
		}
		if why != "" {
			out.Skipped = append(out.Skipped, SkippedOutput{Path: strings.ToValidUTF8(name, "\uFFFD"), Why: why})
			return
		}
		out.Files = append(out.Files, OutputFile{Path: name, Size: info.Size()})
		out.Bytes += info.Size()
	})
	if err != nil {
		return Outputs{}, err
	}
	if err := usage.Check(limits); err != nil {
		return Outputs{}, fmt.Errorf("%s: %w", dir, err)
	}
	sortOutputs(out)
	return out, nil
}

// MeasureOutputs adds up what is below dir, and stops looking soon after limits are passed.
// It is safe to call while the task runs.
func MeasureOutputs(dir string, limits OutputLimits) (Usage, error) {
	return walk(dir, limits, func(string, fs.FileInfo) {})
}

// Check returns an [ErrOutputTooLarge] if u is beyond limits.
func (u Usage) Check(limits OutputLimits) error {
	switch {
	case u.Bytes > limits.Bytes:
		return fmt.Errorf("%w: more than %d bytes", ErrOutputTooLarge, limits.Bytes)
	case u.Files > limits.Files:
		return fmt.Errorf("%w: more than %d files", ErrOutputTooLarge, limits.Files)
	}
	return nil
}

// OpenOutput opens one file of [Outputs] for reading, or returns an [ErrUnsafeOutput]. The reader
// ends after f.Size bytes; a file that is no longer that long is an error.
func OpenOutput(dir string, f OutputFile) (io.ReadCloser, error) {
	if !fs.ValidPath(f.Path) || !printable(f.Path) || len(f.Path) > maxOutputPath {
		return nil, fmt.Errorf("%w: path %q", ErrUnsafeOutput, f.Path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open output directory: %w", err)
	}
	defer root.Close()
	before, err := root.Lstat(f.Path)
	if err != nil {
		return nil, fmt.Errorf("open output %q: %w", f.Path, err)
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %q is not a plain file", ErrUnsafeOutput, f.Path)
	}
	// Opening cannot leave dir, and cannot block on a pipe put in the file's place meanwhile.
	file, err := root.OpenFile(f.Path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, fmt.Errorf("open output %q: %w", f.Path, err)
	}
	after, err := file.Stat()
	switch {
	case err != nil:
	case !os.SameFile(before, after):
		err = fmt.Errorf("%w: %q was replaced", ErrUnsafeOutput, f.Path)
	case after.Size() != f.Size:
		err = fmt.Errorf("%w: %q has %d bytes, not %d", ErrUnsafeOutput, f.Path, after.Size(), f.Size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(file, f.Size), file}, nil
}

// walk visits everything below dir breadth first, stopping once limits are passed.
func walk(dir string, limits OutputLimits, visit func(string, fs.FileInfo)) (Usage, error) {
	var usage Usage
	root, err := os.OpenRoot(dir)
	if err != nil {
		return usage, fmt.Errorf("open output directory: %w", err)
	}
	defer root.Close()
	queue := []string{"."}
	var statErr error
	for len(queue) > 0 && usage.Check(limits) == nil {
		parent := queue[0]
		queue = queue[1:]
		err := readDir(root, parent, func(name string) bool {
			child := path.Join(parent, name)
			info, err := root.Lstat(child)
			if errors.Is(err, fs.ErrNotExist) {
				return true // deleted meanwhile: nothing to count
			}
			if err != nil {
				statErr = err
				return false
			}
			usage.Files++
			usage.Bytes += max(info.Size(), allocated(info))
			visit(child, info)
			if info.IsDir() {
				queue = append(queue, child)
			}
			return usage.Check(limits) == nil
		})
		if err = errors.Join(err, statErr); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return usage, fmt.Errorf("read output directory: %w", err)
		}
		if strings.Count(parent, "/") >= maxOutputDepth || len(parent) > maxOutputPath {
			return usage, fmt.Errorf("%w: directories too deep below %s", ErrOutputTooLarge, dir)
		}
	}
	return usage, nil
}

// readDir calls each with the names in one directory until it returns false, never holding them all.
func readDir(root *os.Root, name string, each func(string) bool) error {
	d, err := root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(readDirBatch)
		for _, n := range names {
			if !each(n) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func printable(name string) bool {
	return utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func sortOutputs(o Outputs) {
	slices.SortFunc(o.Files, func(a, b OutputFile) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(o.Skipped, func(a, b SkippedOutput) int { return strings.Compare(a.Path, b.Path) })
}
