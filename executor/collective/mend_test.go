package collective

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// lose has one rank go away at once, without a word.
func (w *world) lose(rank int) { _ = w.hosts[rank].Close() }

// TestEveryOperationMends loses rank 1 of 4 while all others wait for it in one operation of each kind, described in the
// ranks of all four.
func TestEveryOperationMends(t *testing.T) {
	const n, size, victim = 4, 90_000, 1
	for name, c := range map[string]struct {
		do   func(r int) Operation
		want func(r int) []byte // nil: an error that names the lost one
	}{
		"allreduce": {
			func(r int) Operation {
				return Operation{Kind: AllReduce, Type: I32, Src: exact(I32, r, size), Dst: make([]byte, 4*size)}
			},
			func(int) []byte { return foldedOf(I32, []int{0, 2, 3}, size) },
		},
		"allreduce by name": {
			func(r int) Operation {
				return Operation{Kind: AllReduce, Name: "w", Type: I32, Src: exact(I32, r, size), Dst: make([]byte, 4*size)}
			},
			func(int) []byte { return foldedOf(I32, []int{0, 2, 3}, size) },
		},
		"reducescatter": {
			func(r int) Operation {
				return Operation{Kind: ReduceScatter, Type: I32, Src: exact(I32, r, size), Dst: make([]byte, 4*(size/10)*(r+1)), Counts: tenths(size)}
			},
			func(r int) []byte { return split(foldedOf(I32, []int{0, 2, 3}, size), tenths(size))[r] },
		},
		"allgather": {
			func(r int) Operation {
				return Operation{Kind: AllGather, Src: noise(tenths(size)[r], uint64(r)), Dst: make([]byte, 4*size), Counts: tenths(size)}
			},
			func(int) (all []byte) {
				for r, part := range tenths(size) {
					if r == victim {
						all = append(all, make([]byte, part)...)
					} else {
						all = append(all, noise(part, uint64(r))...)
					}
				}
				return all
			},
		},
		"broadcast": {
			func(r int) Operation { return Operation{Kind: Broadcast, Root: 3, Dst: noise(size, uint64(r))} },
			func(int) []byte { return noise(size, 3) },
		},
		"broadcast from the lost one": {
			func(r int) Operation { return Operation{Kind: Broadcast, Root: victim, Dst: noise(size, uint64(r))} }, nil,
		},
		"broadcast by name from the lost one": {
			func(r int) Operation {
				return Operation{Kind: Broadcast, Name: "b", Root: victim, Dst: noise(size, uint64(r))}
			}, nil,
		},
		"alltoall": {
			func(r int) Operation {
				return Operation{Kind: AllToAll, Src: noise(4*size, uint64(r)), Dst: make([]byte, 4*size)}
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, circles := newCircles(t, n, brisk)
			errs := w.each(func(r int) error {
				if r == victim {
					w.lose(r)
					return nil
				}
				o := c.do(r)
				err := circles[r].Do(t.Context(), o)
				if c.want == nil {
					var pe *PeerError
					if !errors.As(err, &pe) || pe.Kind != ErrLost || pe.Rank != victim || pe.Peer != w.hosts[victim].ID() {
						return fmt.Errorf("the lost one is not named: %w", err)
					}
				} else if err != nil {
					return err
				} else if !bytes.Equal(o.Dst, c.want(r)) {
					return errors.New("the result is wrong")
				}
				if o := c.do(r); len(o.Src) > 0 && circles[r].Do(t.Context(), o) == nil != (c.want != nil) { // and again, in the same words
					return errors.New("the second time is not as the first")
				}
				return circles[r].Close(t.Context())
			})
			for r, err := range errs {
				if err != nil {
					t.Errorf("rank %d: %v", r, err)
				}
			}
			disperse(t, circles)
		})
	}
}

// tenths are parts of 1, 2, 3 and 4 tenths, in bytes of int32.
func tenths(size int) []int {
	return []int{4 * size / 10, 8 * size / 10, 12 * size / 10, 16 * size / 10}
}

func foldedOf(typ Type, ranks []int, n int) []byte {
	all := exact(typ, ranks[0], n)
	for _, r := range ranks[1:] {
		kernel.Fold(typ, Sum, all, all, exact(typ, r, n))
	}
	return all
}

