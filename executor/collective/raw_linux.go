//go:build !race

package collective

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// raw has a TCP connection's reads and writes made without a word to Go's scheduler. They do not block, for its socket is
// non-blocking, and the longest copies a segment: some 0.1 ms. A scheduler that is told of them takes the processor from whoever
// is in one for more than 20 µs and gives it to another thread, and wakes its monitor when all have waited: a change of
// threads for each segment and for each small message, where a rank has one processor. The race detector sees what happens before
// what by the calls that are told: with it (raw_other.go) they are.
func raw(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	control, err := tcp.SyscallConn()
	if err != nil {
		return c // closed: its next call says so
	}
	r := &rawConn{TCPConn: tcp, control: control}
	r.reading.try, r.writing.try = r.reading.read, r.writing.write
	return r
}

// A rawConn is read by one goroutine and written by one.
type rawConn struct {
	*net.TCPConn
	control          syscall.RawConn
	reading, writing call
}

// Read implements net.Conn.
func (r *rawConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.reading.begin(b)
	n, err := r.reading.end(r, "read", r.control.Read(r.reading.try))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (r *rawConn) Write(b []byte) (int, error) {
	r.writing.begin(b)
	return r.writing.end(r, "write", r.control.Write(r.writing.try))
}

// A call is a read or a write under way.
type call struct {
	try func(fd uintptr) bool // one of the next two; kept, for making it takes memory
	b   []byte
	n   int // of b, done
	err syscall.Errno
}

func (c *call) begin(b []byte) { c.b, c.n, c.err = b, 0, 0 }

// read takes what there is; false: nothing yet.
func (c *call) read(fd uintptr) bool { return c.do(syscall.SYS_READ, fd) }

// write gives all of b; false: the rest must wait.
func (c *call) write(fd uintptr) bool {
	for c.n < len(c.b) && c.err == 0 {
		if !c.do(syscall.SYS_WRITE, fd) {
			return false
		}
	}
	return true
}

// do makes one system call about what is left of b.
func (c *call) do(trap, fd uintptr) bool {
	left := c.b[c.n:]
	for {
		n, _, err := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(left))), uintptr(len(left)))
		switch err {
		case 0:
			c.n += int(n)
			return true
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			c.err = err
			return true
		}
	}
}

// end is what has come of it; err is the connection's: a deadline that passed, or that it was closed.
func (c *call) end(conn net.Conn, name string, err error) (int, error) {
	c.b = nil
	if err == nil && c.err != 0 {
		err = &net.OpError{Op: name, Net: "tcp", Source: conn.LocalAddr(), Addr: conn.RemoteAddr(), Err: os.NewSyscallError(name, c.err)}
	}
	return c.n, err
}
