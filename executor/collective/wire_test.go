package collective

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func lossy(dst, src []float32, red Reduce, wire Wire) Operation {
	o := sum(dst, src, red)
	o.Wire = wire
	return o
}

// bell are values that are distributed as gradients are, roughly: normally.
func bell(r, n int) []float32 {
	rng := rand.New(rand.NewPCG(uint64(r), 5))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// TestWireFormats bounds what rounding costs, and has all ranks and all runs get the same.
func TestWireFormats(t *testing.T) {
	bound := map[Wire]float64{AsItIs: 1e-6, AsBF16: 0.006, AsInt8: 0.015} // of the vector's length
	first := map[string]string{}
	for run := range 2 {
		for _, n := range []int{1, 2, 3, 5} {
			w := newWorld(t, n, Options{})
			for wire, most := range bound {
				for _, size := range []int{0, 1, 31, 1025, 300_001} {
					ins := make([][]float32, n)
					for r := range ins {
						ins[r] = bell(r, size)
					}
					for _, red := range []Reduce{Sum, Mean} {
						outs := make([][]float32, n)
						w.all(func(r int) error {
							src := slices.Clone(ins[r])
							outs[r] = make([]float32, size)
							if red == Mean { // in place
								outs[r] = src
							}
							if err := w.groups[r].Do(t.Context(), lossy(outs[r], src, red, wire)); err != nil {
								return err
							}
							if red == Sum && !slices.Equal(src, ins[r]) {
								return errors.New("the source was changed")
							}
							return nil
						})
						var off, length float64
						for i := range size {
							var want float64
							for r := range n {
								want += float64(ins[r][i])
							}
							if red == Mean {
								want /= float64(n)
							}
							off += math.Pow(float64(outs[0][i])-want, 2)
							length += want * want
						}
						if math.Sqrt(off) > most*math.Sqrt(length) {
							t.Errorf("%v of %d values over %d ranks %v is off by %.4f", red, size, n, wire, math.Sqrt(off/length))
						}
						for r := range outs {
							if digest(outs[r]) != digest(outs[0]) {
								t.Fatalf("%v of %d values %v: rank %d and rank 0 differ", red, size, wire, r)
							}
						}
						key := fmt.Sprint(n, wire, size, red)
						if d := digest(outs[0]); run == 0 {
							first[key] = d
						} else if first[key] != d {
							t.Errorf("%s: another run gave another result", key)
						}
					}
				}
			}
			w.close()
		}
	}
}

// TestResidualsAreNotLost sums the same small values beside a large one many times: each time int8 rounds them away, but
// what is lost is added the next time, so that over the times nothing is.
func TestResidualsAreNotLost(t *testing.T) {
	const n, size, times = 3, 5000, 400
	w := newWorld(t, n, Options{})
	for _, keep := range []bool{false, true} {
		totals := make([][]float64, n)
		w.all(func(r int) error {
			src, dst, residual := make([]float32, size), make([]float32, size), make([]float32, size)
			for i := range src {
				src[i] = 0.3
			}
			for i := 0; i < size; i += 512 {
				src[i] = 100
			}
			totals[r] = make([]float64, size)
			for range times {
				o := lossy(dst, src, Mean, AsInt8)
				if keep {
					o.Residual = bytesOf(residual)
				}
				if err := w.groups[r].Do(t.Context(), o); err != nil {
					return err
				}
				for i, v := range dst {
					totals[r][i] += float64(v) / times
				}
			}
			return nil
		})
		worst := 0.0
		for i, v := range totals[0] {
			if i%512 != 0 {
				worst = max(worst, math.Abs(v-0.3)/0.3)
			}
		}
		if keep && worst > 0.05 || !keep && worst < 0.5 {
			t.Errorf("residuals kept: %v, the mean over time is off by %.3f", keep, worst)
		}
	}
	w.close()
}

func TestTheTensorThatIsNotFiniteIsNamed(t *testing.T) {
	t.Run("int8", func(t *testing.T) { notFiniteIsNamed(t, AsInt8, 0) })
	t.Run("top k", func(t *testing.T) { notFiniteIsNamed(t, AsTopK, onePercent) })
}

func notFiniteIsNamed(t *testing.T, wire Wire, share uint16) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		for _, at := range []int{0, 70_000, 149_999} { // another rank's part, and the rank's own
			w := newWorld(t, 3, Options{})
			errs := w.each(func(r int) error {
				src := inputs(r, 150_000)
				if r == 1 {
					src[at] = bad
				}
				o := lossy(make([]float32, len(src)), src, Sum, wire)
				o.Share = share
				o.Name = "layer3.bias"
				return w.groups[r].Do(t.Context(), o)
			})
			for r, err := range errs {
				if err == nil || !strings.Contains(err.Error(), `layer3.bias`) || !strings.Contains(err.Error(), fmt.Sprintf("value %d is not finite", at)) {
					t.Errorf("rank %d, %v at %d: %v", r, bad, at, err)
				}
			}
			w.drop()
		}
	}
}

// TestNotFiniteValuesPass has NaN and infinities go through the formats that have them, as IEEE 754 says.
func TestNotFiniteValuesPass(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, size := range []int{64, 50_000} {
		w := newWorld(t, 2, Options{})
		for _, wire := range []Wire{AsItIs, AsBF16} {
			outs := make([][]float32, 2)
			w.all(func(r int) error {
				src := make([]float32, size)
				copy(src, [][]float32{{inf, inf, nan, 1}, {1, -inf, 1, nan}}[r])
				outs[r] = make([]float32, size)
				return w.groups[r].Do(t.Context(), lossy(outs[r], src, Sum, wire))
			})
			got := outs[0]
			if got[0] != inf || got[1] == got[1] || got[2] == got[2] || got[3] == got[3] || got[4] != 0 || digest(outs[1]) != digest(got) {
				t.Errorf("%d values %v: %v", size, wire, got[:5])
			}
		}
		w.close()
	}
}
