package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/protocol"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
)

// proposed is a client's handshake on magic 42.
func proposed(t testing.TB) []byte {
	t.Helper()
	versions := protocol.GetProtocolVersionMap(protocol.ProtocolModeNodeToClient, 42, protocol.DiffusionModeInitiatorOnly, false, false)
	b, err := cbor.Encode(handshake.NewMsgProposeVersions(versions))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOneWay sends a full-duplex proposal through, with more behind it: only the diffusion mode changes.
func TestOneWay(t *testing.T) {
	propose := func(initiatorOnly bool) []byte {
		b, err := cbor.Encode(handshake.NewMsgProposeVersions(
			protocol.GetProtocolVersionMap(protocol.ProtocolModeNodeToNode, 42, initiatorOnly, true, false)))
		if err != nil {
			t.Fatal(err)
		}
		return segment(0, b)
	}
	near, far := net.Pipe()
	go func() { _, _ = near.Write(append(propose(protocol.DiffusionModeInitiatorAndResponder), "more"...)) }()
	c, err := OneWay(far)
	if err != nil {
		t.Fatal(err)
	}
	_ = near.Close()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	versions := func(b []byte) any {
		var m []any
		if _, err := cbor.Decode(b[headerSize:], &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	rest, is := bytes.CutSuffix(got, []byte("more"))
	if want := propose(protocol.DiffusionModeInitiatorOnly); !is || !reflect.DeepEqual(versions(rest), versions(want)) {
		t.Errorf("got %x, want %x and more", got, want)
	}
}

func TestProposal(t *testing.T) {
	p := proposed(t)
	whole := segment(0, p)
	for _, x := range []struct {
		name string
		sent []byte
		want error
	}{
		{"a proposal", whole, nil},
		{"one in two segments", append(segment(0, p[:5]), segment(0, p[5:])...), nil},
		{"nothing", nil, io.EOF},
		{"half a header", whole[:5], io.ErrUnexpectedEOF},
		{"half a segment", whole[:20], io.ErrUnexpectedEOF},
		{"half a proposal", segment(0, p[:5]), io.EOF},
		{"another protocol", segment(5, p), ErrHandshake},
		{"an answer", segment(0|answer, p), ErrHandshake},
		{"another message", segment(0, []byte{0x82, 0x03, 0xa0}), ErrHandshake},
		{"no CBOR", segment(0, []byte{0xff}), ErrHandshake},
		{"more than a proposal", segment(0, append(slices.Clone(p), 0)), ErrHandshake},
		{"empty segments", bytes.Repeat(segment(0, nil), maxProposal), ErrHandshake},
		{"a long one", segment(0, append([]byte{0x5f}, bytes.Repeat([]byte{0x41, 0}, maxProposal)...)), ErrHandshake},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := &conn{in: bufio.NewReader(bytes.NewReader(x.sent))}
			if err := c.greeting(); !errors.Is(err, x.want) {
				t.Fatalf("%v, not %v", err, x.want)
			}
			if x.want != nil {
				return
			}
			if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, x.sent) {
				t.Errorf("the node reads %x (%v), not %x", b, err, x.sent)
			}
		})
	}
}

// TestAccept has clients that send no handshake in front of one that does, and closes the listener on them.
func TestAccept(t *testing.T) {
	inner, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l := Gate(inner, onlyGood, nil)
	var stalled []net.Conn
	dial := func(send []byte) net.Conn {
		c, err := net.Dial("unix", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Write(send); err != nil {
			t.Fatal(err)
		}
		return c
	}
	whole := segment(0, proposed(t))
	for n := range 20 {
		stalled = append(stalled, dial(whole[:n]))
	}
	wrong := dial(segment(5, []byte{0x81, 0x00}))
	dial(whole)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(whole))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("the node reads %x (%v)", got, err)
	}
	if _, err := wrong.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client without a handshake gets %v, not the end", err)
	}
	if err := errors.Join(l.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	for _, s := range stalled {
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("a stalled client was answered")
		}
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener gives %v", err)
	}
}

func TestCloseBeforeAccept(t *testing.T) {
	inner, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l := Gate(inner, onlyGood, nil)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener gives %v", err)
	}
}

func FuzzProposal(f *testing.F) {
	f.Add(segment(0, proposed(f)))
	f.Add(segment(0, []byte{0x82, 0x00, 0xa0}))
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := &conn{in: bufio.NewReader(bytes.NewReader(sent))}
		if err := c.greeting(); err != nil {
			return
		}
		if n := c.toNode.Len(); n > maxProposal || !bytes.Equal(c.toNode.Bytes(), sent[:n]) {
			t.Errorf("%d of %d bytes for the node", n, len(sent))
		}
	})
}

// FuzzOneWay feeds anything to the reader of proposals: it ends, keeps to its bound, and what it changes stays a proposal.
func FuzzOneWay(f *testing.F) {
	f.Add(segment(0, proposed(f)))
	full, err := cbor.Encode(handshake.NewMsgProposeVersions(
		protocol.GetProtocolVersionMap(protocol.ProtocolModeNodeToNode, 42, protocol.DiffusionModeInitiatorAndResponder, true, false)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(segment(0, full))
	f.Fuzz(func(t *testing.T, sent []byte) {
		message, segments, err := proposal(bytes.NewReader(sent))
		if err != nil {
			return
		}
		if len(segments) > maxProposal || !bytes.HasPrefix(sent, segments) {
			t.Fatalf("%d bytes of segments", len(segments))
		}
		changed, err := initiatorOnly(message)
		if err != nil {
			return
		}
		if _, _, err := proposal(bytes.NewReader(segment(0, changed))); err != nil && len(changed) < maxProposal/2 {
			t.Errorf("%x became %x: %v", message, changed, err)
		}
	})
}
