package container

import "testing"

// FreeBytes lets tests place a disk reserve just below what is free.
func FreeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	free, err := freeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	return free
}
