package collective

import (
	"slices"
	"sync"
)

// buffers are a group's own memory, kept for the next operation: as many as were in use at once.
type buffers struct {
	mu   sync.Mutex
	free [][]byte // by capacity
}

// take gives a buffer of n bytes, whatever is in it: the smallest that is large enough, or a new one instead of the largest.
func (b *buffers) take(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) == 0 {
		return make([]byte, n)
	}
	at := slices.IndexFunc(b.free, func(f []byte) bool { return cap(f) >= n })
	if at < 0 {
		b.free = slices.Delete(b.free, len(b.free)-1, len(b.free))
		return make([]byte, n)
	}
	f := b.free[at][:n]
	b.free = slices.Delete(b.free, at, at+1)
	return f
}

// give takes a buffer back.
func (b *buffers) give(f []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.IndexFunc(b.free, func(o []byte) bool { return cap(o) >= cap(f) })
	if at < 0 {
		at = len(b.free)
	}
	b.free = slices.Insert(b.free, at, f)
}
