//go:build !unix

package bundle

// openFlags are needed only where opening can wait.
const openFlags = 0
