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
	if _, err := c.conn.Write(append([]byte("TLYG\x03\x00"), make([]byte, 10)...)); err != nil {
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

func (c *guest) send(a ask) uint32 {
	c.t.Helper()
	c.seq++
	if _, err := c.conn.Write(a.encode(c.seq)); err != nil {
		c.t.Errorf("sending %v: %v", a.kind, err)
	}
	return c.seq
}

func (c *guest) reply() (uint32, replyStatus, string) {
	b := make([]byte, replyBytes)
	if _, err := io.ReadFull(c.conn, b); err != nil {
		return 0, ^replyStatus(0), err.Error()
	}
	status := replyStatus(binary.LittleEndian.Uint32(b[4:]))
	text := make([]byte, binary.LittleEndian.Uint32(b[24:]))
	_, _ = io.ReadFull(c.conn, text)
	return binary.LittleEndian.Uint32(b), status, string(text)
}

func (c *guest) call(a ask) (replyStatus, string) {
	c.t.Helper()
	want := c.send(a)
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
		if s, text := c.call(ask{kind: AllReduce, src: span{0, n}, dst: span{2 << 20, n}}); s != replyDone {
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
		if s, text := c.call(ask{kind: Broadcast, root: 1, dst: span{0, 100}}); s != replyDone || c.mem[99] != 'b' {
			t.Errorf("broadcast: %s", text)
		}
		c.mem[128] = byte('a' + r)
		if s, text := c.call(ask{kind: AllGather, src: span{128, 1}, dst: span{192, 2}}); s != replyDone || string(c.mem[192:194]) != "ab" {
			t.Errorf("allgather: %s %q", text, c.mem[192:194])
		}
		for range 10 {
			c.send(ask{kind: Barrier})
		}
		for range 10 {
			if _, s, text := c.reply(); s != replyDone {
				t.Errorf("barrier: %s", text)
			}
		}
		for _, bad := range []struct {
			ask
			names string
		}{
			{ask{kind: AllReduce, src: span{4, 8}, dst: span{64, 8}}, "source offset 4 is no multiple"},
			{ask{kind: AllReduce, src: span{testArena, 8}, dst: span{0, 8}}, "source offset 8388608 with 8 bytes is outside"},
			{ask{kind: AllReduce, src: span{0, 128}, dst: span{^uint64(63), 128}}, "destination offset 18446744073709551552"},
			{ask{kind: AllReduce, src: span{0, ^uint64(3)}, dst: span{0, ^uint64(3)}}, "outside the arena"},
			{ask{kind: AllReduce, src: span{0, 128}, dst: span{64, 128}}, "overlap"},
			{ask{kind: AllReduce, src: span{0, 7}, dst: span{0, 7}}, "no whole elements"},
			{ask{kind: AllReduce, typ: I64, src: span{0, 12}, dst: span{0, 12}}, "no whole elements"},
			{ask{kind: AllReduce, src: span{0, 8}, dst: span{64, 12}}, "8 bytes into 12"},
			{ask{kind: AllReduce, typ: BF16, wire: AsInt8, src: span{0, 8}, dst: span{0, 8}}, "only a sum or mean of f32"},
			{ask{kind: AllReduce, src: span{0, 8}, dst: span{0, 8}, residual: 64}, "a residual"},
			{ask{kind: AllReduce, wire: AsTopK, src: span{0, 80}, dst: span{0, 80}}, "a share of 0/65536"},
			{ask{kind: AllReduce, wire: AsInt8, share: 9, src: span{0, 80}, dst: span{0, 80}}, "a share of 9/65536"},
			{ask{kind: AllReduce, wire: AsInt8, src: span{0, 80}, dst: span{0, 80}, residual: 64}, "residual offset 64 lies in"},
			{ask{kind: AllReduce, wire: AsInt8, src: span{0, 80}, dst: span{0, 80}, residual: testArena - 64}, "residual offset 8388544 with 80 bytes is outside"},
			{ask{kind: Broadcast, root: 2, dst: span{0, 8}}, "root 2 of 2"},
			{ask{kind: AllGather, src: span{0, 1 << 63}, dst: span{0, 8}}, "outside the arena"},
			{ask{kind: AllGather, src: span{64, 64}, dst: span{0, 128}}, "overlap"},
			{ask{kind: AllGather, src: span{256, 64}, dst: span{0, 128}, parts: []uint64{100, 28}}, "64 bytes into 128"},
			{ask{kind: AllGather, src: span{256, 64}, dst: span{0, 128}, parts: []uint64{128}}, "1 parts for 2 ranks"},
			{ask{kind: ReduceScatter, src: span{0, 12}, dst: span{64, 6}, parts: []uint64{6, 6}}, "no whole elements"},
			{ask{kind: AllToAll, src: span{0, 12}, dst: span{64, 12}, parts: []uint64{4, 8, 8, 4}}, "to itself"},
			{ask{kind: Send, root: uint16(r), src: span{0, 4}}, "itself"},
			{ask{kind: Barrier, group: 1}, "no process group 1"},
			{ask{kind: partition, parts: []uint64{0, 7}}, "rank 7 of 2"},
			{ask{kind: partition, parts: []uint64{1 - uint64(r)}}, "is not among"},
			{ask{kind: Barrier, name: "\xff\xfe"}, "UTF-8"},
		} {
			if s, text := c.call(bad.ask); s != replyRefused || !strings.Contains(text, bad.names) {
				t.Errorf("%+v: status %d, %q", bad, s, text)
			}
		}
		if s, text := c.call(ask{kind: Barrier}); s != replyDone {
			t.Errorf("after refused commands: %s", text)
		}
		if s, text := c.call(ask{kind: leave}); s != replyDone {
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
	first.call(ask{kind: leave})
	if err := <-gs.runs[0]; err != nil {
		t.Error(err)
	}
	w.close()
}

func TestGateEndsAMalformedClient(t *testing.T) {
	for name, spoil := range map[string]func(c *guest){
		"hello":      func(c *guest) { _, _ = c.conn.Write(bytes.Repeat([]byte{'x'}, guestHelloBytes)) },
		"version":    func(c *guest) { _, _ = c.conn.Write(append([]byte("TLYG\x09\x00"), make([]byte, 10)...)) },
		"command":    func(c *guest) { c.greet(); c.send(ask{kind: 99}) },
		"dimensions": func(c *guest) { c.greet(); c.send(ask{kind: Barrier, dims: make([]uint64, 9)}) },
		"parts":      func(c *guest) { c.greet(); c.send(ask{kind: AllGather, parts: make([]uint64, 2*MaxPeers+1)}) },
		"huge part":  func(c *guest) { c.greet(); c.send(ask{kind: AllGather, parts: []uint64{1 << 60}}) },
		"reduction":  func(c *guest) { c.greet(); c.send(ask{kind: AllReduce, reduce: 9}) },
		"flood": func(c *guest) {
			c.greet()
			flood := make([]byte, 200*commandBytes)
			for i := range 200 {
				copy(flood[i*commandBytes:], ask{kind: Barrier}.encode(uint32(i))) // rank 1 never answers
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
			c.send(ask{kind: Barrier})
			c.reply()
			_ = c.conn.Close() // as when it is killed
			return <-gs.runs[1]
		}
		c.call(ask{kind: Barrier})
		if s, text := c.call(ask{kind: AllReduce, src: span{0, 4 << 20}, dst: span{0, 4 << 20}}); s != replyFailed || !strings.Contains(text, w.hosts[1].ID().String()) || !strings.Contains(text, "without saying goodbye") {
			t.Errorf("rank %d: status %d, %q", r, s, text)
		}
		c.call(ask{kind: leave})
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
	c.send(ask{kind: Barrier}) // waits for rank 1, whose container never connects
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
