package collective

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestLostMemberComesBack loses a rank, which comes back at a step boundary with the others' next operation.
func TestLostMemberComesBack(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	errs := w.each(func(r int) error {
		size := func(v View) error { // a sum of ones, in the words of a view
			src, dst := []float32{1}, make([]float32, 1)
			if err := circles[r].Do(t.Context(), sum(dst, src, Sum)); err != nil || dst[0] != float32(len(v.Peers)) {
				return fmt.Errorf("%v of %d: %w", dst, len(v.Peers), err)
			}
			return nil
		}
		if r == 1 {
			circles[1].Leave(t.Context(), errors.New("the disk is full"))
			var err error
			if circles[1], err = w.services[1].Enter(t.Context(), w.view(1), brisk); err != nil {
				return err
			}
			if v := circles[1].Spoken(); len(v.Peers) != 3 || v.Rank != 1 {
				return fmt.Errorf("it came in as %+v", v)
			}
			if err := size(circles[1].Spoken()); err != nil {
				return err
			}
			return circles[1].Close(t.Context())
		}
		seen := 3
		for {
			v, err := circles[r].Admit(t.Context())
			if err != nil {
				return err
			}
			back := seen == 2 && len(v.Peers) == 3
			seen = len(v.Peers)
			if err := size(v); back || err != nil {
				return errors.Join(err, circles[r].Close(t.Context()))
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	for r, err := range errs {
		if err != nil {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	disperse(t, circles)
}
