//go:build !race

package collective

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// rawPair are the ends of a connection.
func rawPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return raw(a), raw(b)
}

func TestRawCarriesAllBothWays(t *testing.T) {
	a, b := rawPair(t)
	var seed [32]byte
	sent := make([]byte, 32<<20)
	_, _ = rand.NewChaCha8(seed).Read(sent)
	errs := make(chan error, 4)
	for _, c := range []net.Conn{a, b} {
		go func() {
			rng := rand.New(rand.NewPCG(1, 2))
			for left := sent; len(left) > 0; {
				n := min(len(left), rng.IntN(2<<20))
				if m, err := c.Write(left[:n]); err != nil || m != n {
					errs <- errors.Join(err, io.ErrShortWrite)
					return
				}
				left = left[n:]
			}
			errs <- nil
		}()
		go func() {
			got := make([]byte, len(sent))
			_, err := io.ReadFull(c, got)
			if err == nil && !bytes.Equal(got, sent) {
				err = errors.New("other bytes came than were sent")
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		_, _ = a.Write(sent[:100])
		_, _ = io.ReadFull(b, sent[:100])
	}); n > 0 {
		t.Errorf("a message takes memory %v times", n)
	}
}

func TestRawEnds(t *testing.T) {
	big := make([]byte, 64<<20) // more than the system holds of what nobody reads
	within := func(t *testing.T, f func() error) error {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f() }()
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			t.Fatal("it waits")
			return nil
		}
	}
	t.Run("a deadline passes", func(t *testing.T) {
		a, _ := rawPair(t)
		_ = a.SetDeadline(time.Now().Add(50 * time.Millisecond))
		if err := within(t, func() error { _, err := a.Read(big); return err }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading: %v", err)
		}
		var n int
		err := within(t, func() (err error) { n, err = a.Write(big); return err })
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == len(big) {
			t.Errorf("writing: %d bytes, %v", n, err)
		}
	})
	t.Run("it is closed here", func(t *testing.T) {
		a, _ := rawPair(t)
		time.AfterFunc(50*time.Millisecond, func() { _ = a.Close() })
		if err := within(t, func() error { _, err := a.Read(big); return err }); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading: %v", err)
		}
		if _, err := a.Write(big); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing: %v", err)
		}
	})
	t.Run("the other side closes", func(t *testing.T) {
		a, b := rawPair(t)
		if _, err := b.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
		_ = b.Close()
		got := make([]byte, 8)
		if err := within(t, func() error { _, err := io.ReadFull(a, got); return err }); !errors.Is(err, io.ErrUnexpectedEOF) || string(got[:4]) != "last" {
			t.Errorf("reading: %q, %v", got, err)
		}
		if n, err := a.Read(got); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("reading again: %d bytes, %v", n, err)
		}
	})
	t.Run("the other side is gone", func(t *testing.T) {
		a, b := rawPair(t)
		time.AfterFunc(50*time.Millisecond, func() {
			_ = b.(*rawConn).SetLinger(0)
			_ = b.Close()
		})
		var n int
		err := within(t, func() (err error) { n, err = a.Write(big); return err })
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" || n == len(big) {
			t.Errorf("writing: %d bytes, %v", n, err)
		}
	})
	t.Run("nothing is nothing", func(t *testing.T) {
		a, _ := rawPair(t)
		if n, err := a.Read(nil); n != 0 || err != nil {
			t.Errorf("reading: %d, %v", n, err)
		}
		if n, err := a.Write(nil); n != 0 || err != nil {
			t.Errorf("writing: %d, %v", n, err)
		}
	})
	t.Run("another kind of connection stays as it is", func(t *testing.T) {
		a, _ := net.Pipe()
		if raw(a) != a {
			t.Error("it was wrapped")
		}
	})
}
