package node_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
)

// replay is a node that answers every connection with the same bytes, whatever it is asked.
type replay struct {
	net.Listener
	mu    sync.Mutex
	bytes []byte
	wg    sync.WaitGroup
}

func newReplay(tb testing.TB) *replay {
	d, err := os.MkdirTemp("", "replay")
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(d, "node.socket"))
	if err != nil {
		tb.Fatal(err)
	}
	r := &replay{Listener: l}
	tb.Cleanup(func() { l.Close(); r.wg.Wait(); os.RemoveAll(d) })
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			b := r.bytes
			r.mu.Unlock()
			r.wg.Go(func() {
				defer c.Close()
				c.Write(b)
				c.(*net.UnixConn).CloseWrite()
				io.Copy(io.Discard, c)
			})
		}
	})
	return r
}

// says sets the bytes.
func (r *replay) says(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = b
}

// ask asks a node everything there is to ask and returns what it was told wrongly.
func ask(ctx context.Context, socket string) error {
	n, err := node.Dial(ctx, node.Config{Socket: socket, Network: network, Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer n.Close()
	_, a := key(1)
	_, err1 := n.Status(ctx)
	_, _, _, err2 := n.Snapshot(ctx, a)
	_, err3 := n.InMempool(ctx, chain.TxID{1})
	err4 := n.Submit(ctx, []byte{0x84, 0xa0, 0xa0, 0xf5, 0xf6})
	err5 := n.Follow(ctx, nil, handler{})
	return errors.Join(err1, err2, err3, err4, err5)
}

// frame is a segment of the multiplexer from the node: time, protocol with the responder's bit, length, payload.
func frame(protocol uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0)
	b = binary.BigEndian.AppendUint16(b, protocol|0x8000)
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	return append(b, payload...)
}

// accept is the handshake of a node that takes version 16 of node-to-client on this network: [1, version, [magic, query]].
func accept() []byte { return frame(0, []byte{0x83, 0x01, 0x19, 0x80, 0x10, 0x82, 0x18, magic, 0xf4}) }

// recorded are sessions of the live node, as it answered them.
func recorded(tb testing.TB) [][]byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/session.bin")
	if err != nil {
		tb.Fatal(err)
	}
	return [][]byte{b}
}

// FuzzGarbage: whatever a node sends, after a handshake or instead of one, ends in an error of this package.
func FuzzGarbage(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("220 smtp.example.org ESMTP\r\n"))
	f.Add(accept())
	f.Add(append(accept(), frame(7, []byte{0x81, 0x01})...))                                                             // acquired, and no more
	f.Add(append(append(accept(), frame(7, []byte{0x81, 0x01})...), frame(7, []byte{0x82, 0x04, 0x80})...))              // a result of nothing
	f.Add(append(accept(), frame(5, []byte{0x83, 0x05, 0x80, 0x82, 0x80, 0x00})...))                                     // an intersection at the origin
	f.Add(append(accept(), frame(6, []byte{0x82, 0x02, 0x82, 0x82, 0x06, 0x81, 0x82, 0x07, 0x61, 0x78, 0x00})...))       // a rejection
	f.Add(append(accept(), bytes.Repeat(frame(7, bytes.Repeat([]byte{0x9f}, 60_000)), 4)...))                            // an answer that does not end
	f.Add(append(accept(), frame(7, []byte{0x82, 0x04, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00})...)) // a list of 2^64 elements
	for _, b := range recorded(f) {
		f.Add(b)
	}
	r := newReplay(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r.says(b)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		hung := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("no end to %x", b)) })
		defer hung.Stop()
		if err := ask(ctx, r.Addr().String()); err == nil {
			t.Error("all questions answered")
		}
	})
}

// TestFlood: a node that sends without end is cut off, by the size of what it sends or by the time that it takes.
func TestFlood(t *testing.T) {
	r := newReplay(t)
	flood := append(accept(), frame(7, []byte{0x81, 0x01})...)                                                   // acquired
	flood = append(flood, frame(7, []byte{0x82, 0x04, 0x5b, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00})...) // 4 GiB
	for len(flood) < 20<<20 {
		flood = append(flood, frame(7, make([]byte, 60_000))...)
	}
	r.says(flood)
	n, err := node.Dial(t.Context(), node.Config{Socket: r.Addr().String(), Network: network, Timeout: 8 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err = n.Status(t.Context()); !errors.Is(err, node.ErrConnection) {
		t.Error(err)
	}
}
