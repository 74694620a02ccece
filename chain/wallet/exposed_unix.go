//go:build !windows

package wallet

import "io/fs"

// exposed says whether anyone but the owner may touch a file.
func exposed(m fs.FileMode) bool { return m.Perm()&0o077 != 0 }
