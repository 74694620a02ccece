package collective

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
)

var sizes = []int{0, 1, 3, 1000, smallBytes/4 - 1, smallBytes / 4, smallBytes/4 + 1, localBytes / 4, localBytes/4 + 1, 1<<18 + 3, 5_000_000}

func TestAllReduceSum(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			w := newWorld(t, n, Options{})
			var payload uint64
			for _, size := range sizes {
				checkSum(t, w, size, false)
				checkSum(t, w, min(size, 1<<19), true)
				payload += uint64(size)
			}
			w.close()
			for r, g := range w.groups {
				for id, tr := range g.Traffic() {
					if n == 2 && tr.Sent < payload*4 {
						t.Errorf("rank %d sent %d bytes to %s, less than the %d of its inputs", r, tr.Sent, id, payload*4)
					}
				}
			}
		})
	}
}

// checkSum compares one allreduce with the float64 sum and between ranks.
func checkSum(t *testing.T, w *world, size int, inPlace bool) {
	t.Helper()
	out := make([][]float32, len(w.hosts))
	w.all(func(r int) error {
		src := inputs(r, size)
		out[r] = src
		if !inPlace {
			out[r] = make([]float32, size)
			defer func() {
				if digest(src) != digest(inputs(r, size)) {
					t.Errorf("rank %d: the source of %d values was changed", r, size)
				}
			}()
		}
		return w.groups[r].Do(t.Context(), sum(out[r], src, Sum))
	})
	for i := range size {
		var want, scale float64
		for r := range w.hosts {
			v := float64(value(r, i))
			want, scale = want+v, scale+math.Abs(v)
		}
		if got := float64(out[0][i]); math.Abs(got-want) > scale*1e-6 {
			t.Fatalf("size %d: value %d is %v, want %v", size, i, got, want)
		}
	}
	for r := range out {
		if digest(out[r]) != digest(out[0]) {
			t.Fatalf("size %d: rank %d and rank 0 differ in some bit", size, r)
		}
	}
}

func TestAllReduceOtherReductions(t *testing.T) {
	w := newWorld(t, 3, Options{})
	for _, size := range []int{5, 70_001} {
		for _, red := range []Reduce{Mean, Min, Max} {
			out := make([][]float32, 3)
			w.all(func(r int) error {
				out[r] = make([]float32, size)
				return w.groups[r].Do(t.Context(), sum(out[r], inputs(r, size), red))
			})
			for i := range size {
				v := []float32{value(0, i), value(1, i), value(2, i)}
				mean := (float64(v[0]) + float64(v[1]) + float64(v[2])) / 3
				ok := map[Reduce]bool{
					Mean: math.Abs(float64(out[0][i])-mean) <= 1e-6*(math.Abs(float64(v[0]))+math.Abs(float64(v[1]))+math.Abs(float64(v[2]))),
					Min:  out[0][i] == slices.Min(v),
					Max:  out[0][i] == slices.Max(v),
				}[red]
				if !ok {
					t.Fatalf("%v of %v is %v", red, v, out[0][i])
				}
			}
			if digest(out[0]) != digest(out[1]) || digest(out[1]) != digest(out[2]) {
				t.Fatalf("%v of %d values differs between ranks", red, size)
			}
		}
	}
	w.close()
}

func TestBroadcastGatherBarrier(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		w := newWorld(t, n, Options{})
		for _, size := range []int{0, 1, smallBytes, smallBytes + 1, localBytes, localBytes + 1, 1<<20 + 12} {
			for root := range n {
				want := bytesOf(inputs(root, size/4+1))[:size]
				bufs := make([][]byte, n)
				w.all(func(r int) error {
					bufs[r] = slices.Clone(bytesOf(inputs(r, size/4+1))[:size])
					return w.groups[r].Do(t.Context(), Operation{Kind: Broadcast, Dst: bufs[r], Root: root})
				})
				for r := range bufs {
					if !bytes.Equal(bufs[r], want) {
						t.Fatalf("broadcast of %d bytes from rank %d of %d: rank %d has others", size, root, n, r)
					}
				}
			}
			w.all(func(r int) error {
				dst := make([]byte, n*size)
				if err := w.groups[r].Do(t.Context(), Operation{Kind: AllGather, Dst: dst, Src: bytesOf(inputs(r, size/4+1))[:size]}); err != nil {
					return err
				}
				for o := range n {
					if !bytes.Equal(dst[o*size:(o+1)*size], bytesOf(inputs(o, size/4+1))[:size]) {
						return fmt.Errorf("allgather of %d bytes: rank %d's are wrong", size, o)
					}
				}
				return nil
			})
			w.all(func(r int) error { return w.groups[r].barrier(t.Context()) })
		}
		w.close()
	}
}

// TestNothingGrows holds as much after 10,000 operations as before, of every way to run one.
func TestNothingGrows(t *testing.T) {
	w := newWorld(t, 2, Options{})
	held := func() (int, int) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc), runtime.NumGoroutine()
	}
	operations := func(n int) {
		w.all(func(r int) error {
			small, large := make([]float32, 64), make([]float32, 20_000)
			for k := range n {
				o := sum(small, small, Sum)
				switch k % 50 {
				case 1:
					o.Name = fmt.Sprint("step ", k)
				case 2:
					o = sum(large, large, Mean)
				case 3:
					o = lossy(large, large, Mean, AsInt8)
				case 4:
					o = lossy(large, large, Mean, AsBF16)
				}
				if err := w.groups[r].Do(t.Context(), o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	operations(500)
	heap, goroutines := held()
	operations(10_000)
	after, more := held()
	if after > heap+1<<20 || more > goroutines+2 {
		t.Errorf("10,000 operations left %d bytes and %d goroutines", after-heap, more-goroutines)
	}
	w.close()
}

// BenchmarkAllReduce has every rank on this machine: read ratios, not figures.
func BenchmarkAllReduce(b *testing.B) {
	for _, n := range []int{2, 4} {
		for _, size := range []int{1 << 10, 1 << 20, 16 << 20} {
			b.Run(fmt.Sprintf("ranks=%d/bytes=%d", n, size), func(b *testing.B) {
				w := newWorld(b, n, Options{})
				bufs := make([][]float32, n)
				for r := range bufs {
					bufs[r] = make([]float32, size/4)
				}
				b.SetBytes(int64(size))
				b.ResetTimer()
				w.all(func(r int) error {
					for range b.N {
						if err := w.groups[r].Do(b.Context(), sum(bufs[r], bufs[r], Sum)); err != nil {
							return err
						}
					}
					return nil
				})
				b.StopTimer()
				w.close()
			})
		}
	}
}
