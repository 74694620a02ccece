package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// NotFinite is the error that NaN or infinity has no place among 256 values.
type NotFinite struct {
	At int // the element's index
}

// Error names the element.
func (e *NotFinite) Error() string { return fmt.Sprintf("not finite at %d", e.At) }

// Block is how many elements share a scale in int8.
const Block = 1024

// PackBF16 rounds float32 to bfloat16. dst has half src's bytes.
func PackBF16(dst, src []byte) {
	done := 0
	if wire.packBF16 != nil {
		if done = len(src) / 4 &^ 15; done > 0 {
			wire.packBF16(&dst[0], &src[0], done)
		}
	}
	d, s := of[uint16](dst), of[float32](src)
	for i := done; i < len(s); i++ {
		d[i] = f32ToBF16(s[i])
	}
}

// UnpackBF16 widens bfloat16 to float32. dst has twice src's bytes, and is part of a result of so many.
func UnpackBF16(dst, src []byte, result int) {
	done := 0
	if wire.unpackBF16 != nil {
		if done = len(src) / 2 &^ 15; done > 0 {
			loop := wire.unpackBF16
			if past(dst, result) {
				loop = wire.unpackBF16Past
			}
			loop(&dst[0], &src[0], done)
		}
	}
	d, s := of[float32](dst), of[uint16](src)
	for i := done; i < len(s); i++ {
		d[i] = bf16ToF32(s[i])
	}
}

// AddPackBF16 rounds a + src to bfloat16, where a is float32 and src bfloat16; dst may be src.
func AddPackBF16(dst, a, src []byte) {
	done := 0
	if wire.addPackBF16 != nil {
		if done = len(src) / 2 &^ 15; done > 0 {
			wire.addPackBF16(&dst[0], &a[0], &src[0], done)
		}
	}
	d, x, s := of[uint16](dst), of[float32](a), of[uint16](src)
	for i := done; i < len(s); i++ {
		d[i] = f32ToBF16(x[i] + bf16ToF32(s[i]))
	}
}

// Int8Bytes is what n float32 take as int8: a float32 scale before each Block of them.
func Int8Bytes(n int) int { return n + (n+Block-1)/Block*4 }

// PackInt8 rounds float32 to int8 with a scale a block, into Int8Bytes(len(src)/4) bytes. A value that is not finite is
// a *NotFinite error.
func PackInt8(dst, src []byte) error {
	for at := 0; len(src) > 0; at += Block {
		s := src[:min(len(src), 4*Block)]
		n := len(s) / 4
		scale, inverse, finite := scaleOf(s)
		if !finite {
			return &NotFinite{at + firstNotFinite(s)}
		}
		of[float32](dst[:4])[0] = scale
		packBlock(dst[4:4+n], s, inverse)
		dst, src = dst[4+n:], src[len(s):]
	}
	return nil
}

// scaleOf makes the block's largest magnitude 127.
func scaleOf(s []byte) (scale, inverse float32, finite bool) {
	done, top := 0, uint32(0)
	if wire.largest != nil {
		if done = len(s) / 4 &^ 15; done > 0 {
			top = wire.largest(&s[0], done)
		}
	}
	for _, x := range of[float32](s)[done:] {
		top = max(top, math.Float32bits(x)&^(1<<31))
	}
	if top >= 0x7f800000 {
		return 0, 0, false
	}
	scale = math.Float32frombits(top) / 127
	if scale < math.SmallestNonzeroFloat32*(1<<23) { // a subnormal scale has too few digits, and its inverse overflows
		return 0, 0, true
	}
	if math.IsInf(float64(127*scale), 0) {
		scale = math.Nextafter32(scale, 0)
	}
	return scale, 1 / scale, true
}

func firstNotFinite(s []byte) int {
	for i, x := range of[float32](s) {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
			return i
		}
	}
	return -1
}

func packBlock(dst, src []byte, inverse float32) {
	done := 0
	if wire.packInt8 != nil {
		if done = len(dst) &^ 31; done > 0 {
			wire.packInt8(&dst[0], &src[0], done, inverse)
		}
	}
	for i, x := range of[float32](src)[done:] {
		dst[done+i] = byte(int8(max(-128, min(127, math.RoundToEven(float64(x*inverse))))))
	}
}

// UnpackInt8 widens what PackInt8 made. dst is float32, and part of a result of so many bytes.
func UnpackInt8(dst, src []byte, result int) {
	unpack := wire.unpackInt8
	if past(dst, result) {
		unpack = wire.unpackInt8Past
	}
	eachBlock(dst, nil, src, unpack)
}

// AddInt8 writes a + src into dst, where a and dst are float32, which may be the same, and src is what PackInt8 made.
func AddInt8(dst, a, src []byte) { eachBlock(dst, a, src, nil) }

// cached is how large a result may be to be in the cache when it is used.
const cached = 4 << 20

// past says whether what is written goes past the cache, which saves reading what it replaces.
func past(dst []byte, result int) bool {
	return result > cached && uintptr(unsafe.Pointer(unsafe.SliceData(dst)))%vectorBytes == 0
}

func eachBlock(dst, a, src []byte, unpack func(dst, src *byte, n int, scale float32)) {
	for len(dst) > 0 {
		n := min(len(dst)/4, Block)
		scale, q := of[float32](src[:4])[0], src[4:4+n]
		done := n &^ 7
		switch {
		case wire.addInt8 == nil || done == 0:
			done = 0
		case a == nil:
			unpack(&dst[0], &q[0], done, scale)
		default:
			wire.addInt8(&dst[0], &a[0], &q[0], done, scale)
		}
		d := of[float32](dst[:4*n])
		for i := done; i < n; i++ {
			x := float32(float32(int8(q[i])) * scale) // the conversion keeps it from being fused with the sum
			if a != nil {
				x += of[float32](a)[i]
			}
			d[i] = x
		}
		dst, src = dst[4*n:], src[4+n:]
		if a != nil {
			a = a[4*n:]
		}
	}
}

// LostBF16 writes what rounding exact to bfloat16 has lost, times a number, into dst, or 0 where that is not finite. dst and
// exact are float32.
func LostBF16(dst, exact, rounded []byte, times int) {
	d, x, r := of[float32](dst), of[float32](exact), of[uint16](rounded)
	for i := range d {
		lost := (x[i] - bf16ToF32(r[i])) * float32(times)
		if math.Float32bits(lost)&0x7f800000 == 0x7f800000 {
			lost = 0
		}
		d[i] = lost
	}
}

// Subtract writes a - b into dst, all float32: what rounding has lost.
func Subtract(dst, a, b []byte) {
	d, x, y := of[float32](dst), of[float32](a), of[float32](b)
	for i := range d {
		d[i] = x[i] - y[i]
	}
}
