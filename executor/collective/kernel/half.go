package kernel

import "math"

// f16ToF32 widens binary16; exact.
func f16ToF32(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero or subnormal: frac · 2^-24
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f:
		quiet := uint32(0)
		if frac != 0 {
			quiet = 1 << 22
		}
		return math.Float32frombits(sign | 0xff<<23 | quiet | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// f32ToF16 rounds to the nearest, ties to even; what is too large is infinite.
func f32ToF16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign, rest := uint16(bits>>16)&0x8000, bits&0x7fffffff
	switch {
	case rest > 0x7f800000:
		return sign | 0x7e00 | uint16(rest>>13)&0x3ff
	case rest >= 0x47800000: // 2^16 and above
		return sign | 0x7c00
	case rest < 0x38800000: // below 2^-14: an integer multiple of 2^-24, which adding 0.5 rounds to
		r := math.Float32frombits(rest) + 0.5
		return sign | uint16(math.Float32bits(r)-math.Float32bits(0.5))
	}
	rest += 0xfff + rest>>13&1
	return sign | uint16((rest-(127-15)<<23)>>13)
}

// bf16ToF32 widens bfloat16; exact.
func bf16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// f32ToBF16 rounds to the nearest, ties to even; a NaN becomes the quiet one.
func f32ToBF16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return 0x7fc0
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
