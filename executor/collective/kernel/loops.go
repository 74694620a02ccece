package kernel

// vectorBytes is what the assembled folds take at a time.
const vectorBytes = 32

// wireLoops are the assembled loops beside the folds; n counts elements, a multiple of what each one takes at a time.
type wireLoops struct {
	packBF16, unpackBF16 func(dst, src *byte, n int)
	unpackBF16Past       func(dst, src *byte, n int) // past the cache
	addPackBF16          func(dst, a, src *byte, n int)
	packInt8             func(dst, src *byte, n int, inverse float32)
	unpackInt8           func(dst, src *byte, n int, scale float32)
	unpackInt8Past       func(dst, src *byte, n int, scale float32)
	addInt8              func(dst, a, src *byte, n int, scale float32)
	largest              func(src *byte, n int) uint32
	divide               func(dst, src *byte, n int, by float32)
}

// What this CPU has; nil is done in Go.
var (
	fast = chosen(assembled)
	wire = chosen(assembledWire)
)

func chosen[T any](loops T) T {
	if !hasLoops {
		var none T
		return none
	}
	return loops
}
