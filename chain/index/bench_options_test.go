//go:build bench

package index

// What is timed waits for the disk as a server does.
func init() { serverOptions = nil }
