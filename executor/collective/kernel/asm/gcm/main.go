// Command gcm writes gcm_amd64.s and gcm_amd64.go, the loops of package gcm: run  go generate  there.
//
// The method is that of Gueron and Kounavis, "Intel Carry-Less Multiplication Instruction and its Usage for Computing the
// GCM Mode": blocks are hashed byte-reversed, each by its own power of the key, with one reduction for all.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	lanes  = 8  // registers of two blocks each, at a time
	rounds = 10 // of AES-128
	keysAt = 0
	// powersAt is where the powers begin in a table: the key's 16th and 15th first, its second and first last.
	powersAt = (rounds + 1) * 32
)

func main() {
	stream("sealBlocks", "encrypts and hashes what it has encrypted", false)
	stream("openBlocks", "hashes and decrypts", true)
	hash()
	Generate()
}

func quads(name string, low, high uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 2 {
		DATA(16*i, U64(low))
		DATA(16*i+8, U64(high))
	}
	return m
}

var consts = map[string]Mem{}

// constant has these quads in both halves.
func constant(name string, low, high uint64) Mem {
	if m, ok := consts[name]; ok {
		return m
	}
	consts[name] = quads(name, low, high)
	return consts[name]
}

func reversed() Mem   { return constant("reversed", 0x08090a0b0c0d0e0f, 0x0001020304050607) }
func polynomial() Mem { return constant("polynomial", 0xc2<<56, 0xc2<<56) }

// sums are the parts of a product that is not reduced yet.
type sums struct{ low, mid, high, tmp Op }

// multiply adds h times a power; the first one begins.
func (s sums) multiply(h, power Op, first bool) {
	add := func(imm uint64, to Op, begins bool) {
		if begins {
			VPCLMULQDQ(Imm(imm), power, h, to)
			return
		}
		VPCLMULQDQ(Imm(imm), power, h, s.tmp)
		VPXOR(s.tmp, to, to)
	}
	add(0x00, s.low, first)
	add(0x11, s.high, first)
	add(0x01, s.mid, first)
	add(0x10, s.mid, false)
}

// reduce leaves the product in low.
func (s sums) reduce() {
	VPSLLDQ(Imm(8), s.mid, s.tmp)
	VPXOR(s.tmp, s.low, s.low)
	VPSRLDQ(Imm(8), s.mid, s.tmp)
	VPXOR(s.tmp, s.high, s.high)
	for range 2 {
		VPCLMULQDQ(Imm(0), polynomial(), s.low, s.tmp)
		VPSHUFD(Imm(0x4e), s.low, s.low)
		VPXOR(s.tmp, s.low, s.low)
	}
	VPXOR(s.high, s.low, s.low)
}

func at(base reg.Register, off int) Mem { return Mem{Base: base, Disp: off} }

func stream(name, does string, opens bool) {
	TEXT(name, NOSPLIT, "func(dst, src *byte, n int, t *byte, counters *[32]byte, sum *[16]byte)")
	Pragma("noescape")
	Doc(name + " " + does + ": n bytes, a multiple of 256. counters are the next two, reversed; dst is src or does not overlap it.")
	dst, src, table := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("t"), GP64())
	counters, sum, n := Load(Param("counters"), GP64()), Load(Param("sum"), GP64()), Load(Param("n"), GP64())
	counter, wide := YMM(), YMM()
	acc := wide.AsX() // the upper half stays zero
	low := YMM()
	s := sums{low, YMM(), YMM(), YMM()}
	VMOVDQU(at(counters, 0), counter)
	VMOVDQU(at(sum, 0), acc)
	Label(name + "_again")
	var x [lanes]reg.VecVirtual
	for i := range x {
		x[i] = YMM()
		VPSHUFB(reversed(), counter, x[i])
		VPADDD(constant("two", 2, 0), counter, counter)
		VPXOR(at(table, keysAt), x[i], x[i])
	}
	for r := 1; r < rounds; r++ {
		VMOVDQU(at(table, keysAt+32*r), s.tmp)
		for i := range x {
			VAESENC(s.tmp, x[i], x[i])
		}
	}
	VMOVDQU(at(table, keysAt+32*rounds), s.tmp)
	for i := range x {
		VAESENCLAST(s.tmp, x[i], x[i])
		if i%2 == 0 { // a line of what is read some rounds later
			PREFETCHT0(at(src, 2048+32*i))
		}
	}
	for i := range x {
		if opens {
			VMOVDQU(at(src, 32*i), s.tmp)
			VPXOR(s.tmp, x[i], x[i])
			VMOVDQU(x[i], at(dst, 32*i))
			VPSHUFB(reversed(), s.tmp, x[i])
		} else {
			VPXOR(at(src, 32*i), x[i], x[i])
			VMOVDQU(x[i], at(dst, 32*i))
			VPSHUFB(reversed(), x[i], x[i])
		}
		if i == 0 {
			VPXOR(wide, x[i], x[i])
		}
		s.multiply(x[i], at(table, powersAt+32*i), i == 0)
	}
	s.reduce()
	VEXTRACTI128(Imm(1), low, acc)
	VPXOR(low.AsX(), acc, acc)
	ADDQ(U32(32*lanes), src)
	ADDQ(U32(32*lanes), dst)
	SUBQ(U32(32*lanes), n)
	JNZ(LabelRef(name + "_again"))
	VMOVDQU(counter, at(counters, 0))
	VMOVDQU(acc, at(sum, 0))
	VZEROUPPER()
	RET()
}

// hash is one block at a time.
func hash() {
	TEXT("hashBlocks", NOSPLIT, "func(sum *[16]byte, t *byte, src *byte, n int)")
	Pragma("noescape")
	Doc("hashBlocks hashes n bytes, a multiple of 16.")
	sum, table, src, n := Load(Param("sum"), GP64()), Load(Param("t"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	s := sums{XMM(), XMM(), XMM(), XMM()}
	acc, x := XMM(), XMM()
	VMOVDQU(at(sum, 0), acc)
	Label("hashBlocks_again")
	VMOVDQU(at(src, 0), x)
	VPSHUFB(reversed(), x, x)
	VPXOR(acc, x, x)
	s.multiply(x, at(table, powersAt+32*lanes-16), true)
	s.reduce()
	VMOVDQA(s.low, acc)
	ADDQ(Imm(16), src)
	SUBQ(Imm(16), n)
	JNZ(LabelRef("hashBlocks_again"))
	VMOVDQU(acc, at(sum, 0))
	RET()
}
