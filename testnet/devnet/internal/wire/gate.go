package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/muxer"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"
	"github.com/blinklabs-io/gouroboros/protocol/localtxsubmission"
)

// Refusal is a reason that encodes as the ledger's ApplyTxError.
type Refusal interface {
	error
	MarshalCBOR() ([]byte, error)
}

// Admit judges a submitted transaction before the node sees it; nil lets it pass. era is the hard-fork combinator's index.
type Admit func(era uint16, tx []byte) Refusal

// headerSize is that of a multiplexer segment, in bytes: timestamp (4), mini-protocol (2), length (2).
const headerSize = 8

// maxMessage bounds a submission put together from segments, in bytes: mainnet's transactions end at 16,384.
const maxMessage = 1 << 20

// ErrTooLong ends a connection that sends a longer message.
var ErrTooLong = errors.New("a local-tx-submission message of more than 1 MiB")

// conn is one client's connection. One goroutine reads, several may write.
type conn struct {
	net.Conn
	admit   Admit
	horizon Horizon
	ended   func(*conn) // told of Close

	in      *bufio.Reader
	toNode  bytes.Buffer // segments the node may read
	held    bytes.Buffer // segments of a submission still incomplete
	message []byte       // their payloads together

	writing sync.Mutex  // one segment at a time: the node's multiplexer writes whole ones
	asked   atomic.Bool // the state query under way is for the era history

	addresses atomic.Pointer[[][]byte] // the state query under way is for their outputs
	outputs   []byte                   // what has come of the answer
}

// Close ends the client's connection.
func (c *conn) Close() error {
	c.ended(c)
	return c.Conn.Close()
}

// Read gives the node what it may see.
func (c *conn) Read(p []byte) (int, error) {
	for c.toNode.Len() == 0 {
		if err := c.segment(); err != nil {
			return 0, err
		}
	}
	return c.toNode.Read(p)
}

// Write sends the node's answer.
func (c *conn) Write(p []byte) (int, error) {
	out := p
	if len(p) >= headerSize && binary.BigEndian.Uint16(p[4:]) == localstatequery.ProtocolId|answer {
		if c.asked.Swap(false) {
			out = history(p, c.horizon)
		} else if as := c.addresses.Load(); as != nil {
			if c.outputs = append(c.outputs, p[headerSize:]...); !whole(c.outputs) {
				return len(p), nil
			}
			c.addresses.Store(nil)
			out = segments(p[:headerSize], exact(c.outputs, *as))
			c.outputs = nil
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if n, err := c.Conn.Write(out); err != nil {
		return min(n, len(p)), err
	}
	return len(p), nil
}

// segment reads one and decides where it goes.
func (c *conn) segment() error {
	protocol, b, err := next(c.in)
	if err != nil {
		return err
	}
	if protocol == localstatequery.ProtocolId {
		c.asked.Store(bytes.Equal(b[headerSize:], askHistory))
		if as := askedFor(b[headerSize:]); as != nil {
			c.addresses.Store(&as)
		}
	}
	if protocol != localtxsubmission.ProtocolId {
		c.toNode.Write(b)
		return nil
	}
	c.held.Write(b)
	c.message = append(c.message, b[headerSize:]...)
	if len(c.message) > maxMessage {
		return ErrTooLong
	}
	refusal, complete := judge(c.message, c.admit)
	if !complete {
		return nil
	}
	defer func() { c.held.Reset(); c.message = c.message[:0] }()
	if refusal != nil {
		return c.refuse(refusal)
	}
	_, err = c.held.WriteTo(&c.toNode)
	return err
}

// judge says whether message is complete, and what admit makes of the submission it is. Anything else is the node's.
func judge(message []byte, admit Admit) (r Refusal, complete bool) {
	if !whole(message) {
		return nil, false
	}
	var raw cbor.RawMessage
	if _, err := cbor.Decode(message, &raw); err != nil {
		return nil, true
	}
	m, err := localtxsubmission.NewMsgFromCbor(localtxsubmission.MessageTypeSubmitTx, raw)
	if err != nil {
		return nil, true
	}
	s, ok := m.(*localtxsubmission.MsgSubmitTx)
	if !ok || s.Type() != localtxsubmission.MessageTypeSubmitTx {
		return nil, true
	}
	tx, ok := s.Transaction.Raw.Content.([]byte)
	if !ok {
		return nil, true
	}
	return admit(s.Transaction.EraId, tx), true
}

// refuse answers the client in the node's place: the node's side of the mini-protocol stays idle.
func (c *conn) refuse(r Refusal) error {
	reason, err := r.MarshalCBOR()
	if err != nil {
		return fmt.Errorf("encode a refusal: %w", err)
	}
	b, err := cbor.Encode([]any{localtxsubmission.MessageTypeRejectTx, cbor.RawMessage(reason)})
	if err != nil {
		return fmt.Errorf("encode a refusal: %w", err)
	}
	s := muxer.NewSegment(localtxsubmission.ProtocolId, b, true)
	if s == nil {
		return fmt.Errorf("a refusal of %d bytes does not fit a segment", len(b))
	}
	var out bytes.Buffer
	if err := binary.Write(&out, binary.BigEndian, s.SegmentHeader); err != nil {
		return fmt.Errorf("encode a refusal: %w", err)
	}
	out.Write(s.Payload)
	_, err = c.Write(out.Bytes())
	return err
}
