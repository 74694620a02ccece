package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
)

const (
	// proposeWithin is how long a client may take over its handshake, as between nodes (the network specification gives
	// local clients no bound; an ill one would keep its connection for ever).
	proposeWithin = 10 * time.Second
	// maxProposal bounds a handshake in bytes: the network specification's limit is 5,760.
	maxProposal = 1 << 13
)

// ErrHandshake ends a connection that begins with anything but a handshake's proposal.
var ErrHandshake = errors.New("no handshake")

// Gate returns l with admit in front of every submission and horizon behind every era history. A client is handed on when
// its handshake has come, for dingo takes one client at a time and waits for its handshake before it takes the next. Close
// ends those that are still waited for.
func Gate(l net.Listener, admit Admit, horizon Horizon) net.Listener {
	return &listener{
		Listener: l, admit: admit, horizon: horizon,
		came: make(chan arrival), closed: make(chan struct{}),
	}
}

type listener struct {
	net.Listener
	admit   Admit
	horizon Horizon

	begin, end sync.Once
	came       chan arrival
	closed     chan struct{}
	closing    error
	running    sync.WaitGroup // accepting, and a goroutine per client up to its handshake
}

// arrival is a client that has sent its handshake, or why there are none.
type arrival struct {
	net.Conn
	err error
}

// Accept waits for a client and its handshake.
func (l *listener) Accept() (net.Conn, error) {
	l.begin.Do(func() { l.running.Go(l.accept) })
	select {
	case a := <-l.came:
		return a.Conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close stops listening and waits for what Accept began.
func (l *listener) Close() error {
	l.end.Do(func() {
		l.begin.Do(func() {}) // nothing begins any more
		close(l.closed)
		l.closing = l.Listener.Close()
		l.running.Wait()
	})
	return l.closing
}

// accept takes clients until the listener closes.
func (l *listener) accept() {
	for {
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.hand(arrival{err: err})
			continue
		}
		l.running.Go(func() { l.greet(c) })
	}
}

// greet hands c on when its handshake has come, and closes it when none comes.
func (l *listener) greet(raw net.Conn) {
	c := &conn{Conn: raw, in: bufio.NewReader(raw), admit: l.admit, horizon: l.horizon}
	greeted := make(chan struct{})
	l.running.Go(func() {
		select {
		case <-l.closed:
			_ = raw.Close() // ends the read below
		case <-greeted:
		}
	})
	err := errors.Join(raw.SetReadDeadline(time.Now().Add(proposeWithin)), c.proposal())
	close(greeted)
	if err == nil {
		err = raw.SetReadDeadline(time.Time{})
	}
	if err != nil || !l.hand(arrival{Conn: c}) {
		_ = raw.Close()
	}
}

// hand gives a to Accept; false when the listener closes first.
func (l *listener) hand(a arrival) bool {
	select {
	case l.came <- a:
		return true
	case <-l.closed:
		return false
	}
}

// proposal reads up to the end of the client's first message, which must be a handshake's proposal, and leaves it for the
// node to read: the node then answers at once.
func (c *conn) proposal() error {
	var message []byte
	for {
		protocol, b, err := c.next()
		if err != nil {
			return err
		}
		if protocol != handshake.ProtocolId {
			return fmt.Errorf("%w: mini-protocol %d comes first", ErrHandshake, protocol)
		}
		c.toNode.Write(b)
		message = append(message, b[headerSize:]...)
		if c.toNode.Len() > maxProposal {
			return fmt.Errorf("%w: more than %d bytes", ErrHandshake, maxProposal)
		}
		var raw cbor.RawMessage
		n, err := cbor.Decode(message, &raw)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			continue
		case err != nil:
			return fmt.Errorf("%w: %w", ErrHandshake, err)
		case n != len(message):
			return fmt.Errorf("%w: %d bytes after it", ErrHandshake, len(message)-n)
		}
		m, err := handshake.NewMsgFromCbor(handshake.MessageTypeProposeVersions, raw)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrHandshake, err)
		}
		if m.Type() != handshake.MessageTypeProposeVersions {
			return fmt.Errorf("%w: message %d", ErrHandshake, m.Type())
		}
		return nil
	}
}
