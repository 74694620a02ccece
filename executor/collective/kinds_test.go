package collective

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// exact are n elements that every type folds without rounding, whatever the order: sums and products stay small.
func exact(typ Type, rank, n int) []byte {
	var b []byte
	for i := range n {
		v := [...]float32{1, 2, -1, 1, 0, 1, 1, -2}[(i*7+rank*3+i/11)%8]
		switch typ {
		case F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		case F64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(v)))
		case BF16:
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(v)>>16))
		case F16:
			b = binary.LittleEndian.AppendUint16(b, map[float32]uint16{0: 0, 1: 0x3c00, 2: 0x4000, -1: 0xbc00, -2: 0xc000}[v])
		case I32:
			b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
		case I64:
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(v)))
		case U8:
			b = append(b, byte(int8(v)))
		}
	}
	return b
}

// folded is what an allreduce of exact makes.
func folded(typ Type, red Reduce, ranks, n int) []byte {
	all := exact(typ, 0, n)
	for r := 1; r < ranks; r++ {
		kernel.Fold(typ, red, all, all, exact(typ, r, n))
	}
	if red == Mean {
		kernel.Divide(typ, all, ranks)
	}
	return all
}

func TestEveryTypeAndReduction(t *testing.T) {
	const n = 4
	w := newWorld(t, n, Options{})
	for typ := F32; typ.Valid(); typ++ {
		for red := Sum; red.Valid(); red++ {
			counts := []int{0, 77, smallBytes/typ.Size() + 5}
			if red == Sum {
				counts = append(counts, 1, 200_001)
			}
			for _, count := range counts {
				want := folded(typ, red, n, count)
				parts := make([]int, n) // the last ranks have more, rank 1 nothing
				for r, rest := 0, count; r < n; r++ {
					take := rest / (n - r)
					if r == 1 {
						take = 0
					}
					parts[r], rest = take*typ.Size(), rest-take
				}
				w.all(func(r int) error {
					src, dst := exact(typ, r, count), make([]byte, len(want))
					if err := w.groups[r].Do(t.Context(), Operation{Kind: AllReduce, Type: typ, Reduce: red, Dst: dst, Src: src}); err != nil {
						return err
					}
					mine := make([]byte, parts[r])
					if err := w.groups[r].Do(t.Context(), Operation{Kind: ReduceScatter, Type: typ, Reduce: red, Dst: mine, Src: src, Counts: parts}); err != nil {
						return err
					}
					if !bytes.Equal(dst, want) || !bytes.Equal(mine, split(want, parts)[r]) {
						return fmt.Errorf("%v of %d %v is wrong", red, count, typ)
					}
					if !bytes.Equal(src, exact(typ, r, count)) {
						return fmt.Errorf("%v of %d %v: the source was changed", red, count, typ)
					}
					return nil
				})
			}
		}
	}
	w.close()
}

// noise are bytes that tell where they come from.
func noise(n int, seed ...uint64) []byte {
	rng := rand.New(rand.NewPCG(uint64(len(seed)), slices.Max(seed)*1000003+seed[0]*31+seed[len(seed)-1]))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestUnevenParts(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		w := newWorld(t, n, Options{})
		for _, size := range []int{0, 3, 5000, 700_001} {
			length := func(from, to int) int { return size * ((from + 2*to) % 3) / 2 }
			gather, all := make([]int, n), []byte(nil)
			for r := range n {
				gather[r] = length(r, r)
				all = append(all, noise(gather[r], uint64(r))...)
			}
			w.all(func(r int) error {
				dst := make([]byte, len(all))
				if err := w.groups[r].Do(t.Context(), Operation{Kind: AllGather, Dst: dst, Src: noise(gather[r], uint64(r)), Counts: gather}); err != nil {
					return err
				}
				if !bytes.Equal(dst, all) {
					return fmt.Errorf("allgather of %v is wrong", gather)
				}
				o := Operation{Kind: AllToAll, Counts: make([]int, n), Receive: make([]int, n)}
				var want []byte
				for p := range n {
					o.Counts[p], o.Receive[p] = length(r, p), length(p, r)
					o.Src = append(o.Src, noise(length(r, p), uint64(r), uint64(p))...)
					want = append(want, noise(length(p, r), uint64(p), uint64(r))...)
				}
				o.Dst = make([]byte, len(want))
				if err := w.groups[r].Do(t.Context(), o); err != nil {
					return err
				}
				if !bytes.Equal(o.Dst, want) {
					return fmt.Errorf("alltoall of %v is wrong", o.Counts)
				}
				return nil
			})
		}
		w.close()
	}
}

