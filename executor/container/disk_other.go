//go:build !linux && !darwin

package container

import (
	"errors"
	"fmt"

	"github.com/tallycompute/tally/executor"
)

// freeBytes is needed to bound what a task writes; without it no task with outputs is started.
func freeBytes(string) (int64, error) {
	return 0, fmt.Errorf("%w: free disk space: %w", executor.ErrNotIsolated, errors.ErrUnsupported)
}
