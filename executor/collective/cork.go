package collective

import (
	"net"
	"sync"
)

const corkBytes = segmentBytes + 16<<10 // a segment with what TLS adds to it

// cork is a connection that can hold what is written until it is flushed, and reads ahead: TLS writes and reads a record
// of 16 KiB at a time.
type cork struct {
	net.Conn
	mu   sync.Mutex
	held bool
	out  []byte

	in   []byte
	r, w int
}

func newCork(c net.Conn) *cork { return &cork{Conn: c} }

// hold keeps what is written from now on.
func (c *cork) hold() {
	c.mu.Lock()
	c.held = true
	c.mu.Unlock()
}

// flush writes what was kept.
func (c *cork) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.empty()
}

func (c *cork) empty() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Write implements net.Conn.
func (c *cork) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		return c.Conn.Write(b)
	}
	if c.out == nil {
		c.out = make([]byte, 0, corkBytes)
	}
	if len(c.out)+len(b) > cap(c.out) {
		if err := c.empty(); err != nil {
			return 0, err
		}
	}
	c.out = append(c.out, b...)
	return len(b), nil
}

// Read implements net.Conn. One goroutine reads.
func (c *cork) Read(b []byte) (int, error) {
	if c.r == c.w {
		if c.in == nil {
			c.in = make([]byte, corkBytes)
		}
		n, err := c.Conn.Read(c.in)
		if n == 0 {
			return 0, err
		}
		c.r, c.w = 0, n
	}
	n := copy(b, c.in[c.r:c.w])
	c.r += n
	return n, nil
}
