package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// special are the values where loops differ first: zeros of both signs, subnormals, infinities, NaN, the edges of halves.
var special = []float64{
	0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
	65504, 65520, 6.1e-5, 5.96e-8, 2.98e-8, 1.0009765625, 1.00048828125, 1.00390625, 255.5,
}

// fill writes n random elements: ordinary numbers, and some special ones.
func fill(t Type, b []byte, rng *rand.Rand) {
	size := t.Size()
	for i := 0; i+size <= len(b); i += size {
		x := rng.NormFloat64() * 100
		if rng.IntN(8) == 0 {
			x = special[rng.IntN(len(special))]
		}
		switch t {
		case F32:
			binary.LittleEndian.PutUint32(b[i:], math.Float32bits(float32(x)))
		case F64:
			binary.LittleEndian.PutUint64(b[i:], math.Float64bits(x))
		case F16:
			binary.LittleEndian.PutUint16(b[i:], f32ToF16(float32(x)))
		case BF16:
			binary.LittleEndian.PutUint16(b[i:], f32ToBF16(float32(x)))
		default:
			for k := range size {
				b[i+k] = byte(rng.Uint32())
			}
		}
	}
}

// every calls f for every type and operation.
func every(f func(t Type, o Op)) {
	for t := F32; t.Valid(); t++ {
		for o := Sum; o.Valid(); o++ {
			f(t, o)
		}
	}
}

func TestFoldsAgree(t *testing.T) {
	const most, room = 300, 64
	every(func(typ Type, o Op) {
		t.Run(fmt.Sprintf("%v/%v", typ, o), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(typ), uint64(o)))
			a, b := make([]byte, most*8+room), make([]byte, most*8+room)
			fill(typ, a, rng)
			fill(typ, b, rng)
			for n := range most {
				bytesLong := n * typ.Size()
				for _, shift := range []int{0, 1, n % 31, 32} {
					x, y := a[shift:][:bytesLong], b[shift/2:][:bytesLong]
					want, got := make([]byte, bytesLong), make([]byte, bytesLong+room)
					plain[typ][o](want, x, y)
					for i := range got {
						got[i] = 0xa5
					}
					Fold(typ, o, got[shift:][:bytesLong], x, y)
					if !bytes.Equal(got[:shift], bytes.Repeat([]byte{0xa5}, shift)) || !bytes.Equal(got[shift+bytesLong:], bytes.Repeat([]byte{0xa5}, room-shift)) {
						t.Fatalf("%d elements at %d: written outside", n, shift)
					}
					inPlace := append([]byte(nil), x...)
					Fold(typ, o, inPlace, inPlace, y)
					Settle(typ, want)
					Settle(typ, inPlace)
					Settle(typ, got[shift:][:bytesLong])
					if !bytes.Equal(want, got[shift:][:bytesLong]) || !bytes.Equal(want, inPlace) {
						t.Fatalf("%d elements at %d: %x ∘ %x is %x or %x, in Go %x", n, shift, x, y, got[shift:][:bytesLong], inPlace, want)
					}
				}
			}
		})
	})
}

func TestIEEE(t *testing.T) {
	nan, inf, minus := math.NaN(), math.Inf(1), math.Copysign(0, -1)
	for _, c := range []struct {
		o          Op
		a, b, want float64
	}{
		{Sum, inf, -inf, nan},
		{Sum, inf, 1, inf},
		{Sum, nan, 1, nan},
		{Sum, minus, minus, minus},
		{Prod, 0, inf, nan},
		{Prod, -1, 0, minus},
		{Min, 1, nan, nan},
		{Min, nan, 1, nan},
		{Max, 1, nan, nan},
		{Max, nan, -inf, nan},
		{Min, 0, minus, minus},
		{Min, minus, 0, minus},
		{Max, minus, 0, 0},
		{Max, 0, minus, 0},
		{Min, inf, -inf, -inf},
		{Max, inf, -inf, inf},
	} {
		encode := map[Type]func(x float64) []byte{
			F32:  func(x float64) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(x))) },
			F64:  func(x float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(x)) },
			F16:  func(x float64) []byte { return binary.LittleEndian.AppendUint16(nil, f32ToF16(float32(x))) },
			BF16: func(x float64) []byte { return binary.LittleEndian.AppendUint16(nil, f32ToBF16(float32(x))) },
		}
		for typ, e := range encode {
			const n = 37 // whole vectors and a rest
			got := make([]byte, n*typ.Size())
			Fold(typ, c.o, got, bytes.Repeat(e(c.a), n), bytes.Repeat(e(c.b), n))
			want := bytes.Repeat(e(c.want), n)
			Settle(typ, got)
			Settle(typ, want)
			if !bytes.Equal(got, want) {
				t.Errorf("%v of %v and %v as %v is %x, want %x", c.o, c.a, c.b, typ, got, want)
			}
		}
	}
}

