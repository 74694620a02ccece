package collective

import "unsafe"

// fold writes a ∘ b into dst, element by element. dst may be a or b.
type fold func(dst, a, b []float32)

func (r Reduce) fold() fold {
	switch r {
	case Min:
		return minOf
	case Max:
		return maxOf
	default:
		return add
	}
}

func add(dst, a, b []float32) {
	n := len(dst)
	a, b = a[:n], b[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		d, x, y := (*[8]float32)(dst[i:]), (*[8]float32)(a[i:]), (*[8]float32)(b[i:])
		d[0] = x[0] + y[0]
		d[1] = x[1] + y[1]
		d[2] = x[2] + y[2]
		d[3] = x[3] + y[3]
		d[4] = x[4] + y[4]
		d[5] = x[5] + y[5]
		d[6] = x[6] + y[6]
		d[7] = x[7] + y[7]
	}
	for ; i < n; i++ {
		dst[i] = a[i] + b[i]
	}
}

func minOf(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = min(a[i], b[i])
	}
}

func maxOf(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = max(a[i], b[i])
	}
}

func divide(dst []float32, n int) {
	d := float32(n)
	for i := range dst {
		dst[i] /= d
	}
}

// bytesOf views floats as the bytes that go on the wire. The protocol is little
// endian, and so is every machine this builds for.
func bytesOf(f []float32) []byte {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// floatsOf views bytes as floats; b must start at a multiple of 4.
func floatsOf(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
