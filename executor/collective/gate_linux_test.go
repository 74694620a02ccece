package collective

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testArena = 8 << 20

// gates gives each rank of w a gate and runs it; wait gives what the runs returned.
type gates struct {
	w    *world
	dirs []string
	runs []chan error
}

func newGates(t *testing.T, ctx context.Context, w *world) *gates {
	t.Helper()
	gs := &gates{w: w}
	for r, g := range w.groups {
		dir, err := os.MkdirTemp("", "tally") // the client's path to the socket must be short, unlike the gate's
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		gate, err := NewGate(GateOptions{Dir: dir, ArenaBytes: testArena, Job: "digits", LocalRank: 0, LocalSize: 1, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if gate.SocketPath() != filepath.Join(dir, "agent.sock") {
			t.Errorf("rank %d: the socket is at %s", r, gate.SocketPath())
		}
		run := make(chan error, 1)
		go func() {
			err := gate.Run(ctx, g)
			if e := gate.Close(); err == nil {
				err = e
			}
			run <- err
		}()
		gs.dirs, gs.runs = append(gs.dirs, dir), append(gs.runs, run)
	}
	return gs
}

// guest is a container's program, written out by hand.
type guest struct {
	t     *testing.T
	conn  *net.UnixConn
	hello []byte
	fd    int
	mem   []byte
	seq   uint32
}

func (gs *gates) guest(t *testing.T, rank int) *guest {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(gs.dirs[rank], "agent.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	c := &guest{t: t, conn: conn, fd: -1}
	t.Cleanup(func() {
		_ = conn.Close()
		if c.mem != nil {
			_ = unix.Munmap(c.mem)
			_ = unix.Close(c.fd)
		}
	})
	return c
}

func (c *guest) greet() {
	c.t.Helper()
	if _, err := c.conn.Write(append([]byte("TLYG\x01\x00"), make([]byte, 10)...)); err != nil {
		c.t.Fatal(err)
	}
	c.hello = make([]byte, gateHelloBytes+len("digits"))
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.conn.ReadMsgUnix(c.hello, oob)
	if err != nil || n != len(c.hello) {
		c.t.Fatalf("hello of %d bytes: %v", n, err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		c.t.Fatalf("%d control messages: %v", len(msgs), err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		c.t.Fatalf("descriptors %v: %v", fds, err)
	}
	c.fd = fds[0]
	if c.mem, err = unix.Mmap(c.fd, 0, testArena, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		c.t.Fatal(err)
	}
}

func (c *guest) send(op operation, reduce Reduce, root uint16, src, dst, n uint64) uint32 {
	c.t.Helper()
	c.seq++
	b := make([]byte, commandBytes)
	b[0], b[1] = byte(op), byte(reduce)
	binary.LittleEndian.PutUint16(b[2:], root)
	binary.LittleEndian.PutUint32(b[4:], c.seq)
	binary.LittleEndian.PutUint64(b[8:], src)
	binary.LittleEndian.PutUint64(b[16:], dst)
	binary.LittleEndian.PutUint64(b[24:], n)
	if _, err := c.conn.Write(b); err != nil {
		c.t.Errorf("sending %v: %v", op, err)
	}
	return c.seq
}

func (c *guest) reply() (uint32, replyStatus, string) {
	b := make([]byte, replyBytes)
	if _, err := io.ReadFull(c.conn, b); err != nil {
		return 0, ^replyStatus(0), err.Error()
	}
	status := replyStatus(binary.LittleEndian.Uint32(b[4:]))
	text := ""
	if status != replyDone {
		t := make([]byte, binary.LittleEndian.Uint64(b[8:]))
		_, _ = io.ReadFull(c.conn, t)
		text = string(t)
	}
	return binary.LittleEndian.Uint32(b), status, text
}

func (c *guest) call(op operation, reduce Reduce, root uint16, src, dst, n uint64) (replyStatus, string) {
	c.t.Helper()
	want := c.send(op, reduce, root, src, dst, n)
	seq, status, text := c.reply()
	if status <= replyFailed && seq != want {
		c.t.Errorf("reply to command %d, want %d", seq, want)
	}
	return status, text
}

func TestGateServesARawClient(t *testing.T) {
	w := newWorld(t, 2, Options{})
	gs := newGates(t, t.Context(), w)
	guests := []*guest{gs.guest(t, 0), gs.guest(t, 1)}
	w.all(func(r int) error {
		c := guests[r]
		c.greet()
		if c.hello[8] != byte(r) || c.hello[12] != 2 || string(c.hello[gateHelloBytes:]) != "digits" {
			t.Errorf("rank %d: hello %x", r, c.hello)
		}
		if err := unix.Ftruncate(c.fd, 4096); !errors.Is(err, unix.EPERM) {
			t.Errorf("the container could truncate the arena: %v", err)
		}
		const n = 300_000 * 4
		copy(c.mem, bytesOf(inputs(r, n/4)))
		if s, text := c.call(opAllReduce, Sum, 0, 0, 2<<20, n); s != replyDone {
			t.Errorf("allreduce: %s", text)
		}
		for i, got := range floatsOf(c.mem[2<<20:][:n]) {
			if want := value(0, i) + value(1, i); got != want {
				t.Errorf("value %d is %v, want %v", i, got, want)
				break
			}
		}
		if !bytes.Equal(c.mem[:n], bytesOf(inputs(r, n/4))) {
			t.Error("the source was changed")
		}
		copy(c.mem, bytes.Repeat([]byte{byte('a' + r)}, 100))
		if s, text := c.call(opBroadcast, 0, 1, 0, 0, 100); s != replyDone || c.mem[99] != 'b' {
			t.Errorf("broadcast: %s", text)
		}
		c.mem[128] = byte('a' + r)
		if s, text := c.call(opAllGather, 0, 0, 128, 192, 1); s != replyDone || string(c.mem[192:194]) != "ab" {
			t.Errorf("allgather: %s %q", text, c.mem[192:194])
		}
		for range 10 {
			c.send(opBarrier, 0, 0, 0, 0, 0)
		}
		for range 10 {
			if _, s, text := c.reply(); s != replyDone {
				t.Errorf("barrier: %s", text)
			}
		}
		for _, bad := range []struct {
			op          operation
			root        uint16
			src, dst, n uint64
			names       string
		}{
			{opAllReduce, 0, 4, 0, 8, "source offset 4 is no multiple"},
			{opAllReduce, 0, testArena, 0, 8, "source offset 8388608 with 8 bytes is outside"},
			{opAllReduce, 0, 0, ^uint64(63), 128, "destination offset 18446744073709551552"},
			{opAllReduce, 0, 0, 0, ^uint64(3), "outside the arena"},
			{opAllReduce, 0, 0, 64, 128, "overlap"},
			{opAllReduce, 0, 0, 0, 7, "no multiple of 4"},
			{opBroadcast, 2, 0, 0, 8, "root 2 of 2"},
			{opAllGather, 0, 0, 0, 1 << 63, "allgather of 9223372036854775808 bytes"},
			{opAllGather, 0, 64, 0, 64, "source offset 64 lies in the destination"},
		} {
			if s, text := c.call(bad.op, 0, bad.root, bad.src, bad.dst, bad.n); s != replyRefused || !strings.Contains(text, bad.names) {
				t.Errorf("%+v: status %d, %q", bad, s, text)
			}
		}
		if s, text := c.call(opBarrier, 0, 0, 0, 0, 0); s != replyDone {
			t.Errorf("after refused commands: %s", text)
		}
		if s, text := c.call(opGoodbye, 0, 0, 0, 0, 0); s != replyDone {
			t.Errorf("goodbye: %s", text)
		}
		return <-gs.runs[r]
	})
	w.close()
}

func TestGateTakesOneClient(t *testing.T) {
	w := newWorld(t, 1, Options{})
	gs := newGates(t, t.Context(), w)
	first := gs.guest(t, 0)
	first.greet()
	if conn, err := net.Dial("unix", filepath.Join(gs.dirs[0], "agent.sock")); err == nil {
		_ = conn.Close()
		t.Error("a second client got in")
	}
	first.call(opGoodbye, 0, 0, 0, 0, 0)
	if err := <-gs.runs[0]; err != nil {
		t.Error(err)
	}
	w.close()
}

func TestGateEndsAMalformedClient(t *testing.T) {
	for name, spoil := range map[string]func(c *guest){
		"hello":     func(c *guest) { _, _ = c.conn.Write(bytes.Repeat([]byte{'x'}, guestHelloBytes)) },
		"version":   func(c *guest) { _, _ = c.conn.Write(append([]byte("TLYG\x09\x00"), make([]byte, 10)...)) },
		"command":   func(c *guest) { c.greet(); c.send(99, 0, 0, 0, 0, 0) },
		"reduction": func(c *guest) { c.greet(); c.send(opAllReduce, 9, 0, 0, 0, 64) },
		"flood": func(c *guest) {
			c.greet()
			flood := make([]byte, 200*commandBytes)
			for i := range 200 {
				flood[i*commandBytes] = byte(opBarrier) // rank 1 never answers
			}
			_, _ = c.conn.Write(flood)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2, Options{})
			gs := newGates(t, t.Context(), w)
			c := gs.guest(t, 0)
			spoil(c)
			if err := <-gs.runs[0]; !errors.Is(err, ErrGuest) || !errors.Is(err, ErrFrame) {
				t.Errorf("the gate ended with %v", err)
			}
			if _, err := io.Copy(io.Discard, c.conn); err != nil && !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the socket was left open: %v", err)
			}
			<-w.groups[1].Done()
			if err := w.groups[1].Err(); !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), w.hosts[0].ID().String()) {
				t.Errorf("rank 1 was told %v", err)
			}
			other := gs.guest(t, 1)
			_ = other.conn.Close()
			<-gs.runs[1]
			w.drop()
		})
	}
}

