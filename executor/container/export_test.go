package container

import (
	"context"
	"testing"

	"github.com/tallycompute/tally/executor"
)

// FreeBytes lets tests place a disk reserve just below what is free.
func FreeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	free, err := freeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	return free
}

// Create does the first half of Start.
func Create(ctx context.Context, r *Runtime, task executor.Task) error {
	task = task.WithDefaults()
	spec, err := specHash(task)
	if err != nil {
		return err
	}
	return r.create(ctx, containerName(task.Owner, task.ID), task, spec)
}