// TestManyInFlightMend loses two of five while dozens of operations are under way, with and without a name, and compares
// all results of those who are left.
func TestManyInFlightMend(t *testing.T) {
	const n, rounds, each, size = 5, 12, 16, 20_000
	w, circles := newCircles(t, n, brisk)
	results := make([]map[string]string, n)
	errs := w.each(func(r int) error {
		results[r] = map[string]string{}
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		for k := range rounds {
			if r == 0 && k == 3 || r == 3 && k == 7 {
				go func() {
					w.lose(r)
					kill()
				}()
			}
			if r == 0 && k == 5 || r == 3 && k == 9 { // however fast they are, they do not come to the end
				<-ctx.Done()
			}
			var handles []*Handle
			var dsts [][]float32
			place := func(i int) int { // names, which are the odd ones, come in another order on each rank
				return (i + 2*r*(i%2)) % each
			}
			for i := range each {
				at := place(i)
				src, dst := inputs(100*k+10*at+r, size), make([]float32, size)
				o := sum(dst, src, Sum)
				if at%2 == 1 {
					o.Name = fmt.Sprintf("w%d", at)
				}
				if at%4 == 2 {
					o.Reduce = Mean
				}
				h, err := circles[r].Start(ctx, o)
				if err != nil {
					return err
				}
				handles, dsts = append(handles, h), append(dsts, dst)
				defer func() { <-h.Done() }()
			}
			for i, h := range handles {
				if err := h.Wait(t.Context()); err != nil {
					return err
				}
				results[r][fmt.Sprintf("%d/%d", k, place(i))] = digest(dsts[i])
			}
		}
		return circles[r].Close(t.Context())
	})
	for r, err := range errs {
		if gone := r == 0 || r == 3; gone == (err == nil) {
			t.Errorf("rank %d: %v", r, err)
		}
		for what, d := range results[r] {
			if other, ok := results[1][what]; ok && other != d {
				t.Errorf("operation %s: rank %d and rank 1 parted", what, r)
			}
		}
	}
	if len(results[1]) != rounds*each || len(results[2]) != rounds*each || len(results[4]) != rounds*each {
		t.Errorf("%d, %d and %d results", len(results[1]), len(results[2]), len(results[4]))
	}
	disperse(t, circles)
}

// TestHalfGoesOnWithTheFirst loses one of two: the first goes on alone, the second does not.
func TestHalfGoesOnWithTheFirst(t *testing.T) {
	for lost := range 2 {
		o := brisk
		o.Meet = 2 * brisk.Heartbeat * 10
		w, circles := newCircles(t, 2, o)
		w.lose(lost)
		src, dst := inputs(1-lost, 5000), make([]float32, 5000)
		err := circles[1-lost].Do(t.Context(), sum(dst, src, Sum))
		if lost == 1 && (err != nil || digest(src) != digest(dst)) {
			t.Errorf("the first: %v", err)
		}
		if lost == 0 && !errors.Is(err, ErrTimeout) {
			t.Errorf("the second: %v", err)
		}
		disperse(t, circles)
	}
}

// TestTooFewStop loses one of three where the job wants three.
func TestTooFewStop(t *testing.T) {
	o := brisk
	o.Least, o.Meet = 3, 20*brisk.Heartbeat
	w, circles := newCircles(t, 3, o)
	errs := w.each(func(r int) error {
		if r == 2 {
			w.lose(r)
			return nil
		}
		return circles[r].Do(t.Context(), Operation{Kind: Barrier})
	})
	for r := range 2 {
		if !errors.Is(errs[r], ErrLost) && !errors.Is(errs[r], ErrTimeout) {
			t.Errorf("rank %d: %v", r, errs[r])
		}
	}
	disperse(t, circles)
}

// TestPairsAndPartsEndWithALoss has messages and process groups end, while the circle goes on.
func TestPairsAndPartsEndWithALoss(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	parts := make([]*Group, 3)
	w.all(func(r int) (err error) {
		if r < 2 {
			if parts[r], err = circles[r].Part(t.Context(), []int{1, 0}); err != nil {
				return err
			}
			return parts[r].barrier(t.Context())
		}
		return nil
	})
	w.all(func(r int) error {
		switch r {
		case 2:
			w.lose(2)
			return nil
		case 1:
			err := circles[1].Do(t.Context(), Operation{Kind: Receive, Root: 2, Dst: make([]byte, 10)})
			if !errors.Is(err, ErrLost) {
				return fmt.Errorf("receiving from the lost one: %w", err)
			}
		}
		if err := circles[r].Do(t.Context(), Operation{Kind: Barrier}); err != nil {
			return err
		}
		if err := parts[r].barrier(t.Context()); !errors.Is(err, ErrLost) {
			return fmt.Errorf("in the process group: %w", err)
		}
		if _, err := circles[r].Part(t.Context(), []int{0, 1}); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "not without ranks 2") {
			return fmt.Errorf("a process group in the old ranks: %w", err)
		}
		v, err := circles[r].Admit(t.Context())
		if err != nil || len(v.Peers) != 2 {
			return fmt.Errorf("admitting nobody: %v, %w", v, err)
		}
		if parts[r], err = circles[r].Part(t.Context(), []int{1, 0}); err != nil {
			return err
		}
		if err := parts[r].barrier(t.Context()); err != nil {
			return err
		}
		return circles[r].Close(t.Context())
	})
	disperse(t, circles)
}