func TestSendAndReceive(t *testing.T) {
	const n, messages = 3, 20
	w := newWorld(t, n, Options{})
	size := func(from, to, k int) int { return (from*7 + to*3 + k) % 4 * 100_003 }
	w.all(func(r int) error {
		g := w.groups[r]
		var handles []*Handle
		type got struct {
			from, k int
			b       []byte
		}
		var all []got
		for k := range messages {
			for p := range n {
				if p == r {
					continue
				}
				in := got{p, k, make([]byte, size(p, r, k))}
				all = append(all, in)
				for _, o := range []Operation{
					{Kind: Send, Root: p, Src: noise(size(r, p, k), uint64(r), uint64(k))},
					{Kind: Receive, Root: p, Dst: in.b},
				} {
					h, err := g.Start(t.Context(), o)
					if err != nil {
						return err
					}
					handles = append(handles, h)
				}
			}
			h, err := g.Start(t.Context(), Operation{Kind: Barrier}) // beside them
			if err != nil {
				return err
			}
			handles = append(handles, h)
		}
		for _, h := range handles {
			if err := h.Wait(t.Context()); err != nil {
				return err
			}
		}
		for _, in := range all {
			if !bytes.Equal(in.b, noise(len(in.b), uint64(in.from), uint64(in.k))) {
				return fmt.Errorf("message %d from rank %d is wrong", in.k, in.from)
			}
		}
		return nil
	})
	w.close()
}

// TestNamesMatchInAnyOrder has every rank submit the same names in an order of its own, among operations without one.
func TestNamesMatchInAnyOrder(t *testing.T) {
	const n, names = 4, 150
	w := newWorld(t, n, Options{})
	var digests [n][]string
	w.all(func(r int) error {
		g := w.groups[r]
		order := rand.New(rand.NewPCG(1, uint64(r))).Perm(names / 3)
		digests[r] = make([]string, names)
		for third := range 3 { // at most 64 in flight
			var handles []*Handle
			outs := map[int][]float32{}
			for _, k := range order {
				k += third * (names / 3)
				size := []int{1, 900, 20_000}[k%3]
				out := make([]float32, size)
				outs[k] = out
				o := sum(out, inputs(r+k, size), Sum)
				o.Name, o.Shape = fmt.Sprintf("layer%d.weight", k), []int{size}
				h, err := g.Start(t.Context(), o)
				if err != nil {
					return err
				}
				if handles = append(handles, h); len(handles)%9 == 0 {
					if h, err = g.Start(t.Context(), Operation{Kind: Barrier}); err != nil {
						return err
					}
					handles = append(handles, h)
				}
			}
			for _, h := range handles {
				if err := h.Wait(t.Context()); err != nil {
					return err
				}
			}
			for k, out := range outs {
				digests[r][k] = digest(out)
				var want float64
				for p := range n {
					want += float64(value(p+k, 0))
				}
				if math.Abs(float64(out[0])-want) > 1 {
					return fmt.Errorf("layer %d begins with %v, want %v", k, out[0], want)
				}
			}
		}
		return nil
	})
	for r := range n {
		if !slices.Equal(digests[r], digests[0]) {
			t.Errorf("rank %d and rank 0 differ", r)
		}
	}
	w.close()
}

func TestProcessGroups(t *testing.T) {
	const n = 4
	w := newWorld(t, n, Options{})
	members := [][]int{{0, 1}, {3, 1, 2}, {0, 2}, {2, 3}, {0, 1}, {2}}
	w.all(func(r int) error {
		for round := range 3 {
			for i, ranks := range members {
				if !slices.Contains(ranks, r) {
					continue
				}
				if round == 0 {
					if _, err := w.groups[r].Part(t.Context(), ranks); err != nil {
						return err
					}
				}
				mine := 0 // which of this rank's process groups it is
				for _, before := range members[:i] {
					if slices.Contains(before, r) {
						mine++
					}
				}
				part := w.groups[r].parts[mine]
				if part.Size() != len(ranks) || ranks[part.Rank()] != r {
					return fmt.Errorf("group %v: rank %d of %d", ranks, part.Rank(), part.Size())
				}
				b := []float32{float32(r + round)}
				want := float32(len(ranks) * round)
				for _, p := range ranks {
					want += float32(p)
				}
				if err := part.Do(t.Context(), sum(b, b, Sum)); err != nil {
					return err
				}
				if b[0] != want {
					return fmt.Errorf("group %v: %v, want %v", ranks, b[0], want)
				}
			}
			if err := w.groups[r].barrier(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	w.close()
}
