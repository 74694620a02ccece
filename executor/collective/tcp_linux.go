package collective

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eager has a connection over a long line find its rate by measuring it (BBR), where the system allows that, instead of
// halving it with each loss.
func eager(c net.Conn) {
	socket(c, func(fd int) { _ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr") })
}

// unsent is how many bytes a connection has taken and not sent yet.
func unsent(c net.Conn) (n int) {
	socket(c, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQNSD) })
	return n
}

// roundTrip is what the system has measured of a connection; 0: nothing.
func roundTrip(c net.Conn) (rtt time.Duration) {
	socket(c, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}

func socket(c net.Conn, f func(fd int)) {
	if c, ok := c.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { f(int(fd)) })
		}
	}
}