func TestHalves(t *testing.T) {
	for h := range 1 << 16 {
		f := f16ToF32(uint16(h))
		if f != f {
			if f32ToF16(f)&0x7fff <= 0x7c00 {
				t.Fatalf("%#04x: a NaN was lost", h)
			}
			continue
		}
		if back := f32ToF16(f); back != uint16(h) {
			t.Fatalf("%#04x widens to %v, which rounds to %#04x", h, f, back)
		}
		if h&0x7fff < 0x7bff { // halfway to the next: ties to even, and a hair beyond up
			next := f16ToF32(uint16(h) + 1)
			half := (f + next) / 2
			even := uint16(h) + uint16(h)&1
			if got := f32ToF16(half); got != even {
				t.Fatalf("%v, between %#04x and the next, rounds to %#04x", half, h, got)
			}
			if got := f32ToF16(math.Nextafter32(half, next)); got != uint16(h)+1 {
				t.Fatalf("a hair above %v rounds to %#04x", half, got)
			}
		}
		if b := f32ToBF16(bf16ToF32(uint16(h))); b != uint16(h) && bf16ToF32(uint16(h)) == bf16ToF32(uint16(h)) {
			t.Fatalf("bfloat16 %#04x comes back as %#04x", h, b)
		}
	}
}

// inGo runs f without assembled loops.
func inGo(f func()) {
	keep := wire
	defer func() { wire = keep }()
	wire = wireLoops{}
	f()
}

func TestWiresAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for n := range 2100 {
		if n > 200 && n%97 != 0 && n%Block > 1 {
			continue
		}
		shift := n % 5
		src, a := make([]byte, 4*n+shift)[shift:], make([]byte, 4*n)
		fill(F32, src, rng)
		fill(F32, a, rng)
		results := map[string][]byte{}
		run := func(how string, result int) {
			half, sum, wide := make([]byte, 2*n), make([]byte, 2*n), make([]byte, 4*n)
			PackBF16(half, src)
			AddPackBF16(sum, a, half)
			UnpackBF16(wide, sum, result)
			Settle(BF16, sum)
			Settle(F32, wide)
			for i, x := range of[float32](src) {
				if f32ToBF16(x) != of[uint16](half)[i] {
					t.Fatalf("%s: %v of %d is bfloat16 %#04x", how, x, n, of[uint16](half)[i])
				}
			}
			finite := append([]byte(nil), src...)
			for i, x := range of[float32](finite) {
				if x-x != 0 {
					of[float32](finite)[i] = -3.5
				}
			}
			q, deq, added := make([]byte, Int8Bytes(n)), make([]byte, 4*n), make([]byte, 4*n)
			if err := PackInt8(q, finite); err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			UnpackInt8(deq, q, result)
			AddInt8(added, a, q)
			Settle(F32, added)
			for i, x := range of[float32](finite) {
				top := float32(0)
				for _, y := range of[float32](finite)[i/Block*Block : min(n, (i/Block+1)*Block)] {
					top = max(top, y, -y)
				}
				if d := float64(x - of[float32](deq)[i]); math.Abs(d) > float64(top)/127*0.501+1e-37 {
					t.Fatalf("%s: %v of at most %v came back as %v", how, x, top, of[float32](deq)[i])
				}
			}
			divided := append([]byte(nil), src...)
			Divide(F32, divided, 3)
			Settle(F32, divided)
			all := bytes.Join([][]byte{half, sum, wide, q, deq, added, divided}, nil)
			results[how] = all
		}
		run("assembled", 4*n)
		run("past the cache", cached+1)
		inGo(func() { run("in Go", 4*n) })
		if !bytes.Equal(results["assembled"], results["in Go"]) || !bytes.Equal(results["past the cache"], results["in Go"]) {
			t.Fatalf("%d elements: assembled and Go loops differ", n)
		}
	}
}

