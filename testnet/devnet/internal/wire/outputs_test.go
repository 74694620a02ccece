package wire

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/muxer"
)

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAskedFor(t *testing.T) {
	a, b := bytes.Repeat([]byte{0x60}, 29), bytes.Repeat([]byte{0x61}, 29)
	ask := func(kind int, addresses any) any {
		return []any{3, []any{0, []any{0, []any{6, []any{kind, addresses}}}}}
	}
	for _, x := range []struct {
		message any
		want    [][]byte
	}{
		{ask(6, [][]byte{a, b}), [][]byte{a, b}},
		{ask(6, cbor.Tag{Number: 258, Content: [][]byte{a}}), [][]byte{a}},
		{ask(15, [][]byte{a}), nil},
		{[]any{3, []any{0, []any{2, []any{0}}}}, nil},
		{[]any{8}, nil},
	} {
		if got := askedFor(encoded(t, x.message)); !slices.EqualFunc(got, x.want, bytes.Equal) {
			t.Errorf("%v: %x, want %x", x.message, got, x.want)
		}
	}
}

// answerOf is a result of n outputs of each address, in both forms that outputs have.
func answerOf(t *testing.T, n int, addresses ...[]byte) []byte {
	t.Helper()
	outs := cbor.RawMessage{}
	count := 0
	for i := range n {
		for j, a := range addresses {
			var o any = map[uint]any{0: a, 1: 5}
			if i%2 == 1 {
				o = []any{a, 5}
			}
			outs = slices.Concat(outs, encoded(t, []any{bytes.Repeat([]byte{byte(j)}, 32), count}), encoded(t, o))
			count++
		}
	}
	return slices.Concat([]byte{0x82, 0x04, 0x81, 0xbf}, outs, []byte{0xff})
}

// TestExact: answers keep what was asked for, whatever form an output has, over many segments too.
func TestExact(t *testing.T) {
	ours, other := bytes.Repeat([]byte{0x60}, 29), bytes.Repeat([]byte{0x61}, 57)
	same := answerOf(t, 3, ours)
	if got := exact(same, [][]byte{ours}); !bytes.Equal(got, same) {
		t.Errorf("%x became %x", same, got)
	}
	var message []cbor.RawMessage
	mixed := exact(answerOf(t, 1500, ours, other), [][]byte{ours})
	if !decode(mixed, &message) || len(message) != 2 {
		t.Fatal("no message")
	}
	if bytes.Contains(mixed, other) || bytes.Count(mixed, ours) != 1500 {
		t.Errorf("%d of ours are left", bytes.Count(mixed, ours))
	}
	for _, bad := range [][]byte{nil, {0x82}, {0x82, 0x04, 0x80}, {0x82, 0x01, 0x81, 0xa0}, {0x82, 0x04, 0x81, 0xa1, 0x00, 0x00}} {
		if got := exact(bad, [][]byte{ours}); !bytes.Equal(got, bad) {
			t.Errorf("%x became %x", bad, got)
		}
	}
	head := segment(7|answer, nil)
	var together []byte
	for rest := segments(head, mixed); len(rest) > 0; {
		n := int(rest[6])<<8 | int(rest[7])
		if n > muxer.SegmentMaxPayloadLength || !bytes.Equal(rest[:6], head[:6]) {
			t.Fatalf("a segment of %d bytes, %x", n, rest[:headerSize])
		}
		together, rest = append(together, rest[headerSize:headerSize+n]...), rest[headerSize+n:]
	}
	if !bytes.Equal(together, mixed) {
		t.Error("the segments are not the message")
	}
}

// TestOutputs: an answer of many segments goes on when it is whole, and then the gate lets everything through again.
func TestOutputs(t *testing.T) {
	ours, other := bytes.Repeat([]byte{0x60}, 29), bytes.Repeat([]byte{0x61}, 57)
	ask := encoded(t, []any{3, []any{0, []any{0, []any{6, []any{6, [][]byte{ours}}}}}})
	out, in := net.Pipe()
	c := &conn{Conn: in, in: bufio.NewReader(bytes.NewReader(segment(7, ask))), admit: onlyGood}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(out)
		got <- b
	}()
	full, acquired := answerOf(t, 1500, ours, other), segment(7|answer, []byte{0x81, 0x01})
	var sent [][]byte
	for part := range slices.Chunk(full, 60_000) {
		sent = append(sent, segment(7|answer, part))
	}
	for _, s := range append(sent, acquired) {
		if n, err := c.Write(s); err != nil || n != len(s) {
			t.Fatalf("wrote %d of %d: %v", n, len(s), err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	want := append(segments(acquired[:headerSize], exact(full, [][]byte{ours})), acquired...)
	if b := <-got; len(sent) < 3 || !bytes.Equal(b, want) {
		t.Errorf("%d segments: the client reads %d bytes, not %d", len(sent), len(b), len(want))
	}
}
