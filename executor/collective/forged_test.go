package collective

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestForgedFrames has a member of the group send what no honest one would, on streams that are rightly its own. The other
// is told whom to blame, and waits for nothing.
func TestForgedFrames(t *testing.T) {
	const large = 100_000 // bytes: round the ring
	head := func(change func(h *header)) []byte {
		h := Operation{Kind: AllReduce, Src: make([]byte, large)}.header()
		h.seq, h.epoch = 1, 1
		change(&h)
		b := make([]byte, headerBytes)
		h.put(b)
		return b
	}
	honest := head(func(*header) {})
	bad := func(at int, b byte) []byte {
		f := head(func(*header) {})
		f[at] = b
		return f
	}
	say := func(c control) []byte { return c.encode() }
	pulse := func(under []byte) []byte { return say(control{typ: controlHeartbeat, rank: 1, text: string(under)}) }
	long := say(control{typ: controlAbort, rank: 1})
	binary.LittleEndian.PutUint16(long[2:], maxText+1)
	for name, c := range map[string]struct {
		lane, control []byte
		hangUp        bool
		kind          error
		says          string
	}{
		"another epoch":      {lane: head(func(h *header) { h.epoch = 2 }), kind: ErrMismatch, says: "rank 1"},
		"an earlier header":  {lane: head(func(h *header) { h.seq = 0 }), kind: ErrMismatch, says: "operation 0"},
		"a later header":     {lane: head(func(h *header) { h.seq = 2 }), kind: ErrMismatch, says: "operation 2"},
		"another shape":      {lane: head(func(h *header) { h.digest = 7 }), kind: ErrMismatch, says: "shape 0000000000000007"},
		"no magic":           {lane: bad(0, 'x'), kind: ErrFrame, says: "header"},
		"unknown operation":  {lane: bad(4, 200), kind: ErrFrame, says: "out of bounds"},
		"unknown type":       {lane: bad(6, 99), kind: ErrFrame, says: "out of bounds"},
		"oversized":          {lane: bad(31, 0x7f), kind: ErrFrame, says: "out of bounds"},
		"cut in its header":  {lane: honest[:20], hangUp: true, kind: ErrLost, says: "operation 1"},
		"cut in its payload": {lane: append(honest[:headerBytes:headerBytes], make([]byte, 999)...), hangUp: true, kind: ErrLost, says: "operation 1"},

		"unknown control frame": {control: []byte(strings.Repeat("x", controlBytes)), kind: ErrFrame, says: "control"},
		"oversized heartbeat":   {control: pulse(bytes.Repeat(honest, orderedLanes+1)), kind: ErrFrame, says: "control"},
		"half a heartbeat":      {control: pulse(honest[:20]), kind: ErrFrame, says: "control"},
		"nonsense in one":       {control: pulse(bad(4, 200)), kind: ErrFrame, says: "out of bounds"},
		"oversized abort":       {control: long, kind: ErrFrame, says: "control"},
		"ready for another":     {control: say(control{typ: controlReady, rank: 0, text: "w\x00sum"}), kind: ErrFrame, says: "out of its place"},
		"ready without a name":  {control: say(control{typ: controlReady, rank: 1, text: "w"}), kind: ErrFrame, says: "without a name"},
		"ready twice": {
			control: append(say(control{typ: controlReady, rank: 1, text: "w\x00sum"}), say(control{typ: controlReady, rank: 1, text: "w\x00sum"})...),
			kind:    ErrFrame, says: "twice",
		},
		"go from another than rank 0": {control: say(control{typ: controlGo, rank: 0, seq: 1, text: "w"}), kind: ErrFrame, says: "out of its place"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2, Options{})
			forger := w.groups[1].links[0]
			if len(c.lane) > 0 {
				if _, err := forger.pipes[1].stream.Write(c.lane); err != nil {
					t.Fatal(err)
				}
				if c.hangUp {
					_ = forger.pipes[1].stream.Close()
				}
			}
			if len(c.control) > 0 {
				if _, err := forger.ctl.Write(c.control); err != nil {
					t.Fatal(err)
				}
			}
			buf := make([]float32, large/4)
			err := w.groups[0].Do(t.Context(), sum(buf, buf, Sum))
			var pe *PeerError
			if !errors.As(err, &pe) || pe.Rank != 1 || pe.Kind != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("rank 0: %v", err)
			}
			w.drop()
		})
	}
}

