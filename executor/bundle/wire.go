package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is the stream protocol's name.
const Protocol protocol.ID = "/tally/bundle/1"

const (
	askChunks = 64               // most chunks in one request
	idle      = 30 * time.Second // a stream that makes no progress for so long is given up
	gone      = 1<<32 - 1        // in place of a chunk's length: it cannot be read any more
)

// Status bytes, the serving side's first answer.
const (
	statusOK      = 0
	statusDenied  = 1
	statusMissing = 2
	statusBusy    = 3
)

// hello is the fetching side's first message.
type hello struct {
	root     Root
	manifest bool // send me the manifest, too
}

// wire is a stream that must move on: every message has a deadline of its own, the whole has none.
type wire struct {
	s network.Stream
}

func (w wire) write(b []byte) error {
	for len(b) > 0 { // in parts, so that a slow line is progress and not silence
		part := b[:min(len(b), 64<<10)]
		if err := w.s.SetWriteDeadline(time.Now().Add(idle)); err != nil {
			return fmt.Errorf("%w: %w", ErrTransfer, err)
		}
		if _, err := w.s.Write(part); err != nil {
			return fmt.Errorf("%w: %w", ErrTransfer, err)
		}
		b = b[len(part):]
	}
	return nil
}

func (w wire) read(b []byte) error {
	for n := 0; n < len(b); {
		if err := w.s.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return fmt.Errorf("%w: %w", ErrTransfer, err)
		}
		m, err := w.s.Read(b[n:])
		if n += m; err != nil && n < len(b) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%w: %w", ErrTransfer, err)
		}
	}
	return nil
}

func (w wire) readUint32() (uint32, error) {
	var b [4]byte
	err := w.read(b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

func (w wire) writeHello(h hello) error {
	b := append([]byte(nil), h.root[:]...)
	if h.manifest {
		return w.write(append(b, 1))
	}
	return w.write(append(b, 0))
}

func (w wire) readHello() (hello, error) {
	var b [len(Root{}) + 1]byte
	if err := w.read(b[:]); err != nil {
		return hello{}, err
	}
	if b[32] > 1 {
		return hello{}, fmt.Errorf("%w: greeting", ErrMalformed)
	}
	return hello{root: Root(b[:32]), manifest: b[32] == 1}, nil
}

func (w wire) writeRequest(places []uint32) error {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(places)))
	for _, p := range places {
		b = binary.BigEndian.AppendUint32(b, p)
	}
	return w.write(b)
}

// readRequest reads the places of the chunks asked for; none means that the stream is over.
func (w wire) readRequest() ([]uint32, error) {
	var n [2]byte
	if err := w.read(n[:]); err != nil {
		return nil, err
	}
	count := int(binary.BigEndian.Uint16(n[:]))
	if count > askChunks {
		return nil, fmt.Errorf("%w: a request for %d chunks, at most %d", ErrMalformed, count, askChunks)
	}
	b := make([]byte, 4*count)
	if err := w.read(b); err != nil {
		return nil, err
	}
	places := make([]uint32, count)
	for i := range places {
		places[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return places, nil
}
