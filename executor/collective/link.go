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

// A link is this rank's streams with one other rank: one for control, and a pipe in each lane.
type link struct {
	rank  int
	id    peer.ID
	ctl   network.Stream
	pipes [lanes]*pipe
	ready chan struct{} // closed when all streams stand
	out   chan control  // to the control stream's writer
	// straight is where the peer takes lanes past libp2p's muxer; set by the control stream's dialer before lanes are dialed.
	straight string
	reached  bool          // the peer had its time to be reached directly; the dialer's
	end      chan struct{} // closed to end the writer, once out is drained
	bye      chan struct{} // closed when the peer has said bye or its control stream has ended

	sent, received atomic.Uint64 // payload bytes
	heard          atomic.Uint64 // grows with every read from any stream
	seq            atomic.Uint64 // last operation without a name that the peer said it entered
}

// controlQueue holds every named operation that may be in flight, and more.
const controlQueue = 4 * maxInFlight

func newLink(rank int, id peer.ID) *link {
	l := &link{
		rank: rank, id: id,
		ready: make(chan struct{}),
		out:   make(chan control, controlQueue),
		end:   make(chan struct{}),
		bye:   make(chan struct{}),
	}
	for i := range l.pipes {
		l.pipes[i] = &pipe{link: l}
	}
	return l
}

// put gives a stream its place, and gives the one that was there.
func (l *link) put(kind streamKind, st stream) (old stream, err error) {
	if kind != kindControl {
		p := l.pipes[kind-kindLane]
		old, p.stream = p.stream, st
		return old, nil
	}
	ctl, ok := st.(network.Stream)
	if !ok {
		return nil, fmt.Errorf("%w: rank %d has a straight control stream", ErrFrame, l.rank)
	}
	if l.ctl != nil {
		old = l.ctl
	}
	l.ctl = ctl
	return old, nil
}

// complete says whether all streams stand.
func (l *link) complete() bool {
	for _, p := range l.pipes {
		if p.stream == nil {
			return false
		}
	}
	return l.ctl != nil
}

// streamKinds are the streams of a link.
func streamKinds() []streamKind {
	kinds := []streamKind{kindControl}
	for i := range lanes {
		kinds = append(kinds, kindLane+streamKind(i))
	}
	return kinds
}

// post queues a control frame. A full queue means a peer that does not read:
// the frame is dropped and the peer will find us silent.
func (l *link) post(c control) bool {
	select {
	case l.out <- c:
		return true
	default:
		return false
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
		kind, text := ErrLost, "it left without saying goodbye"
		if errors.Is(err, ErrFrame) {
			kind, text = ErrFrame, err.Error()
		} else if !errors.Is(err, io.EOF) {
			text += ": " + err.Error()
		}
		g.fail(&PeerError{l.rank, l.id, kind, text})
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
		switch c.typ {
		case controlHeartbeat:
			if err := g.feel(l, c, text); err != nil {
				g.fail(err)
				return err
			}
		case controlAbort:
			g.fail(g.reported(l, c, text))
		case controlReady, controlGo, controlHad:
			if err := g.negotiated(l, c, string(text)); err != nil {
				g.fail(err)
				return err
			}
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
