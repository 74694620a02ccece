package main

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Mini-protocols of node-to-client (network specification of ouroboros-network, table of mini-protocol numbers).
const (
	protocolChainSync = 5
	protocolSubmit    = 6
)

// segment is what goes over a connection at a time: of one mini-protocol, to the node or from it.
type segment struct {
	protocol uint16
	toNode   bool
	body     []byte // what is changed in it goes on changed
}

// relay stands between a client and a node, and sees each segment before it goes on; what seen refuses never arrives, and
// the connections end.
type relay struct {
	socket string
	seen   func(segment) bool
}

// newRelay listens until the test ends.
func newRelay(t *testing.T, node string, seen func(segment) bool) relay {
	t.Helper()
	r := relay{filepath.Join(t.TempDir(), "r"), seen}
	stop, err := r.start(node)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return r
}

// start listens until stop is called.
func (r relay) start(node string) (stop func(), err error) {
	l, err := net.Listen("unix", r.socket)
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			server, err := net.Dial("unix", node)
			if err != nil {
				_ = client.Close()
				return
			}
			wg.Go(func() { r.pass(client, server, true) })
			wg.Go(func() { r.pass(server, client, false) })
		}
	})
	return func() {
		_ = l.Close()
		wg.Wait()
	}, nil
}

// pass takes segments from one side to the other until one of them ends.
func (r relay) pass(from, to net.Conn, toNode bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	const header = 8 // time, mode and protocol, length
	for {
		b := make([]byte, header)
		if _, err := io.ReadFull(from, b); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint16(b[6:]))
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		if !r.seen(segment{binary.BigEndian.Uint16(b[4:]) &^ 0x8000, toNode, body}) {
			return
		}
		if _, err := to.Write(append(b, body...)); err != nil {
			return
		}
	}
}
