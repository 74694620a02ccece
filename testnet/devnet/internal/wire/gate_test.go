package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/blinklabs-io/gouroboros/cbor"
)

type refusal struct{}

func (refusal) Error() string                { return "no" }
func (refusal) MarshalCBOR() ([]byte, error) { return cbor.Encode([]any{"no"}) }

// onlyGood admits the one transaction "good".
func onlyGood(_ uint16, tx []byte) Refusal {
	if string(tx) == "good" {
		return nil
	}
	return refusal{}
}

func segment(protocol uint16, payload []byte) []byte {
	b := make([]byte, headerSize)
	binary.BigEndian.PutUint16(b[4:], protocol)
	binary.BigEndian.PutUint16(b[6:], uint16(len(payload)))
	return append(b, payload...)
}

func submission(t testing.TB, tx string) []byte {
	t.Helper()
	b, err := cbor.Encode([]any{0, []any{6, cbor.Tag{Number: 24, Content: []byte(tx)}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// through sends what a client writes through a gate and returns what the node reads and what the client gets back.
func through(t testing.TB, sent []byte) (node, client []byte) {
	t.Helper()
	out, in := net.Pipe()
	c := &conn{Conn: in, admit: onlyGood}
	c.in = bufio.NewReader(bytes.NewReader(sent))
	answered := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(out)
		answered <- b
	}()
	node, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrTooLong) {
		t.Errorf("read: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	return node, <-answered
}

func TestGate(t *testing.T) {
	good, bad := submission(t, "good"), submission(t, "bad")
	other := segment(5, []byte{0x81, 0x00})
	half := append(segment(6, good[:3]), segment(6, good[3:])...)
	done := segment(6, []byte{0x81, 0x03})
	no := segment(6|0x8000, []byte{0x82, 0x02, 0x81, 0x62, 'n', 'o'})
	for _, x := range []struct {
		name               string
		sent, node, client []byte
	}{
		{"another protocol", other, other, nil},
		{"a good submission", segment(6, good), segment(6, good), nil},
		{"one in two segments", half, half, nil},
		{"a bad submission", segment(6, bad), nil, no},
		{"a bad one in two segments", append(segment(6, bad[:3]), segment(6, bad[3:])...), nil, no},
		{"good after bad", append(segment(6, bad), segment(6, good)...), segment(6, good), no},
		{"an interleaved protocol", append(append(segment(6, good[:3]), other...), segment(6, good[3:])...), append(bytes.Clone(other), half...), nil},
		{"the end of the protocol", done, done, nil},
		{"no CBOR", segment(6, []byte{0xff}), segment(6, []byte{0xff}), nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			node, client := through(t, x.sent)
			if !bytes.Equal(node, x.node) {
				t.Errorf("the node reads %x, not %x", node, x.node)
			}
			if len(client) >= 4 {
				clear(client[:4]) // the timestamp
			}
			if !bytes.Equal(client, x.client) {
				t.Errorf("the client reads %x, not %x", client, x.client)
			}
		})
	}
}

// TestHistory asks for the era history and for something else, and lets the node answer.
func TestHistory(t *testing.T) {
	entry := func(end uint64) []any {
		return []any{[]any{0, 0, 0}, []any{end * 200_000_000_000, end, end / 10}, []any{10, 200}}
	}
	result := func(ends ...uint64) []byte {
		var eras cbor.IndefLengthList
		for _, e := range ends {
			eras = append(eras, entry(e))
		}
		b, err := cbor.Encode([]any{4, eras})
		if err != nil {
			t.Fatal(err)
		}
		return segment(7|answer, b)
	}
	horizon := func() Bound { return Bound{Slot: 50, Epoch: 5, Time: 10 * time.Second} }
	for _, x := range []struct {
		name                string
		ask, answered, want []byte
	}{
		{"the era history", askHistory, result(0, 20), result(0, 50)},
		{"one that reaches further", askHistory, result(0, 70), result(0, 70)},
		{"another query", []byte{0x81, 0x08}, result(0, 20), result(0, 20)},
		{"another answer", askHistory, segment(7|answer, []byte{0x81, 0x02}), segment(7|answer, []byte{0x81, 0x02})},
	} {
		t.Run(x.name, func(t *testing.T) {
			out, in := net.Pipe()
			c := &conn{Conn: in, in: bufio.NewReader(bytes.NewReader(segment(7, x.ask))), admit: onlyGood, horizon: horizon}
			if _, err := io.ReadAll(c); err != nil {
				t.Fatal(err)
			}
			got := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(out)
				got <- b
			}()
			if n, err := c.Write(x.answered); err != nil || n != len(x.answered) {
				t.Fatalf("wrote %d of %d: %v", n, len(x.answered), err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if b := <-got; !bytes.Equal(b, x.want) {
				t.Errorf("the client reads\n%x, not\n%x", b, x.want)
			}
		})
	}
}

func TestGateBounds(t *testing.T) {
	endless := segment(6, append([]byte{0x5f}, bytes.Repeat([]byte{0x41, 0}, 20_000)...)) // byte strings without end
	sent := append([]byte(nil), endless...)
	for len(sent) <= maxMessage {
		sent = append(sent, segment(6, endless[headerSize+1:])...)
	}
	c := &conn{in: bufio.NewReader(bytes.NewReader(sent)), admit: onlyGood}
	if _, err := io.ReadAll(c); !errors.Is(err, ErrTooLong) {
		t.Fatalf("%v", err)
	}
}

func FuzzGate(f *testing.F) {
	f.Add(segment(6, submission(f, "good")))
	f.Add(segment(6, submission(f, "bad")))
	f.Add(segment(0, []byte{1, 2, 3}))
	f.Add(segment(7, encoded(f, []any{3, []any{0, []any{0, []any{6, []any{6, [][]byte{{1}}}}}}})))
	f.Fuzz(func(t *testing.T, sent []byte) {
		node, _ := through(t, sent)
		if len(node) > len(sent) {
			t.Errorf("%d bytes sent, the node reads %d", len(sent), len(node))
		}
	})
}
