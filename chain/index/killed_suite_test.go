//go:build rollback

package index

import (
	"runtime"
	"strconv"
	"testing"
)

// TestRollbackKilledAtEveryByte shares the bytes out among the processors.
func TestRollbackKilledAtEveryByte(t *testing.T) {
	for n := range runtime.NumCPU() {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			killed(t, runtime.NumCPU(), n)
		})
	}
}