func TestDeadContainerEndsTheOperationEverywhere(t *testing.T) {
	w := newWorld(t, 3, Options{})
	gs := newGates(t, t.Context(), w)
	guests := []*guest{gs.guest(t, 0), gs.guest(t, 1), gs.guest(t, 2)}
	errs := w.each(func(r int) error {
		c := guests[r]
		c.greet()
		if r == 1 {
			c.send(opBarrier, 0, 0, 0, 0, 0)
			c.reply()
			_ = c.conn.Close() // as when it is killed
			return <-gs.runs[1]
		}
		c.call(opBarrier, 0, 0, 0, 0, 0)
		if s, text := c.call(opAllReduce, Sum, 0, 0, 0, 4<<20); s != replyFailed || !strings.Contains(text, w.hosts[1].ID().String()) || !strings.Contains(text, "without saying goodbye") {
			t.Errorf("rank %d: status %d, %q", r, s, text)
		}
		c.call(opGoodbye, 0, 0, 0, 0, 0)
		return <-gs.runs[r]
	})
	if errs[0] != nil || errs[2] != nil || !errors.Is(errs[1], ErrGuest) {
		t.Errorf("the gates ended with %v", errs)
	}
	w.drop()
}

func TestGateObeysItsContext(t *testing.T) {
	w := newWorld(t, 2, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	gs := newGates(t, ctx, w)
	c := gs.guest(t, 0)
	c.greet()
	c.send(opBarrier, 0, 0, 0, 0, 0) // waits for rank 1, whose container never connects
	time.Sleep(20 * time.Millisecond)
	cancel()
	for r := range w.groups {
		if err := <-gs.runs[r]; !errors.Is(err, context.Canceled) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	w.drop()
}

func TestGateOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]GateOptions{
		"tiny arena":  {Dir: t.TempDir(), ArenaBytes: 4096, Log: quiet()},
		"odd arena":   {Dir: t.TempDir(), ArenaBytes: testArena + 1, Log: quiet()},
		"long name":   {Dir: t.TempDir(), ArenaBytes: testArena, Job: strings.Repeat("x", 256), Log: quiet()},
		"local rank":  {Dir: t.TempDir(), ArenaBytes: testArena, LocalRank: 1, Log: quiet()},
		"no logger":   {Dir: t.TempDir(), ArenaBytes: testArena},
		"no such dir": {Dir: "/nonexistent", ArenaBytes: testArena, Log: quiet()},
	} {
		if g, err := NewGate(o); err == nil {
			_ = g.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestGateLongPath has a directory deeper than a socket's path can be long.
func TestGateLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	gate, err := NewGate(GateOptions{Dir: dir, ArenaBytes: testArena, Job: "long", LocalSize: 1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(gate.SocketPath()); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("%v, %v", info, err)
	}
	if err := gate.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(gate.SocketPath()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was left: %v", err)
	}
}
