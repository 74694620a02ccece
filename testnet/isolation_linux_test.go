package testnet_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tallycompute/tally/testnet"
)

// seen is what one look at /proc found of a participant's process.
type seen struct {
	name, home string
	files      map[string]string // by device and inode: what it has open or mapped shared, with the path
	unix       map[uint64]bool   // sockets, by inode
	tcp        map[uint64]tcpSocket
	other      []string // sockets of other kinds
}

// tcpSocket is a row of /proc/net/tcp.
type tcpSocket struct {
	local, remote string // address:port, hexadecimal
	listening     bool
}

// contacts are how participants touch each other and the rest of the machine.
type contacts struct {
	wrong   []string        // what must not be
	between map[string]bool // pairs of participants with a connection, "a b"
	looked  map[string]bool
}

// look compares what the processes of all participants have open: no file, pipe, memory or socket may be common to two
// of them, but libp2p's TCP connections; the only unix sockets that lead out are the node's, the container engine's, and
// those that a provider gives its own containers.
func look(w *testnet.World) (contacts, error) {
	c := contacts{between: map[string]bool{}, looked: map[string]bool{}}
	peers, err := unixPeers()
	if err != nil {
		return c, err
	}
	var all []seen
	for _, p := range append(w.Participants(), w.Bootstrap) {
		if p.Process() == nil {
			continue
		}
		s, err := inspect(p)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return c, err
		}
		all = append(all, s)
		c.looked[p.Name] = true
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			for id, path := range a.files {
				if _, both := b.files[id]; both {
					c.wrong = append(c.wrong, fmt.Sprintf("%s and %s both have %s open", a.name, b.name, path))
				}
			}
		}
		for _, b := range all {
			for _, path := range a.files {
				if a.name != b.name && strings.HasPrefix(path, b.home+"/") {
					c.wrong = append(c.wrong, fmt.Sprintf("%s has %s of %s open", a.name, path, b.name))
				}
			}
		}
		for _, s := range a.other {
			c.wrong = append(c.wrong, fmt.Sprintf("%s has a socket that is neither unix nor TCP: %s", a.name, s))
		}
		c.unixSockets(w, a, all, peers)
		c.tcpSockets(a, all)
	}
	return c, nil
}

func (c *contacts) unixSockets(w *testnet.World, a seen, all []seen, peers map[uint64]unixSocket) {
	for inode := range a.unix {
		own, ok := peers[inode]
		if !ok || own.peer == 0 {
			continue // closed since, or nobody is at the other end
		}
		for _, b := range all {
			if b.unix[own.peer] && b.name != a.name {
				c.wrong = append(c.wrong, fmt.Sprintf("%s and %s share a unix socket", a.name, b.name))
			}
		}
		switch name := peers[own.peer].name; {
		case name == w.Process.Socket, strings.HasSuffix(name, "/docker.sock"):
		case a.unix[own.peer]: // both ends are its own
		case strings.HasSuffix(own.name, "/agent.sock"): // a container of its own is at the other end
		default:
			c.wrong = append(c.wrong, fmt.Sprintf("%s has a unix socket to %q", a.name, name))
		}
	}
}

func (c *contacts) tcpSockets(a seen, all []seen) {
	for _, s := range a.tcp {
		if s.listening {
			continue
		}
		found := false
		for _, b := range all {
			for _, o := range b.tcp {
				if b.name == a.name || o.listening || o.local != s.remote || o.remote != s.local {
					continue
				}
				found = true
				if !b.listens(o.local) && !a.listens(s.local) {
					c.wrong = append(c.wrong, fmt.Sprintf("%s and %s have a connection on no port that libp2p listens on", a.name, b.name))
				}
				c.between[a.name+" "+b.name] = true
			}
		}
		if !found {
			c.wrong = append(c.wrong, fmt.Sprintf("%s has a connection from %s to %s, to no participant", a.name, s.local, s.remote))
		}
	}
}

func (s seen) listens(local string) bool {
	for _, t := range s.tcp {
		if t.listening && t.local == local {
			return true
		}
	}
	return false
}

