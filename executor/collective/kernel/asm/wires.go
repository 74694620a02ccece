package main

import (
	"fmt"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// constants are vectors of equal 32-bit values in read-only memory.
var constants = map[uint32]Mem{}

func constant(v uint32) Mem {
	m, ok := constants[v]
	if !ok {
		m = GLOBL(fmt.Sprintf("c%08x", v), RODATA|NOPTR)
		for i := range vector / 4 {
			DATA(4*i, U32(v))
		}
		constants[v] = m
	}
	return m
}

// wires are the loops between float32 and what travels instead.
func wires() {
	function("packBF16", "func(dst, src *byte, n int)", "rounds n float32 to bfloat16; n is a multiple of 16.", 16, func(p pointers) {
		lo, hi := YMM(), YMM()
		VMOVUPS(at(p.arg["src"], 0), lo)
		VMOVUPS(at(p.arg["src"], 32), hi)
		storeBF16(lo, hi, at(p.arg["dst"], 0))
	}, stride{"dst": 2, "src": 4})
	for _, k := range []struct {
		name  string
		store func(x, to Op)
		doc   string
	}{{"unpackBF16", store, ""}, {"unpackBF16Past", VMOVNTPS, past}} {
		function(k.name, "func(dst, src *byte, n int)", "widens n bfloat16 to float32; n is a multiple of 16."+k.doc, 16, func(p pointers) {
			for i := range 2 {
				x := YMM()
				loadBF16(at(p.arg["src"], 16*i), x)
				k.store(x, at(p.arg["dst"], 32*i))
			}
		}, stride{"dst": 4, "src": 2})
	}
	function("addPackBF16", "func(dst, a, src *byte, n int)", "rounds the sum of n float32 and n bfloat16 to bfloat16; n is a multiple of 16.", 16, func(p pointers) {
		lo, hi := YMM(), YMM()
		for i, z := range []reg256{lo, hi} {
			x := YMM()
			loadBF16(at(p.arg["src"], 16*i), x)
			VADDPS(at(p.arg["a"], 32*i), x, z)
		}
		storeBF16(lo, hi, at(p.arg["dst"], 0))
	}, stride{"dst": 2, "a": 4, "src": 2})

	function("packInt8", "func(dst, src *byte, n int, inverse float32)", "rounds n float32, times inverse, to int8; n is a multiple of 32.", 32, func(p pointers) {
		var q [4]reg256
		for i := range q {
			q[i] = YMM()
			VMULPS(at(p.arg["src"], 32*i), p.scale, q[i])
			VCVTPS2DQ(q[i], q[i])
		}
		for i := range 2 { // the next block: the CPU's own prefetching ends with a page, which a block is
			PREFETCHT0(at(p.arg["src"], 4096+64*i))
		}
		VPACKSSDW(q[1], q[0], q[0])
		VPACKSSDW(q[3], q[2], q[2])
		VPACKSSWB(q[2], q[0], q[0])
		VPERMD(q[0], p.order, q[0])
		VMOVDQU(q[0], at(p.arg["dst"], 0))
	}, stride{"dst": 1, "src": 4})
	unpackInt8("unpackInt8", "func(dst, src *byte, n int, scale float32)", "widens n int8 to float32, times scale; n is a multiple of 8.", store, nil)
	unpackInt8("unpackInt8Past", "func(dst, src *byte, n int, scale float32)", "widens n int8 to float32, times scale; n is a multiple of 8."+past, VMOVNTPS, nil)
	unpackInt8("addInt8", "func(dst, a, src *byte, n int, scale float32)", "adds n int8, times scale, to n float32; n is a multiple of 8.", store,
		func(x reg256, p pointers) { VADDPS(at(p.arg["a"], 0), x, x) })
	largest()
	divide()
}

// past is said of loops that write past the cache, for results larger than it.
const past = " It writes past the cache: dst is a multiple of 32."

func store(x, to Op) { VMOVUPS(x, to) }

func unpackInt8(name, signature, doc string, store func(x, to Op), then func(x reg256, p pointers)) {
	by := stride{"dst": 4, "src": 1}
	if then != nil {
		by["a"] = 4
	}
	function(name, signature, doc, 8, func(p pointers) {
		x := YMM()
		VPMOVSXBD(at(p.arg["src"], 0), x)
		VCVTDQ2PS(x, x)
		VMULPS(p.scale, x, x)
		if then != nil {
			then(x, p)
		}
		store(x, at(p.arg["dst"], 0))
	}, by)
}

// pointers are a function's arguments in registers, with the scale and the order of packed bytes where it has them.
type pointers struct {
	arg          map[string]reg.Register
	scale, order reg256
}

// stride is how many bytes of each argument one element takes.
type stride map[string]int

// function is a loop over n elements, unit at a time, with a scale if its signature ends in one.
func function(name, signature, doc string, unit int, body func(p pointers), by stride) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
	p := pointers{arg: map[string]reg.Register{}}
	for _, param := range []string{"dst", "a", "src"} {
		if by[param] > 0 {
			p.arg[param] = pointer(param)
		}
	}
	if strings.HasSuffix(signature, " float32)") {
		_, param, _ := strings.Cut(signature, "n int, ")
		param, _, _ = strings.Cut(param, " ")
		x := Load(Param(param), XMM())
		p.scale = YMM()
		VBROADCASTSS(x.(reg.VecVirtual), p.scale)
	}
	if name == "packInt8" {
		p.order = YMM()
		VMOVDQU(ordered(), p.order)
	}
	loop(name, 1, unit, func(int) { body(p) }, func(int) {
		for _, param := range []string{"dst", "a", "src"} {
			if by[param] > 0 {
				ADDQ(Imm(uint64(unit*by[param])), p.arg[param])
			}
		}
	})
	if strings.HasSuffix(doc, past) {
		SFENCE()
	}
	VZEROUPPER()
	RET()
}