func TestInt8RefusesWhatIsNotFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		for _, at := range []int{0, 7, Block - 1, Block, 2*Block + 3} {
			src := make([]byte, 4*(2*Block+5))
			of[float32](src)[at] = bad
			err := PackInt8(make([]byte, Int8Bytes(2*Block+5)), src)
			var e *NotFinite
			if !errors.As(err, &e) || e.At != at || err.Error() != fmt.Sprintf("not finite at %d", at) {
				t.Errorf("%v at %d: %v", bad, at, err)
			}
		}
	}
}

func TestDivide(t *testing.T) {
	for typ, want := range map[Type][]byte{
		F64:  binary.LittleEndian.AppendUint64(nil, math.Float64bits(-2.5)),
		F16:  binary.LittleEndian.AppendUint16(nil, f32ToF16(-2.5)),
		BF16: binary.LittleEndian.AppendUint16(nil, f32ToBF16(-2.5)),
		I32:  {0xfe, 0xff, 0xff, 0xff},
		I64:  {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		U8:   {125},
	} {
		sum := map[Type][]byte{
			F64:  binary.LittleEndian.AppendUint64(nil, math.Float64bits(-5)),
			F16:  binary.LittleEndian.AppendUint16(nil, f32ToF16(-5)),
			BF16: binary.LittleEndian.AppendUint16(nil, f32ToBF16(-5)),
			I32:  {0xfb, 0xff, 0xff, 0xff},
			I64:  {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			U8:   {251},
		}[typ]
		Divide(typ, sum, 2)
		if !bytes.Equal(sum, want) {
			t.Errorf("%v: %x, want %x", typ, sum, want)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	const size = 1 << 20
	for _, how := range []string{"assembled", "go"} {
		every(func(t Type, o Op) {
			if o == Mean {
				return
			}
			x, y, z := make([]byte, size), make([]byte, size), make([]byte, size)
			b.Run(fmt.Sprintf("%v/%v/%s", t, o, how), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					if how == "go" {
						plain[t][o](z, x, y)
					} else {
						Fold(t, o, z, x, y)
					}
				}
			})
		})
	}
}

func BenchmarkWire(b *testing.B) {
	const n = 1 << 18
	x, h, q, y := make([]byte, 4*n), make([]byte, 2*n), make([]byte, Int8Bytes(n)), make([]byte, 4*n)
	fill(I32, x, rand.New(rand.NewPCG(1, 2)))
	for i := range of[float32](x) {
		of[float32](x)[i] = float32(i%1000) - 500
	}
	for name, f := range map[string]func(){
		"packBF16":    func() { PackBF16(h, x) },
		"unpackBF16":  func() { UnpackBF16(y, h, len(y)) },
		"addPackBF16": func() { AddPackBF16(h, x, h) },
		"packInt8":    func() { _ = PackInt8(q, x) },
		"unpackInt8":  func() { UnpackInt8(y, q, len(y)) },
		"addInt8":     func() { AddInt8(y, x, q) },
		"divide":      func() { Divide(F32, y, 3) },
	} {
		for _, how := range []string{"assembled", "go"} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.SetBytes(4 * n)
				run := func() {
					for b.Loop() {
						f()
					}
				}
				if how == "go" {
					inGo(run)
				} else {
					run()
				}
			})
		}
	}
}
