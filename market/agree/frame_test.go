package agree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/tallycompute/tally/market"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	sent := []market.Message{market.Ack{}, market.StatusRequest{Job: market.JobID{1}}, market.Refusal{Code: "busy", Sentence: "later"}}
	for _, m := range sent {
		if err := writeFrame(&b, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range sent {
		if got, err := readFrame(&b); err != nil || got != want {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	}
	if _, err := readFrame(&b); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("at the end: %v", err)
	}
}

// A peer that announces a large frame and sends little makes little be allocated.
func TestFrameAllocation(t *testing.T) {
	lie := append(binary.BigEndian.AppendUint32(nil, market.MaxMessageBytes), 1, 2, 3)
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readFrame(bytes.NewReader(lie)); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	})
	if got := res.AllocedBytesPerOp(); got > 4*framePart {
		t.Fatalf("%d bytes for a frame that did not come, at most %d", got, 4*framePart)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, m := range []market.Message{market.Ack{}, market.StatusRequest{}, market.Refusal{Code: "busy", Sentence: "later"}, market.Signed{What: "quote", Data: []byte("x")}} {
		var b bytes.Buffer
		if err := writeFrame(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{255, 255, 255, 255})
	f.Add([]byte{0, 0, 0, 1, 0xa0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		m, err := readFrame(r)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeFrame(&again, m); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Bytes(), raw[:len(raw)-r.Len()]) {
			t.Fatal("two frames for one message")
		}
	})
}

func FuzzLogsRequest(f *testing.F) {
	f.Add(make([]byte, logsRequestSize))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) != logsRequestSize {
			return
		}
		if again := decodeLogsRequest([logsRequestSize]byte(raw)).encode(); !bytes.Equal(again, raw) {
			t.Fatalf("%x became %x", raw, again)
		}
	})
}
