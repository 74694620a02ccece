package agree

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tallycompute/tally/market"
)

// logsRequest is the one message that asks for a log.
type logsRequest struct {
	job   market.JobID
	shard uint32
}

const logsRequestSize = len(market.JobID{}) + 4

func (r logsRequest) encode() []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), r.job[:]...), r.shard)
}

func decodeLogsRequest(b [logsRequestSize]byte) logsRequest {
	return logsRequest{market.JobID(b[:28]), binary.BigEndian.Uint32(b[28:])}
}

func (s *Server) logs(st network.Stream) error {
	var raw [logsRequestSize]byte
	if err := st.SetReadDeadline(time.Now().Add(frameTime)); err != nil {
		return err
	}
	if _, err := io.ReadFull(st, raw[:]); err != nil {
		return err
	}
	if err := st.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	r := decodeLogsRequest(raw)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	left := make(chan struct{})
	go func() { // the client says nothing more: whatever ends this read, it has left
		defer close(left)
		_, _ = st.Read(make([]byte, 1))
		cancel()
	}()
	defer func() { _ = st.CloseRead(); <-left }()
	from := st.Conn().RemotePeer()
	out := &logWriter{st: st}
	err := s.worker.Logs(ctx, from, r.job, r.shard, out)
	switch {
	case out.begun && err != nil:
		return err // in the middle: the client must see that this is not the end
	case out.begun:
		return nil
	case err != nil:
		return out.start(s.refusal(from, err))
	}
	return out.start(market.Ack{})
}

// errLogFull ends a log that has become too long to send.
var errLogFull = errors.New("log too long")

// logWriter sends an Ack before the first byte and bounds how much follows, and how long each write may take.
type logWriter struct {
	st    network.Stream
	begun bool
	sent  int
}

func (w *logWriter) start(m market.Message) error {
	w.begun = true
	if err := w.st.SetWriteDeadline(time.Now().Add(frameTime)); err != nil {
		return err
	}
	return writeFrame(w.st, m)
}

// Write implements io.Writer.
func (w *logWriter) Write(p []byte) (n int, err error) {
	if !w.begun {
		if err := w.start(market.Ack{}); err != nil {
			return 0, err
		}
	}
	for n < len(p) {
		part := p[n:min(n+framePart, len(p))]
		if w.sent+len(part) > maxLog {
			return n, fmt.Errorf("%w: %d bytes", errLogFull, maxLog)
		}
		if err := w.st.SetWriteDeadline(time.Now().Add(idle)); err != nil {
			return n, err
		}
		m, err := w.st.Write(part)
		n, w.sent = n+m, w.sent+m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