// inspect reads what the process of a participant has open.
func inspect(p *testnet.Participant) (seen, error) {
	s := seen{name: p.Name, home: p.Home, files: map[string]string{}, unix: map[uint64]bool{}, tcp: map[uint64]tcpSocket{}}
	proc := filepath.Join("/proc", strconv.Itoa(p.Process().PID()))
	tables := map[string][]byte{}
	for _, kind := range []string{"unix", "tcp", "tcp6", "netlink"} {
		b, err := os.ReadFile(filepath.Join(proc, "net", kind))
		if err != nil {
			return s, err
		}
		tables[kind] = b
	}
	unixes, kernel, tcps := inodes(tables["unix"], 6), inodes(tables["netlink"], 9), rows(tables["tcp"])
	for inode, row := range rows(tables["tcp6"]) {
		tcps[inode] = row
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return s, err
	}
	for _, fd := range fds {
		path := filepath.Join(proc, "fd", fd.Name())
		to, err := os.Readlink(path)
		if err != nil {
			continue // closed since
		}
		if rest, ok := strings.CutPrefix(to, "socket:["); ok {
			inode, _ := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
			switch row, tcp := tcps[inode]; {
			case unixes[inode]:
				s.unix[inode] = true
			case tcp:
				s.tcp[inode] = row
			case kernel[inode]: // netlink: only the kernel is at the other end
			default:
				if d := describe(p.Process().PID(), fd.Name()); d != "" {
					s.other = append(s.other, to+" "+d)
				}
			}
			continue
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && !common(to) {
			s.files[fmt.Sprintf("%d:%d", st.Dev, st.Ino)] = to
		}
	}
	return s, s.mapped(proc)
}

// describe looks at a socket of another process that no table of its network's has; "": it is a TCP socket with nobody
// at its other end, or one that a container connected, in whose network such a socket is, or gone.
func describe(pid int, fd string) string {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return err.Error()
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(process)
	socket, err := unix.PidfdGetfd(process, n, 0)
	if errors.Is(err, unix.EBADF) {
		return "" // closed since
	}
	if err != nil {
		return err.Error()
	}
	defer unix.Close(socket)
	domain, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err.Error()
	}
	protocol, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return err.Error()
	}
	own, err := unix.Getsockname(socket)
	peer, peerErr := unix.Getpeername(socket)
	if protocol == unix.IPPROTO_TCP && errors.Is(peerErr, unix.ENOTCONN) {
		return ""
	}
	if u, ok := own.(*unix.SockaddrUnix); ok && strings.HasSuffix(u.Name, "/agent.sock") {
		return ""
	}
	return fmt.Sprintf("domain %d, protocol %d, own name %+v %v, peer %+v %v", domain, protocol, own, err, peer, peerErr)
}

// common says whether everybody may have it open: devices without memory, the kernel's own objects without content, and
// the limits of the control group, which Go's runtime reads.
func common(to string) bool {
	return slices.Contains([]string{"/dev/null", "/dev/urandom"}, to) || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/sys/fs/cgroup/")
}

// mapped adds memory that is mapped shared.
func (s seen) mapped(proc string) error {
	b, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 6 || len(f[1]) != 4 || f[1][3] != 's' {
			continue
		}
		s.files["map "+f[3]+":"+f[4]] = f[5]
	}
	return nil
}

// inodes are those in a column of a table of /proc/net.
func inodes(table []byte, column int) map[uint64]bool {
	found := map[uint64]bool{}
	for sc := bufio.NewScanner(bytes.NewReader(table)); sc.Scan(); {
		if f := strings.Fields(sc.Text()); len(f) > column {
			if n, err := strconv.ParseUint(f[column], 10, 64); err == nil {
				found[n] = true
			}
		}
	}
	return found
}

// rows are the sockets in /proc/net/tcp or tcp6 that listen or are connected, by inode.
func rows(table []byte) map[uint64]tcpSocket {
	const established, listen = "01", "0A"
	found := map[uint64]tcpSocket{}
	for sc := bufio.NewScanner(bytes.NewReader(table)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 10 {
			continue
		}
		if n, err := strconv.ParseUint(f[9], 10, 64); err == nil && (f[3] == established || f[3] == listen) {
			found[n] = tcpSocket{f[1], f[2], f[3] == listen}
		} else if err == nil && n != 0 {
			found[n] = tcpSocket{listening: true} // on its way in or out
		}
	}
	return found
}

// unixSocket is a unix socket as the kernel knows it.
type unixSocket struct {
	name string
	peer uint64 // inode of the other end
}

// unixPeers asks the kernel which unix sockets are connected to which (sock_diag(7), unix_diag.h).
func unixPeers() (map[uint64]unixSocket, error) {
	const (
		byFamily               = 20     // SOCK_DIAG_BY_FAMILY
		showName, showPeer     = 1, 4   // UDIAG_SHOW_NAME, UDIAG_SHOW_PEER
		attrName, attrPeer     = 0, 2   // UNIX_DIAG_NAME, UNIX_DIAG_PEER
		requestSize, replySize = 24, 16 // of unix_diag_req and unix_diag_msg
	)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	req := make([]byte, syscall.NLMSG_HDRLEN+requestSize)
	order := binary.NativeEndian
	order.PutUint32(req, uint32(len(req)))
	order.PutUint16(req[4:], byFamily)
	order.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := req[syscall.NLMSG_HDRLEN:]
	body[0] = unix.AF_UNIX
	order.PutUint32(body[4:], ^uint32(0))
	order.PutUint32(body[12:], showName|showPeer)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	found, buf := map[uint64]unixSocket{}, make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if m.Header.Type == unix.NLMSG_DONE {
				return found, nil
			}
			if m.Header.Type != byFamily || len(m.Data) < replySize {
				return nil, fmt.Errorf("unix_diag: message of type %d", m.Header.Type)
			}
			var s unixSocket
			for a := m.Data[replySize:]; len(a) >= 4; {
				size, kind := int(order.Uint16(a)), order.Uint16(a[2:])
				if size < 4 || size > len(a) {
					break
				}
				switch kind {
				case attrName:
					s.name = string(bytes.TrimRight(a[4:size], "\x00"))
				case attrPeer:
					s.peer = uint64(order.Uint32(a[4:size]))
				}
				a = a[min(len(a), (size+3)&^3):]
			}
			found[uint64(order.Uint32(m.Data[4:]))] = s
		}
	}
}
