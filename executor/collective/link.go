package collective

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A link is this rank's pair of streams with one other rank.
type link struct {
	rank      int
	id        peer.ID
	data, ctl network.Stream
	ready     chan struct{} // closed when both streams stand
	out       chan control  // to the control stream's writer
	end       chan struct{} // closed to end the writer, once out is drained
	bye       chan struct{} // closed when the peer has said bye or its control stream has ended

	sent, received atomic.Uint64 // payload bytes
	heard          atomic.Uint64 // grows with every read from either stream
	seq            atomic.Uint64 // last operation the peer said it entered
	reading        wait
	writing        wait
}

// A wait tells the watchdog whether someone is blocked on this link.
type wait struct {
	active atomic.Bool
	moves  atomic.Uint64
}

func (w *wait) begin() { w.moves.Add(1); w.active.Store(true) }
func (w *wait) end()   { w.active.Store(false) }

func newLink(rank int, id peer.ID) *link {
	return &link{
		rank: rank, id: id,
		ready: make(chan struct{}),
		out:   make(chan control, 8),
		end:   make(chan struct{}),
		bye:   make(chan struct{}),
	}
}

// read fills b from the data stream.
func (l *link) read(b []byte) error {
	l.reading.begin()
	defer l.reading.end()
	for len(b) > 0 {
		n, err := l.data.Read(b)
		if n > 0 {
			l.heard.Add(1)
			l.reading.moves.Add(1)
			b = b[n:]
		}
		if err != nil && len(b) > 0 {
			return err
		}
	}
	return nil
}

func (l *link) readPayload(b []byte) error {
	if err := l.read(b); err != nil {
		return err
	}
	l.received.Add(uint64(len(b)))
	return nil
}

// write sends b, of which the last payload bytes are counted as traffic.
func (l *link) write(b []byte, payload int) error {
	l.writing.begin()
	defer l.writing.end()
	for len(b) > 0 {
		n, err := l.data.Write(b[:min(len(b), segmentBytes)])
		if n > 0 {
			l.writing.moves.Add(1)
			b = b[n:]
		}
		if err != nil {
			return err
		}
	}
	l.sent.Add(uint64(payload))
	return nil
}

// post queues a control frame. A full queue means a peer that does not read:
// the frame is dropped and the peer will find us silent.
func (l *link) post(c control) {
	select {
	case l.out <- c:
	default:
	}
}

// writeControl sends queued frames until end is closed and the queue is empty,
// then half-closes. A write error needs no report: the reader sees the loss.
func (l *link) writeControl(limit time.Duration) {
	defer func() { _ = l.ctl.CloseWrite() }()
	send := func(c control) bool {
		_ = l.ctl.SetWriteDeadline(time.Now().Add(limit))
		_, err := l.ctl.Write(c.encode())
		return err == nil
	}
	for {
		select {
		case c := <-l.out:
			if !send(c) {
				return
			}
		case <-l.end:
			for {
				select {
				case c := <-l.out:
					if !send(c) {
						return
					}
				default:
					return
				}
			}
		}
	}
}

// readControl handles the peer's control frames until the stream ends.
func (l *link) readControl(g *Group) {
	err := l.controlLoop(g)
	left := false
	select {
	case <-l.bye:
	default:
		left = true
		close(l.bye)
	}
	if left && !g.leaving.Load() {
		text := "it left without saying goodbye"
		if !errors.Is(err, io.EOF) {
			text += ": " + err.Error()
		}
		g.fail(&PeerError{l.rank, l.id, ErrLost, text})
	}
}

func (l *link) controlLoop(g *Group) error {
	var b [controlBytes]byte
	said := false
	for {
		if _, err := io.ReadFull(l.ctl, b[:]); err != nil {
			return err
		}
		c, n, err := decodeControl(b[:])
		if err != nil {
			return err
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(l.ctl, text); err != nil {
			return err
		}
		l.heard.Add(1)
		l.seq.Store(c.seq)
		switch c.typ {
		case controlAbort:
			g.fail(g.reported(l, c, text))
		case controlBye:
			if !said {
				said = true
				close(l.bye)
			}
		}
	}
}

// reported is an abort that a peer sent. It blames whom the peer blames, so that every rank knows what kind of
// failure it was, whoever's word reaches it first.
func (g *Group) reported(l *link, c control, text []byte) error {
	if c.why == causeOther || int(c.rank) >= len(g.view.Peers) || int(c.rank) == l.rank {
		return &PeerError{l.rank, l.id, c.why.kind(), fmt.Sprintf("%q", text)}
	}
	return &PeerError{int(c.rank), g.view.Peers[c.rank].ID, c.why.kind(), fmt.Sprintf("rank %d reports: %q", l.rank, text)}
}
