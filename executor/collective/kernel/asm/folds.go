package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Minimum and maximum of floats are those of IEEE 754-2019 (section 9.6): NaN if either is NaN, and -0 below +0. The
// CPU's own give the second operand in both cases, so they are asked both ways round.

func folds() {
	min32 := func(a, b, dst reg256) {
		t := YMM()
		VMINPS(a, b, dst)
		VMINPS(b, a, t)
		VORPS(t, dst, dst)
	}
	max32 := func(a, b, dst reg256) {
		t := YMM()
		VMAXPS(a, b, dst)
		VMAXPS(b, a, t)
		VANDPS(t, dst, dst)
		VCMPPS(Imm(3), a, b, t) // all ones, a NaN, where either is NaN
		VORPS(t, dst, dst)
	}
	single := []struct {
		name string
		op   combine
	}{
		{"Sum", func(a, b, dst reg256) { VADDPS(b, a, dst) }},
		{"Min", min32},
		{"Max", max32},
		{"Prod", func(a, b, dst reg256) { VMULPS(b, a, dst) }},
	}
	for _, o := range single {
		fold("f32"+o.name, whole(o.op))
		fold("f16"+o.name, halved(loadF16, o.op, storeF16))
		fold("bf16"+o.name, halved(loadBF16, o.op, storeBF16))
	}
	fold("f64Sum", whole(func(a, b, dst reg256) { VADDPD(b, a, dst) }))
	fold("f64Prod", whole(func(a, b, dst reg256) { VMULPD(b, a, dst) }))
	fold("f64Min", whole(func(a, b, dst reg256) {
		t := YMM()
		VMINPD(a, b, dst)
		VMINPD(b, a, t)
		VORPD(t, dst, dst)
	}))
	fold("f64Max", whole(func(a, b, dst reg256) {
		t := YMM()
		VMAXPD(a, b, dst)
		VMAXPD(b, a, t)
		VANDPD(t, dst, dst)
		VCMPPD(Imm(3), a, b, t)
		VORPD(t, dst, dst)
	}))
	integers()
}

func integers() {
	fold("i32Sum", whole(func(a, b, dst reg256) { VPADDD(b, a, dst) }))
	fold("i32Min", whole(func(a, b, dst reg256) { VPMINSD(b, a, dst) }))
	fold("i32Max", whole(func(a, b, dst reg256) { VPMAXSD(b, a, dst) }))
	fold("i32Prod", whole(func(a, b, dst reg256) { VPMULLD(b, a, dst) }))

	fold("i64Sum", whole(func(a, b, dst reg256) { VPADDQ(b, a, dst) }))
	fold("i64Min", whole(func(a, b, dst reg256) {
		greater := YMM()
		VPCMPGTQ(b, a, greater) // a > b
		VBLENDVPD(greater, b, a, dst)
	}))
	fold("i64Max", whole(func(a, b, dst reg256) {
		greater := YMM()
		VPCMPGTQ(b, a, greater)
		VBLENDVPD(greater, a, b, dst)
	}))
	fold("i64Prod", whole(func(a, b, dst reg256) { // modulo 2^64: low·low + (high·low + low·high)·2^32
		ah, bh := YMM(), YMM()
		VPSRLQ(Imm(32), a, ah)
		VPSRLQ(Imm(32), b, bh)
		VPMULUDQ(b, ah, ah)
		VPMULUDQ(a, bh, bh)
		VPADDQ(ah, bh, ah)
		VPSLLQ(Imm(32), ah, ah)
		VPMULUDQ(a, b, dst)
		VPADDQ(ah, dst, dst)
	}))

	fold("u8Sum", whole(func(a, b, dst reg256) { VPADDB(b, a, dst) }))
	fold("u8Min", whole(func(a, b, dst reg256) { VPMINUB(b, a, dst) }))
	fold("u8Max", whole(func(a, b, dst reg256) { VPMAXUB(b, a, dst) }))
	fold("u8Prod", whole(func(a, b, dst reg256) { // even and odd bytes as words, modulo 2^8
		ao, bo := YMM(), YMM()
		VPSRLW(Imm(8), a, ao)
		VPSRLW(Imm(8), b, bo)
		VPMULLW(ao, bo, ao)
		VPSLLW(Imm(8), ao, ao)
		VPMULLW(a, b, dst)
		VPSLLW(Imm(8), dst, dst)
		VPSRLW(Imm(8), dst, dst)
		VPOR(ao, dst, dst)
	}))
}

func loadF16(m Mem, to reg256) { VCVTPH2PS(m, to) }

func storeF16(lo, hi reg256, m Mem) {
	VCVTPS2PH(Imm(0), lo, m)
	VCVTPS2PH(Imm(0), hi, m.Offset(16))
}

func loadBF16(m Mem, to reg256) {
	VPMOVZXWD(m, to)
	VPSLLD(Imm(16), to, to)
}

// storeBF16 rounds to the nearest, ties to even; a NaN stays one, quiet.
func storeBF16(lo, hi reg256, m Mem) {
	for _, x := range []reg256{lo, hi} {
		r, nan := YMM(), YMM()
		VCMPPS(Imm(3), x, x, nan)
		VPSRLD(Imm(16), x, r)
		VPAND(constant(0x0001), r, r)
		VPADDD(constant(0x7fff), r, r)
		VPADDD(x, r, r)
		VPSRLD(Imm(16), r, r)
		VPBLENDVB(nan, constant(0x7fc0), r, x)
	}
	VPACKUSDW(hi, lo, lo)
	VPERMQ(Imm(0xd8), lo, lo)
	VMOVDQU(lo, m)
}
