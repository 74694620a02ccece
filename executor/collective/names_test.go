package collective

import (
	"errors"
	"strings"
	"testing"
)

// TestNamesThatDiffer has every rank told what differs, and between whom.
func TestNamesThatDiffer(t *testing.T) {
	plain := func(n int) Operation { return sum(make([]float32, n), make([]float32, n), Sum) }
	for what, c := range map[string]struct {
		spoil func(o *Operation)
		says  string
	}{
		"shape": {func(o *Operation) { o.Shape = []int{3, 2} }, "shape [3 2]"},
		"size": {func(o *Operation) {
			*o = Operation{Kind: o.Kind, Name: o.Name, Shape: o.Shape, Src: o.Src[:20], Dst: o.Dst[:20]}
		}, "20 bytes"},
		"type":      {func(o *Operation) { o.Type = I32 }, "i32"},
		"reduction": {func(o *Operation) { o.Reduce = Max }, "(max)"},
		"operation": {func(o *Operation) { o.Kind, o.Src = Broadcast, nil }, "broadcast"},
		"wire":      {func(o *Operation) { o.Wire = AsBF16 }, "as bf16"},
		"share":     {func(o *Operation) { o.Wire, o.Share = AsTopK, onePercent }, "655 of 65536"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, 4, Options{})
			errs := w.each(func(r int) error {
				o := plain(6)
				o.Name, o.Shape = "layer1.weight", []int{2, 3}
				if r == 2 {
					c.spoil(&o)
				}
				return w.groups[r].Do(t.Context(), o)
			})
			for r, err := range errs {
				if err == nil || !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrAborted) {
					t.Fatalf("rank %d: %v", r, err)
				}
				for _, part := range []string{`layer1.weight`, c.says, "rank 2", "shape [2 3]"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("rank %d is not told of %q: %v", r, part, err)
					}
				}
			}
			w.drop()
		})
	}
}

func TestNameThatSomeNeverSubmit(t *testing.T) {
	w := newWorld(t, 4, prompt)
	errs := w.each(func(r int) error {
		if r == 1 || r == 2 {
			<-w.groups[r].Done()
			return w.groups[r].Err()
		}
		o := sum(make([]float32, 6), make([]float32, 6), Sum)
		o.Name = "layer9.bias"
		return w.groups[r].Do(t.Context(), o)
	})
	for r, err := range errs {
		if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "layer9.bias") || !strings.Contains(err.Error(), "submitted by ranks [0 3]") || !strings.Contains(err.Error(), "not by ranks [1 2]") {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	w.drop()
}

func TestNameInFlightTwice(t *testing.T) {
	w := newWorld(t, 2, Options{})
	o := Operation{Kind: Barrier, Name: "epoch"}
	first, err := w.groups[1].Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.groups[1].Start(t.Context(), o); !errors.Is(err, ErrArgument) || !strings.Contains(err.Error(), "in flight already") {
		t.Errorf("a second %v: %v", o, err)
	}
	if err := w.groups[0].Do(t.Context(), o); err != nil {
		t.Error(err)
	}
	if err := first.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	w.all(func(r int) error { return w.groups[r].Do(t.Context(), o) }) // the name is free again
	w.close()
}

func TestProcessGroupFailsWithItsGroup(t *testing.T) {
	for _, inPart := range []bool{true, false} {
		w := newWorld(t, 3, Options{})
		parts := make([]*Group, 3)
		w.all(func(r int) (err error) {
			if r > 0 {
				parts[r], err = w.groups[r].Part(t.Context(), []int{2, 1})
			}
			return err
		})
		if inPart {
			parts[1].Abort(errors.New("the disk is full"))
		} else {
			w.groups[0].Abort(errors.New("the disk is full"))
		}
		for r, g := range w.groups {
			<-g.Done()
			if err := g.Err(); !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "the disk is full") {
				t.Errorf("rank %d: %v", r, err)
			}
			if parts[r] != nil {
				<-parts[r].Done()
			}
		}
		w.drop()
	}
}
