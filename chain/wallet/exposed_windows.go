package wallet

import "io/fs"

// exposed is decided by access lists on Windows, which a mode does not show.
func exposed(fs.FileMode) bool { return false }
