package node

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/fxamacker/cbor/v2"
)

// guarded is a connection that breaks when the first thing that comes is not a handshake's answer in one piece: the
// library would wait for the rest without end. What comes later the library bounds itself.
type guarded struct {
	net.Conn
	begun bool
	first []byte // of the first segment, what has not been read yet
}

// Segments of the multiplexer: time, protocol with the sender's bit, length of the payload ("The Shelley Networking
// Protocol", multiplexing).
const (
	segmentHead   = 8
	segmentLength = 6
)

// Read is called by one goroutine at a time.
func (g *guarded) Read(b []byte) (n int, err error) {
	if !g.begun {
		if err := g.begin(); err != nil {
			return 0, err
		}
	}
	if len(g.first) > 0 {
		n = copy(b, g.first)
		g.first = g.first[n:]
		return n, nil
	}
	return g.Conn.Read(b)
}

// begin reads the first segment.
func (g *guarded) begin() error {
	head := make([]byte, segmentHead)
	if _, err := io.ReadFull(g.Conn, head); err != nil {
		return err
	}
	payload := make([]byte, binary.BigEndian.Uint16(head[segmentLength:]))
	if _, err := io.ReadFull(g.Conn, payload); err != nil {
		return err
	}
	if err := cbor.Wellformed(payload); err != nil {
		return fmt.Errorf("no handshake: %w: %w", ErrUnexpected, err)
	}
	g.begun, g.first = true, append(head, payload...)
	return nil
}
