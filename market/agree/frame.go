package agree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tallycompute/tally/market"
)

// framePart is how much of a frame is read at once: who announces a large frame must send it before memory is taken.
const framePart = 64 << 10

// writeFrame sends a message.
func writeFrame(w io.Writer, m market.Message) error {
	body, err := market.Encode(m)
	if err != nil {
		return err
	}
	if len(body) > market.MaxMessageBytes {
		return fmt.Errorf("message of %d bytes, at most %d: %w", len(body), market.MaxMessageBytes, market.ErrTooLarge)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// readFrame reads one message, which may be followed by anything. Errors: market.ErrTooLarge, market.ErrMalformed, or the reader's.
func readFrame(r io.Reader) (market.Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, cutOff(err)
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > market.MaxMessageBytes {
		return nil, fmt.Errorf("frame of %d bytes, at most %d: %w", n, market.MaxMessageBytes, market.ErrTooLarge)
	}
	body := make([]byte, 0, min(n, framePart))
	for int64(len(body)) < n {
		from := len(body)
		body = append(body, make([]byte, min(n-int64(from), framePart))...)
		if _, err := io.ReadFull(r, body[from:]); err != nil {
			return nil, cutOff(err)
		}
	}
	return market.Decode(body)
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
