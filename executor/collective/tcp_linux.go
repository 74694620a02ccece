package collective

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// eager has a connection over a long line find its rate by measuring it (BBR), where the system allows that, instead of
// halving it with each loss.
func eager(c net.Conn) {
	if c, ok := c.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr") })
		}
	}
}
