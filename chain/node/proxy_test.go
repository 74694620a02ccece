package node_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
)

// proxy forwards TCP to the live node's socket, until it is cut or frozen.
type proxy struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	frozen bool
	wg     sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	p.wg.Go(p.serve)
	t.Cleanup(func() { l.Close(); p.cut(); p.wg.Wait() })
	return p
}

func (p *proxy) serve() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, c)
		frozen := p.frozen
		p.mu.Unlock()
		if frozen {
			continue
		}
		d, err := net.Dial("unix", live.Socket)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, d)
		p.mu.Unlock()
		for _, x := range [][2]net.Conn{{c, d}, {d, c}} {
			p.wg.Go(func() {
				buf := make([]byte, 4096)
				for {
					n, err := x[0].Read(buf)
					if err != nil {
						break
					}
					p.mu.Lock()
					stuck := p.frozen
					p.mu.Unlock()
					if !stuck {
						x[1].Write(buf[:n])
					}
				}
				x[0].Close()
				x[1].Close()
			})
		}
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
}

func TestCutConnection(t *testing.T) {
	p := newProxy(t)
	n, ctx := dial(t, node.Config{Socket: "tcp://" + p.Addr().String()}), t.Context()
	for range 5 {
		if _, err := n.Tip(ctx); err != nil {
			t.Error(err)
		}
		p.cut()
	}
}

func TestFrozenNode(t *testing.T) {
	p := newProxy(t)
	n := dial(t, node.Config{Socket: p.Addr().String(), Timeout: 300 * time.Millisecond})
	p.freeze(true)
	if _, err := n.Tip(t.Context()); !errors.Is(err, node.ErrConnection) {
		t.Errorf("asking a node that says nothing: %v", err)
	}
	if _, err := n.Tip(t.Context()); !errors.Is(err, node.ErrUnreachable) {
		t.Errorf("dialling a node that says nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Follow(ctx, nil, handler{}); err == nil {
		t.Error("followed with a context that had ended")
	}
	p.freeze(false)
	if _, err := n.Tip(t.Context()); err != nil {
		t.Errorf("when it speaks again: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	dir, err := os.MkdirTemp(dir, "sockets")
	if err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent.socket")
	stale := filepath.Join(dir, "stale.socket")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	chatty := filepath.Join(dir, "chatty.socket")
	l, err = net.Listen("unix", chatty)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "220 smtp.example.org ESMTP\r\n")
			c.Close()
		}
	}()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{absent, stale, plain, chatty, mute.Addr().String(), "127.0.0.1:1"} {
		n, err := node.Dial(t.Context(), node.Config{Socket: socket, Network: network, Timeout: 300 * time.Millisecond})
		if err == nil {
			n.Close()
		}
		if !errors.Is(err, node.ErrUnreachable) || !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: %v", socket, err)
		}
		t.Log(err)
	}
}

func TestWrongNetwork(t *testing.T) {
	for range 5 {
		n, err := node.Dial(t.Context(), node.Config{Socket: live.Socket, Network: chain.Network{Magic: 2}})
		if err == nil {
			n.Close()
		}
		if !errors.Is(err, node.ErrWrongNetwork) || !strings.Contains(err.Error(), "42") || !strings.Contains(err.Error(), "2") {
			t.Errorf("%v", err)
		}
	}
}
