package collective

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// exported stands for what two ends have in common after a handshake.
func exported(label string, context []byte, length int) ([]byte, error) {
	h := sha256.Sum256(append([]byte(label), context...))
	return h[:length], nil
}

// tape keeps what is written for those who read.
type tape struct {
	net.Conn
	bytes.Buffer
}

func (t *tape) Write(b []byte) (int, error) { return t.Buffer.Write(b) }
func (t *tape) Read(b []byte) (int, error)  { return t.Buffer.Read(b) }

func ends(wire *tape) (dialer, acceptor *straightStream) {
	dialer, acceptor = newStraight(wire), newStraight(wire)
	dialer.sealing, dialer.opening = direction{export: exported, dialer: true}, direction{export: exported}
	acceptor.sealing, acceptor.opening = direction{export: exported}, direction{export: exported, dialer: true}
	return dialer, acceptor
}

// TestRecords has what was written arrive, in whatever pieces it is written and read, under one key and the next.
func TestRecords(t *testing.T) {
	sizes := []int{1, 48, 1000, recordBytes - 1, recordBytes, recordBytes + 1, segmentBytes, segmentBytes + 7, 3 * segmentBytes}
	for _, read := range []int{1000, 48, recordBytes, 4 * segmentBytes} {
		wire := &tape{}
		from, to := ends(wire)
		from.sealing.count, to.opening.count = keyRecords-5, keyRecords-5
		var sent, got []byte
		for i, n := range sizes {
			b := bytes.Repeat([]byte{byte(i + 1), 7, byte(n)}, n)[:n]
			sent = append(sent, b...)
			if m, err := from.Write(b); err != nil || m != n {
				t.Fatal(m, err)
			}
		}
		if bytes.Contains(wire.Bytes(), sent[50:90]) {
			t.Fatal("it can be read on its way")
		}
		for {
			b := make([]byte, read)
			n, err := to.Read(b)
			got = append(got, b[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(sent, got) {
			t.Fatalf("read by %d: %d bytes came as %d others", read, len(sent), len(got))
		}
	}
}

// TestRecordsTamperedWith are errors, of the kind that blames the peer.
func TestRecordsTamperedWith(t *testing.T) {
	const one = recordHead + 100 + recordTag
	for name, change := range map[string]func(b []byte) []byte{
		"a bit of the length":     func(b []byte) []byte { b[0] ^= 1; return b },
		"the next connection":     func(b []byte) []byte { b[3] ^= 1; return b },
		"a bit of what is sealed": func(b []byte) []byte { b[50] ^= 1; return b },
		"a bit of the tag":        func(b []byte) []byte { b[one-1] ^= 1; return b },
		"exchanged":               func(b []byte) []byte { return append(b[one:2*one:2*one], b[:one]...) },
		"left out":                func(b []byte) []byte { return b[one:] },
		"too long":                func(b []byte) []byte { binary.LittleEndian.PutUint32(b, recordBytes+1); return b },
		"empty":                   func(b []byte) []byte { binary.LittleEndian.PutUint32(b, 0); return b },
		"its own, sent back":      nil,
	} {
		wire := &tape{}
		from, to := ends(wire)
		for i := range 2 {
			if _, err := from.Write(bytes.Repeat([]byte{byte(i)}, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if change == nil {
			to = from
		} else {
			b := change(bytes.Clone(wire.Bytes()))
			wire.Reset()
			wire.Buffer.Write(b)
		}
		if n, err := to.Read(make([]byte, 100)); !errors.Is(err, ErrFrame) || n != 0 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	wire := &tape{}
	from, to := ends(wire)
	if _, err := from.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	wire.Truncate(wire.Len() - 1)
	if n, err := to.Read(make([]byte, 100)); err == nil || n != 0 {
		t.Errorf("cut short: %d bytes, %v", n, err)
	}
}

// FuzzRecords reads what a stranger may send: nothing is taken for sealed, and nothing is held for it but a buffer.
func FuzzRecords(f *testing.F) {
	wire := &tape{}
	from, _ := ends(wire)
	_, _ = from.Write([]byte("sixteen bytes...."))
	f.Add(wire.Bytes()[1:])
	f.Add([]byte{0xff, 0xff, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		wire := &tape{}
		wire.Buffer.Write(b)
		_, to := ends(wire)
		to.opening.dialer = false // so that nothing is rightly sealed
		if n, err := to.Read(make([]byte, recordBytes)); err == nil || n > 0 || len(to.buf) > aheadBytes {
			t.Fatalf("%d bytes, %v, with a buffer of %d", n, err, len(to.buf))
		}
	})
}
