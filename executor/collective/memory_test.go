package collective

import (
	"fmt"
	"runtime"
	"testing"
)

// held is what is in use when the garbage is gone: bytes of heap, and goroutines.
func held() (heap int64, goroutines int) {
	var m runtime.MemStats
	for range 3 { // what pools keep goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), runtime.NumGoroutine()
}

// TestOperationsLeaveNothing counts what 2 ranks hold after 1,000 operations and after 10,000, in a group and in a circle.
func TestOperationsLeaveNothing(t *testing.T) {
	const n, few, many = 2, 1000, 10_000
	const most = 256 << 10 // of both ranks: 14 bytes an operation of each
	small, large := 50, smallBytes/4+500
	round := func(do func(Operation) error, r, from, to int) error {
		src, dst := inputs(r, large), make([]float32, large)
		residual := make([]byte, 4*large)
		for k := from; k < to; k++ {
			o := sum(dst[:small], src[:small], Sum)
			switch k % 10 {
			case 3:
				o = sum(dst, src, Mean)
			case 5:
				o = lossy(dst, src, Mean, AsInt8)
				o.Residual = residual
			case 7:
				o.Name = fmt.Sprintf("weight %d", k) // never the same again
			case 9:
				o = Operation{Kind: Barrier}
			}
			if err := do(o); err != nil {
				return fmt.Errorf("operation %d: %w", k, err)
			}
		}
		return nil
	}
	measure := func(t *testing.T, w *world, of func(rank int) func(Operation) error) {
		t.Helper()
		w.all(func(r int) error { return round(of(r), r, 0, few) })
		heap, goroutines := held()
		w.all(func(r int) error { return round(of(r), r, few, many) })
		heapThen, goroutinesThen := held()
		t.Logf("after %d operations %d bytes in use, after %d %d; %d and %d goroutines", few, heap, many, heapThen, goroutines, goroutinesThen)
		if heapThen-heap > most {
			t.Errorf("%d operations have left %d bytes, want at most %d", many-few, heapThen-heap, most)
		}
		if goroutinesThen > goroutines+2*n { // the hosts have some of their own, which come and go
			t.Errorf("%d goroutines, and %d after %d more operations", goroutines, goroutinesThen, many-few)
		}
	}
	t.Run("group", func(t *testing.T) {
		w := newWorld(t, n, Options{})
		measure(t, w, func(r int) func(Operation) error {
			return func(o Operation) error { return w.groups[r].Do(t.Context(), o) }
		})
		w.close()
	})
	t.Run("circle", func(t *testing.T) {
		w, circles := newCircles(t, n, Options{})
		measure(t, w, func(r int) func(Operation) error {
			return func(o Operation) error { return circles[r].Do(t.Context(), o) }
		})
		w.all(func(r int) error { return circles[r].Close(t.Context()) })
	})
}
