package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

func raw(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// TestLargest compares with sorting.
func TestLargest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c Counts
	for _, n := range []int{1, 2, 7, 100, 5000, 70_000} {
		for kind, value := range map[string]func() float32{
			"normal":  func() float32 { return float32(rng.NormFloat64()) },
			"few":     func() float32 { return float32(rng.IntN(5) - 2) }, // many are equal
			"close":   func() float32 { return math.Float32frombits(0x3f800000 + uint32(rng.IntN(1000))) },
			"any":     func() float32 { return math.Float32frombits(rng.Uint32() &^ (1 << 30)) },
			"nothing": func() float32 { return 0 },
		} {
			v := make([]float32, n)
			order := make([]int, n)
			for i := range v {
				v[i], order[i] = value(), i
			}
			size := func(i int) float64 { return math.Abs(float64(v[i])) }
			slices.SortStableFunc(order, func(a, b int) int {
				switch {
				case size(a) > size(b):
					return -1
				case size(a) < size(b):
					return 1
				}
				return a - b
			})
			for _, k := range []int{1, (n + 99) / 100, (n + 1) / 2, n} {
				entries := make([]byte, k*EntryBytes)
				if err := Largest(entries, raw(v), k, &c); err != nil {
					t.Fatal(err)
				}
				want := make([]float32, n)
				for _, i := range order[:k] {
					want[i] = v[i] + 0
				}
				got := make([]float32, n)
				if err := AddEntries(raw(got), entries); err != nil {
					t.Fatalf("%s, %d of %d: %v", kind, k, n, err)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: the largest %d of %d are others", kind, k, n)
				}
				rest := slices.Clone(v)
				ClearEntries(raw(rest), entries)
				for i := range rest {
					if rest[i]+got[i] != v[i] {
						t.Fatalf("%s: %d of %d: value %d is %v, of which %v is sent and %v kept", kind, k, n, i, v[i], got[i], rest[i])
					}
				}
			}
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		v := make([]float32, 9000)
		v[8123] = float32(bad)
		var e *NotFinite
		if err := Largest(make([]byte, EntryBytes), raw(v), 1, &c); !errors.As(err, &e) || e.At != 8123 {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// FuzzEntries has entries come from anybody.
func FuzzEntries(f *testing.F) {
	f.Add([]byte{}, 5)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0x80, 0x3f, 3, 0, 0, 0, 0, 0, 0x80, 0xbf}, 4)
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0x80, 0x3f, 3, 0, 0, 0, 0, 0, 0x80, 0xbf}, 4)
	f.Add([]byte{4, 0, 0, 0, 0, 0, 0x80, 0x3f}, 4)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0x80, 0x7f}, 4)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = min(max(n, 0), 1<<16)
		entries := make([]byte, len(b)/EntryBytes*EntryBytes)
		copy(entries, b)
		v := make([]float32, n)
		err := AddEntries(raw(v), entries)
		if err != nil {
			if !errors.Is(err, ErrEntries) {
				t.Fatal(err)
			}
			return
		}
		// What was taken is what Largest makes of the sums.
		k := len(entries) / EntryBytes
		if k > n {
			t.Fatalf("%d entries of %d values were taken", k, n)
		}
		nonzero := 0
		for _, x := range v {
			if x != x || math.IsInf(float64(x), 0) {
				t.Fatal("a value that is not finite was taken")
			}
			if x != 0 {
				nonzero++
			}
		}
		if nonzero == 0 {
			return
		}
		var c Counts
		again, w := make([]byte, nonzero*EntryBytes), make([]float32, n)
		if err := Largest(again, raw(v), nonzero, &c); err != nil {
			t.Fatal(err)
		}
		if err := AddEntries(raw(w), again); err != nil || !slices.Equal(v, w) {
			t.Fatalf("%v became %v: %v", v, w, err)
		}
	})
}

func BenchmarkLargest(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, 4<<20)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	k := len(v) / 100
	entries := make([]byte, k*EntryBytes)
	var c Counts
	b.SetBytes(int64(4 * len(v)))
	for b.Loop() {
		if err := Largest(entries, raw(v), k, &c); err != nil {
			b.Fatal(err)
		}
	}
}
