package kernel

// Fold writes a ∘ b into dst, element by element. All three have one length, whole elements; dst may be a or b, or else
// overlaps neither. An unknown type or operation is the caller's mistake and panics.
func Fold(t Type, o Op, dst, a, b []byte) {
	a, b = a[:len(dst)], b[:len(dst)]
	done := 0
	if f := fast[t][o]; f != nil {
		if done = len(dst) &^ (vectorBytes - 1); done > 0 {
			f(&dst[0], &a[0], &b[0], done)
		}
	}
	plain[t][o](dst[done:], a[done:], b[done:])
}

// Divide divides each element by n, which is what makes a sum a mean. Integers are divided toward zero.
func Divide(t Type, dst []byte, n int) {
	switch t {
	case F32:
		d := of[float32](dst)
		by := float32(n)
		done := 0
		if wire.divide != nil {
			if done = len(d) &^ 7; done > 0 {
				wire.divide(&dst[0], &dst[0], done, by)
			}
		}
		for i := done; i < len(d); i++ {
			d[i] /= by
		}
	case F64:
		each(dst, func(x float64) float64 { return x / float64(n) })
	case F16:
		each(dst, func(x uint16) uint16 { return f32ToF16(f16ToF32(x) / float32(n)) })
	case BF16:
		each(dst, func(x uint16) uint16 { return f32ToBF16(bf16ToF32(x) / float32(n)) })
	case I32:
		each(dst, func(x int32) int32 { return int32(int64(x) / int64(n)) })
	case I64:
		each(dst, func(x int64) int64 { return x / int64(n) })
	case U8:
		each(dst, func(x uint8) uint8 { return uint8(int(x) / n) })
	}
}

func each[T number | uint16](b []byte, f func(T) T) {
	d := of[T](b)
	for i := range d {
		d[i] = f(d[i])
	}
}

// Settle makes every NaN the same quiet one. CPUs differ in which NaN an operation gives: ranks that each compute a
// result themselves settle it, to be equal in every bit.
func Settle(t Type, b []byte) {
	switch t {
	case F32:
		settle[uint32](b, 0x7fffffff, 0x7f800000, 0x7fc00000)
	case F64:
		settle[uint64](b, 0x7fffffffffffffff, 0x7ff0000000000000, 0x7ff8000000000000)
	case F16:
		settle[uint16](b, 0x7fff, 0x7c00, 0x7e00)
	case BF16:
		settle[uint16](b, 0x7fff, 0x7f80, 0x7fc0)
	}
}

func settle[T uint16 | uint32 | uint64](b []byte, magnitude, infinite, quiet T) {
	for i, d := 0, of[T](b); i < len(d); i++ {
		if d[i]&magnitude > infinite {
			d[i] = quiet
		}
	}
}
