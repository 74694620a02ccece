// Package kernel folds, rounds and widens vectors of numbers that lie in plain bytes: the arithmetic of a collective,
// without its network. Every loop is there in Go, and where the CPU has it in assembly (AVX2 and F16C on amd64, written
// by the generator in asm; NEON for float32 on arm64); both give the same bits, but for which NaN a NaN is.
//
// Bytes are little endian and need no alignment. Integers wrap around. Floats are IEEE 754: Min and Max are its minimum
// and maximum (2019, section 9.6), so a NaN stays NaN and -0 is below +0. F16 is binary16; BF16 is the upper half of
// binary32. A fold of either computes in float32 and rounds to the nearest, ties to even.
package kernel

//go:generate go run -C asm . -out ../loop_amd64.s -stubs ../loop_amd64.go -pkg kernel
