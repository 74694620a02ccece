package collective

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
)

// TestSmallWays does everything small through rank 0, as ranks on one machine lay themselves out, and directly: both give
// the same, bit for bit on all ranks.
func TestSmallWays(t *testing.T) {
	const n = 4
	w := newWorld(t, n, Options{})
	laid := *w.groups[0].plan.Load()
	for r, g := range w.groups {
		if p := g.plan.Load(); !p.local || p.String() != "0 1 2 3" || !g.lines.near(farTime) || g.segment != localSegment {
			t.Fatalf("rank %d, on the others' machine, is laid out as %v", r, p)
		}
	}
	between := func() (bytes uint64) {
		for _, l := range w.groups[1].links[2:] {
			bytes += l.sent.Load() + l.received.Load()
		}
		return bytes
	}
	ways := map[bool][]byte{}
	for _, local := range []bool{true, false} {
		for _, g := range w.groups {
			p := laid
			p.local = local
			g.lay(&p, nil)
		}
		before := between()
		all := make([]bytes.Buffer, n)
		w.all(func(r int) error {
			do := func(o Operation) error {
				in := sha256.Sum256(o.Src)
				if err := w.groups[r].Do(t.Context(), o); err != nil {
					return err
				}
				if sha256.Sum256(o.Src) != in {
					t.Errorf("rank %d: %v changed its source", r, o)
				}
				all[r].Write(o.Dst)
				return nil
			}
			for _, red := range []Reduce{Sum, Mean, Max, Prod} {
				src := bell(r, smallBytes/4)
				if err := do(sum(make([]float32, len(src)), src, red)); err != nil {
					return err
				}
			}
			for root := range n {
				if err := do(Operation{Kind: Broadcast, Root: root, Dst: bytesOf(bell(r, 1000))}); err != nil {
					return err
				}
			}
			counts := []int{4, 0, 4000, 12}
			if err := do(Operation{Kind: AllGather, Src: bytesOf(bell(r, counts[r]/4)), Dst: make([]byte, 4016), Counts: counts}); err != nil {
				return err
			}
			return do(Operation{Kind: Barrier})
		})
		for r := range all {
			if !bytes.Equal(all[r].Bytes(), all[0].Bytes()) {
				t.Errorf("local %v: rank %d has other results than rank 0", local, r)
			}
		}
		ways[local] = slices.Clone(all[0].Bytes())
		if ranks := between() - before; (ranks == 0) != local {
			t.Errorf("local %v: %d bytes went between rank 1 and those after it", local, ranks)
		}
	}
	if !bytes.Equal(ways[true], ways[false]) {
		t.Error("the ways differ")
	}
	w.all(func(r int) error { // in place
		buf := inputs(r, 100)
		return w.groups[r].Do(t.Context(), sum(buf, buf, Sum))
	})
	w.close()
}
