package collective

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// topK is a sum or mean of which each rank sends so many of 65536 values.
func topK(dst, src []float32, red Reduce, share uint16) Operation {
	o := lossy(dst, src, red, AsTopK)
	o.Share = share
	return o
}

// onePercent of the values travel.
const onePercent = 655

// TestTopKSumsTheLargest compares with sorting, on ranks whose largest values lie elsewhere.
func TestTopKSumsTheLargest(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		w := newWorld(t, n, Options{})
		for _, size := range []int{0, 100, 5000, 100_003} {
			for _, share := range []uint16{1, onePercent, 65535} {
				want := make([]float32, size)
				k := (size*int(share) + 65535) / 65536
				whole := n == 1 || 4*size <= smallBytes || k*n > size
				for r := range n {
					v := bell(r, size)
					order := make([]int, size)
					for i := range order {
						order[i] = i
					}
					slices.SortStableFunc(order, func(a, b int) int {
						switch x, y := math.Abs(float64(v[a])), math.Abs(float64(v[b])); {
						case x > y:
							return -1
						case x < y:
							return 1
						}
						return a - b
					})
					if whole {
						k = size
					}
					for _, i := range order[:k] {
						want[i] += v[i]
					}
				}
				outs := make([][]float32, n)
				w.all(func(r int) error {
					src := bell(r, size)
					outs[r] = make([]float32, size)
					if share == onePercent { // in place
						outs[r] = src
					}
					return w.groups[r].Do(t.Context(), topK(outs[r], src, Mean, share))
				})
				for r := range outs {
					if digest(outs[r]) != digest(outs[0]) {
						t.Fatalf("%d values, %d of 65536: rank %d and rank 0 differ", size, share, r)
					}
				}
				for i, x := range want {
					if got := outs[0][i]; math.Abs(float64(got-x/float32(n))) > 1e-5 {
						t.Fatalf("%d values over %d ranks, %d of 65536: value %d is %v, want %v", size, n, share, i, got, x/float32(n))
					}
				}
			}
		}
		w.close()
	}
}

// TestFeedbackConverges has ranks whose data differ fit one linear model by gradient descent, and says how far they end
// from the best model of all data. Each rank's own data always want something else than all of them, so what rounding or
// leaving out loses is lost for good where it is not kept.
func TestFeedbackConverges(t *testing.T) {
	const n, features, steps = 3, 6000, 600
	target := make([][]float32, n) // what each rank's data want
	best := make([]float64, features)
	for r := range n {
		target[r] = bell(r, features)
		for i, x := range target[r] {
			best[i] += float64(x) / n
		}
	}
	distance := func(wire Wire, keep bool) float64 {
		w := newWorld(t, n, Options{})
		defer w.close()
		models := make([][]float32, n)
		w.all(func(r int) error {
			model, gradient, mean := make([]float32, features), make([]float32, features), make([]float32, features)
			residual := make([]float32, features)
			for range steps {
				for i := range gradient {
					gradient[i] = model[i] - target[r][i]
				}
				o := lossy(mean, gradient, Mean, wire)
				if wire == AsTopK {
					o.Share = onePercent
				}
				if keep {
					o.Residual = bytesOf(residual)
				}
				if err := w.groups[r].Do(t.Context(), o); err != nil {
					return err
				}
				for i, x := range mean {
					model[i] -= 0.005 * x
				}
			}
			models[r] = model
			return nil
		})
		off, length := 0.0, 0.0
		for i, x := range best {
			off += math.Pow(float64(models[0][i])-x, 2)
			length += x * x
		}
		for r := range models {
			if digest(models[r]) != digest(models[0]) {
				t.Errorf("%v: rank %d has another model than rank 0", wire, r)
			}
		}
		return math.Sqrt(off / length)
	}
	whole := distance(AsItIs, false) // does not come to the end either, in so many steps
	for _, wire := range []Wire{AsBF16, AsInt8, AsTopK} {
		with := distance(wire, true)
		t.Logf("%v: %.4f of the way is left with what was lost, %.4f as it is", wire, with, whole)
		if with > 0.2 {
			t.Errorf("%v does not converge with what was lost: %.4f of the way is left", wire, with)
		}
	}
	if without := distance(AsTopK, false); without < 0.5 {
		t.Errorf("%v converges without what was lost: %.4f of the way is left, so that this test shows nothing", AsTopK, without)
	}
}

// TestBF16ResidualsHoldWhatIsLost sums the same values many times: what bfloat16 rounds away each time comes in the end.
func TestBF16ResidualsHoldWhatIsLost(t *testing.T) {
	const n, size, times = 3, 5000, 100
	w := newWorld(t, n, Options{})
	for _, red := range []Reduce{Sum, Mean} {
		totals := make([][]float64, n)
		w.all(func(r int) error {
			src, dst, residual := bell(r, size), make([]float32, size), make([]float32, size)
			src[7] = float32(math.Inf(1))
			totals[r] = make([]float64, size)
			for range times {
				o := lossy(dst, src, red, AsBF16)
				o.Residual = bytesOf(residual)
				if err := w.groups[r].Do(t.Context(), o); err != nil {
					return err
				}
				for i, v := range dst {
					totals[r][i] += float64(v) / times
				}
			}
			if residual[7] != 0 {
				return fmt.Errorf("of an infinity %v is kept", residual[7])
			}
			return nil
		})
		for i, v := range totals[0] {
			want := 0.0
			for r := range n {
				want += float64(bell(r, size)[i])
			}
			if red == Mean {
				want /= n
			}
			if i == 7 {
				if !math.IsInf(v, 1) {
					t.Errorf("an infinity became %v", v)
				}
			} else if math.Abs(v-want) > 6e-4 {
				t.Fatalf("%v: the mean of value %d over time is %v, want %v", red, i, v, want)
			}
		}
	}
	w.close()
}
