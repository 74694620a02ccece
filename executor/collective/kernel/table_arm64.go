package kernel

// hasLoops: NEON is part of every arm64.
const hasLoops = true

//go:noescape
func f32SumNEON(dst, a, b *byte, n int)

//go:noescape
func f32MinNEON(dst, a, b *byte, n int)

//go:noescape
func f32MaxNEON(dst, a, b *byte, n int)

//go:noescape
func f32ProdNEON(dst, a, b *byte, n int)

var assembled = [types][ops]func(dst, a, b *byte, n int){
	F32: {f32SumNEON, f32SumNEON, f32MinNEON, f32MaxNEON, f32ProdNEON},
}

var assembledWire wireLoops
