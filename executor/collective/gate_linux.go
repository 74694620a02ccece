package collective

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// guestTime bounds the handshake and each reply the container must take.
const guestTime = 10 * time.Second

// A Gate serves one rank's operations to one container: a unix socket and a
// sealed arena. Make it before the container starts, Run it when the group has
// joined, Close it in every case.
type Gate struct {
	opts     GateOptions
	arena    *arena
	dir      *os.File // through which the listener names its socket, whose path may be longer than a socket's can be
	listener *net.UnixListener
	guest    *net.UnixConn // once it has said hello
	once     sync.Once
	closeErr error
}

// NewGate creates the arena and listens on the socket. A socket left by an
// earlier run is replaced.
func NewGate(o GateOptions) (*Gate, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, o.Socket)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing the container's old socket: %w", err)
		}
	}
	dir, err := os.Open(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("listening for the container: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), o.Socket), Net: "unix"})
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("listening for the container: %w", err)
	}
	for name, mode := range map[string]os.FileMode{o.Dir: 0o711, path: 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			_ = l.Close()
			_ = dir.Close()
			return nil, fmt.Errorf("opening the socket to the container's user: %w", err)
		}
	}
	a, err := newArena(o.ArenaBytes)
	if err != nil {
		_ = l.Close()
		_ = dir.Close()
		return nil, err
	}
	return &Gate{opts: o, arena: a, dir: dir, listener: l}, nil
}

// SocketPath is where the socket is on this machine.
func (g *Gate) SocketPath() string { return filepath.Join(g.opts.Dir, g.opts.Socket) }

// Close removes the socket and frees the arena. Call it when Run has returned.
func (g *Gate) Close() error {
	g.once.Do(func() {
		g.closeErr = g.arena.close()
		if err := g.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) && g.closeErr == nil {
			g.closeErr = err
		}
		_ = g.dir.Close()
		if g.guest != nil {
			_ = g.guest.Close()
		}
	})
	return g.closeErr
}

// Run accepts one client and serves it on the group until it says goodbye,
// which returns nil. A client that vanishes, breaks the protocol, or outlives
// ctx aborts the group, and Run says why. The group is left for the caller to Close.
func (g *Gate) Run(ctx context.Context, group *Group) error { return g.run(ctx, groupSeat{group}) }

// RunCircle is Run on a circle, which goes on without this member where Run would abort a group.
func (g *Gate) RunCircle(ctx context.Context, circle *Circle) error {
	return g.run(ctx, circleSeat{circle})
}

// Await waits until the container is there: it has joined, and waits for the answer. Run does so too, when Await did not.
func (g *Gate) Await(ctx context.Context) error {
	if g.guest != nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = g.listener.Close() })
	conn, err := g.listener.AcceptUnix()
	if !stop() || err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%w: waiting for it to connect: %w", ErrGuest, err)
	}
	_ = g.listener.Close() // one client: nobody else gets in, and the socket is gone
	g.guest = conn
	if err := hearGuest(conn); err != nil {
		return fmt.Errorf("%w: %w", ErrGuest, err)
	}
	return nil
}

// Dismiss tells the container that the group has come to its end without it.
func (g *Gate) Dismiss(ctx context.Context) error {
	if err := g.Await(ctx); err != nil {
		return err
	}
	if err := g.guest.SetDeadline(time.Now().Add(guestTime)); err != nil {
		return err
	}
	if _, err := g.guest.Write(encodeOver()); err != nil {
		return fmt.Errorf("%w: telling it that all is over: %w", ErrGuest, err)
	}
	return nil
}

func (g *Gate) run(ctx context.Context, on seat) error {
	if err := g.Await(ctx); err != nil {
		on.fail(context.WithoutCancel(ctx), err)
		return err
	}
	defer func() { _ = g.guest.Close() }()
	if err := g.serve(ctx, on, g.guest); err != nil {
		err = fmt.Errorf("%w: %w", ErrGuest, err)
		on.fail(context.WithoutCancel(ctx), err)
		return err
	}
	return nil
}

func (g *Gate) serve(ctx context.Context, on seat, conn *net.UnixConn) error {
	if err := g.greetGuest(on, conn); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	t := &talk{conn: conn, desk: &desk{mem: g.arena.mem, seat: on}, fail: cancel}
	goodbye, err := t.read(ctx)
	if err != nil {
		cancel(err) // cuts what is under way short; the first cause counts
	}
	t.under.Wait()
	if err == nil && context.Cause(ctx) == nil {
		t.reply(reply{seq: goodbye})
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrFrame) {
		_ = conn.SetWriteDeadline(time.Now().Add(guestTime))
		_, _ = conn.Write(reply{status: replyMalformed, body: []byte(clip(cause.Error()))}.encode())
	}
	return cause
}

func hearGuest(conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(guestTime)); err != nil {
		return err
	}
	var b [guestHelloBytes]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return fmt.Errorf("reading its hello: %w", err)
	}
	return checkGuestHello(b[:])
}

func (g *Gate) greetGuest(on seat, conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(guestTime)); err != nil {
		return err
	}
	out := encodeGateHello(on, g.opts)
	rights := unix.UnixRights(int(g.arena.file.Fd()))
	n, _, err := conn.WriteMsgUnix(out, rights, nil)
	if err != nil {
		return fmt.Errorf("sending it the arena: %w", err)
	}
	if n != len(out) {
		return fmt.Errorf("sending it the arena: %w", io.ErrShortWrite)
	}
	return conn.SetDeadline(time.Time{})
}
