package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/muxer"
	"github.com/blinklabs-io/gouroboros/protocol"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
)

// maxProposal bounds a handshake in bytes: the network specification's limit is 5,760.
const maxProposal = 1 << 13

// ErrHandshake ends a connection that begins with anything but a handshake's proposal.
var ErrHandshake = errors.New("no handshake")

// next reads one segment.
func next(in io.Reader) (protocol uint16, segment []byte, err error) {
	b := make([]byte, headerSize, headerSize+muxer.SegmentMaxPayloadLength)
	if _, err := io.ReadFull(in, b); err != nil {
		return 0, nil, err
	}
	b = b[:headerSize+int(binary.BigEndian.Uint16(b[6:]))]
	if _, err := io.ReadFull(in, b[headerSize:]); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint16(b[4:]), b, nil
}

// proposal reads up to the end of a client's first message, which must be a handshake's proposal. It gives the message, and
// the segments that it came in.
func proposal(in io.Reader) (message, segments []byte, err error) {
	for {
		protocol, b, err := next(in)
		if err != nil {
			return nil, nil, err
		}
		if protocol != handshake.ProtocolId {
			return nil, nil, fmt.Errorf("%w: mini-protocol %d comes first", ErrHandshake, protocol)
		}
		segments = append(segments, b...)
		message = append(message, b[headerSize:]...)
		if len(segments) > maxProposal {
			return nil, nil, fmt.Errorf("%w: more than %d bytes", ErrHandshake, maxProposal)
		}
		var raw cbor.RawMessage
		n, err := cbor.Decode(message, &raw)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("%w: %w", ErrHandshake, err)
		case n != len(message):
			return nil, nil, fmt.Errorf("%w: %d bytes after it", ErrHandshake, len(message)-n)
		}
		m, err := handshake.NewMsgFromCbor(handshake.MessageTypeProposeVersions, raw)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrHandshake, err)
		}
		if m.Type() != handshake.MessageTypeProposeVersions {
			return nil, nil, fmt.Errorf("%w: message %d", ErrHandshake, m.Type())
		}
		return message, segments, nil
	}
}

// greeting reads the client's proposal and leaves it for the node to read: the node then answers at once.
func (c *conn) greeting() error {
	_, segments, err := proposal(c.in)
	c.toNode.Write(segments)
	return err
}

// OneWay takes over a node's connection to another node: its proposal will say that it only initiates, so that the other
// node serves it and follows nothing over the same connection.
func OneWay(c net.Conn) (net.Conn, error) {
	in := bufio.NewReader(c)
	if err := c.SetReadDeadline(time.Now().Add(proposeWithin)); err != nil {
		return nil, err
	}
	message, segments, err := proposal(in)
	if err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if message, err = initiatorOnly(message); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	first := binary.BigEndian.AppendUint16(bytes.Clone(segments[:headerSize-2]), uint16(len(message)))
	return &began{Conn: c, in: io.MultiReader(bytes.NewReader(append(first, message...)), in)}, nil
}

// initiatorOnly changes a proposal of node-to-node versions: [0, {version: [magic, initiator only, …]}].
func initiatorOnly(message []byte) ([]byte, error) {
	var m struct {
		cbor.StructAsArray
		Type     uint
		Versions map[uint16][]any
	}
	if _, err := cbor.Decode(message, &m); err != nil {
		return nil, err
	}
	for v, data := range m.Versions {
		if len(data) < 2 {
			return nil, fmt.Errorf("version %d with %d parameters", v, len(data))
		}
		data[1] = protocol.DiffusionModeInitiatorOnly
	}
	return cbor.Encode(&m)
}

// began is a connection of which something has been read.
type began struct {
	net.Conn
	in io.Reader
}

// Read reads what had been read, and then the rest.
func (b *began) Read(p []byte) (int, error) { return b.in.Read(p) }