// ordered undoes the shuffle of two packs, which work on each half of a register.
func ordered() Mem {
	m := GLOBL("order", RODATA|NOPTR)
	for i, v := range []uint32{0, 4, 1, 5, 2, 6, 3, 7} {
		DATA(4*i, U32(v))
	}
	return m
}

// largest finds the greatest magnitude as an integer: among bit patterns without a sign, NaN is above infinity.
func largest() {
	TEXT("largestF32", NOSPLIT, "func(src *byte, n int) uint32")
	Pragma("noescape")
	Doc("largestF32 is the greatest of n float32 without their signs, as bits; n is a multiple of 16.")
	src := pointer("src")
	var top [2]reg256
	mask := YMM()
	VMOVDQU(constant(0x7fffffff), mask)
	for i := range top {
		top[i] = YMM()
		VPXOR(top[i], top[i], top[i])
	}
	loop("largestF32", 1, 16, func(int) {
		for i := range top {
			x := YMM()
			VPAND(at(src, 32*i), mask, x)
			VPMAXUD(x, top[i], top[i])
		}
	}, func(int) { ADDQ(Imm(64), src) })
	VPMAXUD(top[1], top[0], top[0])
	high := XMM()
	low := top[0].AsX()
	VEXTRACTI128(Imm(1), top[0], high)
	VPMAXUD(high, low, low)
	for _, order := range []uint64{0x4e, 0xb1} { // swap halves, swap neighbours
		VPSHUFD(Imm(order), low, high)
		VPMAXUD(high, low, low)
	}
	result := GP32()
	VMOVD(low, result)
	Store(result, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func divide() {
	function("divideF32", "func(dst, src *byte, n int, by float32)", "divides n float32; n is a multiple of 8.", 8, func(p pointers) {
		x := YMM()
		VMOVUPS(at(p.arg["src"], 0), x)
		VDIVPS(p.scale, x, x)
		VMOVUPS(x, at(p.arg["dst"], 0))
	}, stride{"dst": 4, "src": 4})
}
