package bundle

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPath = 1024 // bytes of a path
	maxName = 255  // bytes of one name in it, the limit of most file systems
	maxDeep = 64   // names in a path
)

// checkPath refuses paths that lead out of the directory, or that some file system reads differently.
func checkPath(p string) error {
	if p == "" || p == "." || !fs.ValidPath(p) {
		return fmt.Errorf("%w: path %.80q is not a plain relative path", ErrUnsafe, p)
	}
	if len(p) > maxPath || strings.Count(p, "/") >= maxDeep {
		return fmt.Errorf("%w: path %.80q… has more than %d bytes or %d names", ErrUnsafe, p, maxPath, maxDeep)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return fmt.Errorf("%w: a name of more than %d bytes in %.80q…", ErrUnsafe, maxName, p)
		}
	}
	if !utf8.ValidString(p) {
		return fmt.Errorf("%w: path %.80q is not UTF-8", ErrUnsafe, p)
	}
	for _, r := range p {
		if r == '\\' || r == 0 || unicode.IsControl(r) {
			return fmt.Errorf("%w: path %.80q has a backslash or control character", ErrUnsafe, p)
		}
	}
	return nil
}

// pathSet finds paths that cannot stand beside each other in one tree: equal but for the case of letters, which some file
// systems ignore, or one a file and a directory of the other.
type pathSet struct {
	max  int               // files and directories, so that deep paths cannot fill the memory
	seen map[string]placed // by folded path
}

type placed struct {
	path string
	file bool
}

func newPathSet(files int) *pathSet {
	return &pathSet{max: 4 * files, seen: map[string]placed{}}
}

func (s *pathSet) add(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	folded := strings.ToLower(strings.ToUpper(p)) // the slashes stay where they are, name by name
	for i, j := 0, 0; i < len(p); i, j = i+1, j+1 {
		i, j = nextSlash(p, i), nextSlash(folded, j)
		part, file := p[:i], i == len(p)
		old, there := s.seen[folded[:j]]
		switch {
		case !there:
			if len(s.seen) >= s.max {
				return fmt.Errorf("%w: more than %d files and directories", ErrTooLarge, s.max)
			}
			s.seen[folded[:j]] = placed{part, file}
		case old.path != part:
			return fmt.Errorf("%w: %q and %q differ only in the case of letters", ErrUnsafe, old.path, part)
		case old.file && file:
			return fmt.Errorf("%w: %q is there twice", ErrUnsafe, p)
		case old.file || file:
			return fmt.Errorf("%w: %q is both a file and a directory", ErrUnsafe, part)
		}
	}
	return nil
}

// nextSlash is the place of the next slash in s from i on, or its end.
func nextSlash(s string, i int) int {
	if n := strings.IndexByte(s[i:], '/'); n >= 0 {
		return i + n
	}
	return len(s)
}
