//go:build !amd64

package gcm

// hasLoops: here the standard library's are all there are.
const hasLoops = false

func sealBlocks(dst, src *byte, n int, t *byte, counters *[32]byte, sum *[16]byte) {}
func openBlocks(dst, src *byte, n int, t *byte, counters *[32]byte, sum *[16]byte) {}
func hashBlocks(sum *[16]byte, t *byte, src *byte, n int)                          {}