// TestHeartbeatOfAnotherOperation has a member send what is expected of it, and say all the while that it is in another
// operation.
func TestHeartbeatOfAnotherOperation(t *testing.T) {
	w := newWorld(t, 2, Options{})
	h := Operation{Kind: Broadcast, Dst: make([]byte, 100_000)}.header()
	h.seq, h.epoch = 1, 1
	under := make([]byte, headerBytes)
	h.put(under)
	var forging sync.WaitGroup
	forging.Go(func() {
		for {
			select {
			case <-w.groups[0].Done():
				return
			case <-time.After(10 * time.Millisecond):
				w.groups[1].links[0].post(control{typ: controlHeartbeat, rank: 1, text: string(under)})
			}
		}
	})
	buf := make([]float32, 25_000)
	err := w.groups[0].Do(t.Context(), sum(buf, buf, Sum))
	forging.Wait()
	var pe *PeerError
	if !errors.As(err, &pe) || pe.Rank != 1 || pe.Kind != ErrMismatch || !strings.Contains(err.Error(), "broadcast") {
		t.Errorf("rank 0: %v", err)
	}
	w.drop()
}

// TestFloodOfNames has a member announce names without end: rank 0 keeps no more of them than may be in flight.
func TestFloodOfNames(t *testing.T) {
	w := newWorld(t, 2, Options{})
	forger := w.groups[1].links[0]
	go func() {
		for i := range 10_000 {
			name := string(rune('a'+i%26)) + strings.Repeat("x", i/26%200)
			if _, err := forger.ctl.Write(control{typ: controlReady, rank: 1, text: name + "\x00sum"}.encode()); err != nil {
				return
			}
		}
	}()
	<-w.groups[0].Done()
	var pe *PeerError
	if err := w.groups[0].Err(); !errors.As(err, &pe) || pe.Rank != 1 || pe.Kind != ErrFrame || !strings.Contains(err.Error(), "more than 64") {
		t.Errorf("rank 0: %v", err)
	}
	w.drop()
}

// TestGoForNothing has rank 0 let go a name that nobody waits for.
func TestGoForNothing(t *testing.T) {
	w := newWorld(t, 2, Options{})
	if _, err := w.groups[0].links[1].ctl.Write(control{typ: controlGo, seq: 1, text: "w"}.encode()); err != nil {
		t.Fatal(err)
	}
	<-w.groups[1].Done()
	if err := w.groups[1].Err(); !errors.Is(err, ErrFrame) || !strings.Contains(err.Error(), "does not wait for") {
		t.Errorf("rank 1: %v", err)
	}
	w.drop()
}

// TestCloseMidOperation leaves while operations of every kind are under way: all of them end, everywhere.
func TestCloseMidOperation(t *testing.T) {
	w := newWorld(t, 3, Options{})
	errs := w.each(func(r int) error {
		g := w.groups[r]
		var handles []*Handle
		for k := range 20 {
			buf := make([]float32, 500_000)
			o := sum(buf, buf, Sum)
			if k%2 == 1 {
				o.Name = strings.Repeat("w", k)
			}
			h, err := g.Start(t.Context(), o)
			if err != nil {
				return err
			}
			handles = append(handles, h)
			if r == 1 && k == 9 {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("no time left"))
				err := g.Close(ctx)
				cancel()
				for _, h := range handles {
					<-h.Done()
				}
				return err
			}
		}
		for _, h := range handles {
			if err := h.Wait(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	for r, err := range errs {
		if err == nil || r != 1 && !strings.Contains(err.Error(), w.hosts[1].ID().String()) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	w.drop()
}
