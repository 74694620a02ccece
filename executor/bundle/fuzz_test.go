package bundle

import (
	"bytes"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// sent is a stream of which everything has arrived.
type sent struct {
	network.Stream
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *sent) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *sent) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *sent) SetReadDeadline(time.Time) error  { return nil }
func (s *sent) SetWriteDeadline(time.Time) error { return nil }

// FuzzWire: a greeting and a request that are read are written in the same bytes.
func FuzzWire(f *testing.F) {
	f.Add(append(make([]byte, 32), 1, 0, 1, 0, 0, 0, 7))
	f.Add(append(make([]byte, 32), 0, 0, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &sent{in: bytes.NewReader(raw)}
		w := wire{s}
		h, err := w.readHello()
		if err != nil {
			return
		}
		places, err := w.readRequest()
		if err != nil {
			return
		}
		if w.writeHello(h) != nil || w.writeRequest(places) != nil || !bytes.HasPrefix(raw, s.out.Bytes()) {
			t.Fatalf("%x becomes %x", raw, s.out.Bytes())
		}
	})
}
