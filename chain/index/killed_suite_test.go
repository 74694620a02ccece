//go:build rollback

package index

import "testing"

// As TestKilledBetweenPages, and within pages.
func TestRollbackKilledWithinPages(t *testing.T) { killed(t, 11) }
