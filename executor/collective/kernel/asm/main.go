package main

import (
	"fmt"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vector is the width of a register in bytes; every loop takes whole vectors.
const vector = 32

type (
	reg256 = reg.VecVirtual
	// combine writes a ∘ b into dst, which is neither.
	combine func(a, b, dst reg256)
)

func main() {
	folds()
	wires()
	Generate()
}

// fold is one function: dst = a ∘ b over n bytes, four vectors at a time and then one at a time.
func fold(name string, one func(dst, a, b Mem)) {
	TEXT(name, NOSPLIT, "func(dst, a, b *byte, n int)")
	Pragma("noescape")
	Doc(name + " folds n bytes of a and b into dst; n is a multiple of 32.")
	dst, a, b := pointer("dst"), pointer("a"), pointer("b")
	loop(name, 4, vector, func(i int) { one(at(dst, i*vector), at(a, i*vector), at(b, i*vector)) }, func(k int) {
		ADDQ(Imm(uint64(k*vector)), dst)
		ADDQ(Imm(uint64(k*vector)), a)
		ADDQ(Imm(uint64(k*vector)), b)
	})
	VZEROUPPER()
	RET()
}

func pointer(param string) reg.Register { return Load(Param(param), GP64()) }

func at(base reg.Register, off int) Mem { return Mem{Base: base, Disp: off} }

// loop emits body for the parameter n, in steps of unit: unrolled times, then singly.
func loop(name string, unrolled, unit int, body func(i int), advance func(k int)) {
	n := Load(Param("n"), GP64())
	for _, k := range slices.Compact([]int{unrolled, 1}) {
		again, over := fmt.Sprintf("%s_by_%d", name, k), fmt.Sprintf("%s_after_%d", name, k)
		Label(again)
		CMPQ(n, Imm(uint64(k*unit)))
		JL(LabelRef(over))
		for i := range k {
			body(i)
		}
		advance(k)
		SUBQ(Imm(uint64(k*unit)), n)
		JMP(LabelRef(again))
		Label(over)
	}
}

// whole folds full registers of elements that the CPU computes with as they are.
func whole(op combine) func(dst, a, b Mem) {
	return func(dst, a, b Mem) {
		x, y, z := YMM(), YMM(), YMM()
		VMOVDQU(a, x)
		VMOVDQU(b, y)
		op(x, y, z)
		VMOVDQU(z, dst)
	}
}

// halved folds 16-bit floats as float32, 8 at a time.
func halved(load func(m Mem, to reg256), op combine, store func(lo, hi reg256, m Mem)) func(dst, a, b Mem) {
	return func(dst, a, b Mem) {
		lo, hi := YMM(), YMM()
		for i, z := range []reg256{lo, hi} {
			x, y := YMM(), YMM()
			load(a.Offset(16*i), x)
			load(b.Offset(16*i), y)
			op(x, y, z)
		}
		store(lo, hi, dst)
	}
}
