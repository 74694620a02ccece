//go:build !amd64 && !arm64

package kernel

const hasLoops = false

var (
	assembled     [types][ops]func(dst, a, b *byte, n int)
	assembledWire wireLoops
)
