package wire

import (
	"bufio"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// proposeWithin is how long a client may take over its handshake, as between nodes (the network specification gives
	// local clients no bound; an ill one would keep its connection for ever).
	proposeWithin = 10 * time.Second
)

// Gate returns l with admit in front of every submission and horizon behind every era history. A client is handed on when
// its handshake has come, for dingo takes one client at a time and waits for its handshake before it takes the next. Close
// ends those that are still waited for.
func Gate(l net.Listener, admit Admit, horizon Horizon) *Listener {
	return &Listener{
		Listener: l, admit: admit, horizon: horizon,
		came: make(chan arrival), closed: make(chan struct{}), clients: map[*conn]struct{}{},
	}
}

// Listener hands on clients.
type Listener struct {
	net.Listener
	admit   Admit
	horizon Horizon

	begin, end sync.Once
	came       chan arrival
	closed     chan struct{}
	closing    error
	running    sync.WaitGroup // accepting, and a goroutine per client up to its handshake

	mu      sync.Mutex
	clients map[*conn]struct{} // handed on and not closed
}

// arrival is a client that has sent its handshake, or why there are none.
type arrival struct {
	net.Conn
	err error
}

// Accept waits for a client and its handshake.
func (l *Listener) Accept() (net.Conn, error) {
	l.begin.Do(func() { l.running.Go(l.accept) })
	select {
	case a := <-l.came:
		return a.Conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close stops listening and waits for what Accept began.
func (l *Listener) Close() error {
	l.end.Do(func() {
		l.begin.Do(func() {}) // nothing begins any more
		close(l.closed)
		l.closing = l.Listener.Close()
		l.running.Wait()
	})
	return l.closing
}

// accept takes clients until the listener closes.
func (l *Listener) accept() {
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
func (l *Listener) greet(raw net.Conn) {
	c := &conn{Conn: raw, in: bufio.NewReader(raw), admit: l.admit, horizon: l.horizon, ended: l.left}
	greeted := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-l.closed:
			_ = raw.Close() // ends the read below
		case <-greeted:
		}
	})
	err := errors.Join(raw.SetReadDeadline(time.Now().Add(proposeWithin)), c.greeting())
	close(greeted)
	watching.Wait()
	if err == nil {
		err = raw.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return
	}
	l.mu.Lock()
	l.clients[c] = struct{}{}
	l.mu.Unlock()
	if !l.hand(arrival{Conn: c}) {
		_ = c.Close()
	}
}

// Drop breaks the connections of all clients, as a network does, and says how many. They may come again.
func (l *Listener) Drop() int {
	l.mu.Lock()
	gone := slices.Collect(maps.Keys(l.clients))
	l.mu.Unlock()
	for _, c := range gone {
		_ = c.Conn.Close() // the node sees it as the client does, and then closes its own end
	}
	return len(gone)
}

func (l *Listener) left(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
}

// hand gives a to Accept; false when the listener closes first.
func (l *Listener) hand(a arrival) bool {
	select {
	case l.came <- a:
		return true
	case <-l.closed:
		return false
	}
}
