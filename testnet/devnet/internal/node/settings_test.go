package node

import (
	"testing"
	"time"
)

func TestResumeMovesTheStartOnlyForLongStops(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Settings{SystemStart: start, SlotLengthMS: 200, EpochLength: 100}
	at := func(slot int) time.Time { return start.Add(time.Duration(slot) * s.SlotLength()) }
	for _, x := range []struct {
		name  string
		tip   uint64
		now   time.Time
		moves bool
	}{
		{"at once", 1000, at(1001), false},
		{"a short stop", 1000, at(1040), false},
		{"half an epoch", 1000, at(1050), true},
		{"a long stop", 1000, at(90_000), true},
		{"a chain never started again", 0, at(10_000), true},
		{"a clock set back", 1000, at(-10), true},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := s.resume(x.tip, x.now)
			if moved := !r.SystemStart.Equal(start); moved != x.moves {
				t.Fatalf("the start is %v", r.SystemStart)
			}
			if !x.moves {
				return
			}
			slot := r.Clock().Slot(x.now)
			if slot <= x.tip || slot > x.tip+1+uint64(time.Second/s.SlotLength()) {
				t.Errorf("the present is slot %d after a tip at %d", slot, x.tip)
			}
			if r.SystemStart.Nanosecond() != 0 {
				t.Errorf("the start %v is no whole second", r.SystemStart)
			}
		})
	}
}
