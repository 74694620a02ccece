package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FindMounts finds each target in the first of these trees that has it: a path in a tree is a path in the container
// without the leading slash. The trees hold plain files and directories only, so no path leads out of them. A target
// that is in none is an ErrInvalidTask.
func FindMounts(targets []string, trees ...string) ([]Mount, error) {
	var found []Mount
	for _, target := range targets {
		rel := filepath.FromSlash(strings.TrimPrefix(target, "/"))
		if !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("mount %q: %w", target, ErrInvalidTask)
		}
		source := ""
		for _, tree := range trees {
			if _, err := os.Lstat(filepath.Join(tree, rel)); err == nil {
				source = filepath.Join(tree, rel)
				break
			}
		}
		if source == "" {
			return nil, fmt.Errorf("nothing is there for mount %s: %w", target, ErrInvalidTask)
		}
		found = append(found, Mount{Source: source, Target: target})
	}
	return found, nil
}
