package kernel

import "unsafe"

// A loop folds a and b into dst, all of one length; dst may be a or b.
type loop func(dst, a, b []byte)

// number is what Go computes with itself.
type number interface {
	float32 | float64 | int32 | int64 | uint8
}

// of views bytes as elements. Only machines that are little endian and take any alignment are built for.
func of[T number | uint16 | uint32 | uint64](b []byte) []T {
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(t)))
}

// plain is every fold in Go.
var plain = [types][ops]loop{
	F32:  native[float32](),
	F64:  native[float64](),
	F16:  narrow(f16ToF32, f32ToF16),
	BF16: narrow(bf16ToF32, f32ToBF16),
	I32:  native[int32](),
	I64:  native[int64](),
	U8:   native[uint8](),
}

func native[T number]() [ops]loop {
	with := func(f func(dst, a, b []T)) loop {
		return func(dst, a, b []byte) {
			d := of[T](dst)
			f(d, of[T](a)[:len(d)], of[T](b)[:len(d)])
		}
	}
	sum := with(func(dst, a, b []T) {
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	})
	return [ops]loop{
		Sum: sum, Mean: sum,
		Min: with(func(dst, a, b []T) {
			for i := range dst {
				dst[i] = min(a[i], b[i])
			}
		}),
		Max: with(func(dst, a, b []T) {
			for i := range dst {
				dst[i] = max(a[i], b[i])
			}
		}),
		Prod: with(func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] * b[i]
			}
		}),
	}
}

func narrow(widen func(uint16) float32, round func(float32) uint16) [ops]loop {
	with := func(f func(a, b float32) float32) loop {
		return func(dst, a, b []byte) {
			d, x, y := of[uint16](dst), of[uint16](a), of[uint16](b)
			for i := range d {
				d[i] = round(f(widen(x[i]), widen(y[i])))
			}
		}
	}
	sum := with(func(a, b float32) float32 { return a + b })
	return [ops]loop{
		Sum: sum, Mean: sum,
		Min:  with(func(a, b float32) float32 { return min(a, b) }),
		Max:  with(func(a, b float32) float32 { return max(a, b) }),
		Prod: with(func(a, b float32) float32 { return a * b }),
	}
}
