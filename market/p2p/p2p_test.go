package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"go.uber.org/goleak"

	"github.com/tallycompute/tally/market/p2p"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The search for a router by UPnP cannot be stopped; it ends by itself after 5 s.
		goleak.IgnoreAnyFunction("github.com/koron/go-ssdp.Search"),
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/net/nat/internal/nat.discoverNATs.func1"),
	)
}

func newHost(t testing.TB, cfg p2p.Config) *p2p.Host {
	t.Helper()
	h, err := p2p.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "peer.key")
	const starts = 8
	keys := make([][]byte, starts)
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() {
			k, err := p2p.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i], _ = k.Raw()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !bytes.Equal(k, keys[0]) || len(k) == 0 {
			t.Fatal("processes that started at once disagree about the key")
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v %v", st.Mode(), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Fatalf("temporary files left: %v", names)
	}
	a, b := newHost(t, p2p.Config{KeyFile: path}), newHost(t, p2p.Config{KeyFile: path})
	if a.ID() != b.ID() {
		t.Fatal("a host's identity changed between starts")
	}
}

func TestKeyFileRefused(t *testing.T) {
	good := filepath.Join(t.TempDir(), "k")
	if _, err := p2p.LoadOrCreateKey(good); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(good)
	for name, c := range map[string]struct {
		text []byte
		mode os.FileMode
	}{
		"readable by others": {text, 0o644},
		"empty":              {nil, 0o600},
		"truncated":          {text[:len(text)/2], 0o600},
		"not a key":          {[]byte("hello"), 0o600},
		"huge":               {bytes.Repeat([]byte("x"), 1<<20), 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, c.text, c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := p2p.LoadOrCreateKey(path); !errors.Is(err, p2p.ErrKeyFile) {
				t.Fatalf("got %v", err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, c.text) {
				t.Fatal("a bad key file was overwritten")
			}
		})
	}
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]p2p.Config{
		"listen":   {Listen: []string{"localhost:4001"}},
		"announce": {Announce: []string{"/ip4/1.2.3"}},
		"window":   {Limits: p2p.Limits{Window: 1}},
		"peers":    {Limits: p2p.Limits{MaxPeers: -1}},
	} {
		if _, err := p2p.New(t.Context(), cfg); !errors.Is(err, p2p.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestConnectPingTransfer(t *testing.T) {
	for name, listen := range map[string]string{"tcp": p2p.DefaultListen, "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			a := newHost(t, p2p.Config{Listen: []string{listen}, UserAgent: "tally/test-a"})
			b := newHost(t, p2p.Config{Listen: []string{listen}, UserAgent: "tally/test-b"})
			if err := a.Connect(ctx, b.AddrInfo()); err != nil {
				t.Fatal(err)
			}
			conn := a.Network().ConnsToPeer(b.ID())[0]
			if name == "tcp" && conn.ConnState().Security != libp2ptls.ID {
				t.Fatalf("security %q, want TLS first", conn.ConnState().Security)
			}
			if agent, err := a.Peerstore().Get(b.ID(), "AgentVersion"); err != nil || agent != "tally/test-b" {
				t.Fatalf("identify: %v %v", agent, err)
			}
			if r := <-ping.Ping(ctx, a, b.ID()); r.Error != nil {
				t.Fatal(r.Error)
			}
			const size = 40 << 20 // more than any window
			b.SetStreamHandler("/test/1", func(s network.Stream) { _, _ = io.Copy(s, s); _ = s.Close() })
			s, err := a.NewStream(ctx, b.ID(), "/test/1")
			if err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			go func() {
				_, err := io.Copy(s, io.LimitReader(zeros{}, size))
				if err == nil {
					err = s.CloseWrite()
				}
				sent <- err
			}()
			n, err := io.Copy(io.Discard, s)
			if err != nil || n != size {
				t.Fatalf("echoed %d bytes: %v", n, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A host outside loopback starts and stops everything that helps it through a NAT.
func TestOutsideLoopback(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	open := p2p.Config{Listen: []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}}
	relay := open
	relay.RelayService = true
	r := newHost(t, relay)
	behind := open
	behind.Relays = []peer.AddrInfo{r.AddrInfo()}
	h := newHost(t, behind)
	if err := h.Connect(ctx, r.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	if res := <-ping.Ping(ctx, h, r.ID()); res.Error != nil {
		t.Fatal(res.Error)
	}
}

func TestAnnounce(t *testing.T) {
	h := newHost(t, p2p.Config{Announce: []string{"/dns4/gpu.example.org/tcp/4001"}})
	if len(h.Addrs()) != 1 || h.Addrs()[0].String() != "/dns4/gpu.example.org/tcp/4001" {
		t.Fatalf("announces %v", h.Addrs())
	}
}

// A full host refuses a stranger, keeps the peers it has and lets a protected one in.
func TestMaxPeers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	full := newHost(t, p2p.Config{Limits: p2p.Limits{MaxPeers: 2}})
	first, second := newHost(t, p2p.Config{}), newHost(t, p2p.Config{})
	for _, h := range []*p2p.Host{first, second} {
		if err := h.Connect(ctx, full.AddrInfo()); err != nil {
			t.Fatal(err)
		}
	}
	stranger := newHost(t, p2p.Config{})
	if err := stranger.Connect(ctx, full.AddrInfo()); err == nil && stays(stranger, full) {
		t.Fatal("a third peer was let in")
	}
	partner := newHost(t, p2p.Config{})
	full.ConnManager().Protect(partner.ID(), "job")
	if err := partner.Connect(ctx, full.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	if r := <-ping.Ping(ctx, partner, full.ID()); r.Error != nil {
		t.Fatalf("a protected peer was refused: %v", r.Error)
	}
}

// stays reports whether a's connection to b answers: the dialler may believe in it for a moment after the other end refused.
func stays(a, b *p2p.Host) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r := <-ping.Ping(ctx, a, b.ID())
	return r.Error == nil
}

// A peer's streams are refused once the memory that their windows may take is spent.
func TestStreamMemoryIsCharged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	server := newHost(t, p2p.Config{Limits: p2p.Limits{Window: 4 << 20, MemoryPeer: 40 << 20}})
	server.SetStreamHandler("/test/1", func(s network.Stream) { _, _ = io.Copy(s, s); _ = s.Close() })
	client := newHost(t, p2p.Config{})
	client.Peerstore().AddAddrs(server.ID(), server.Addrs(), peerstore.PermanentAddrTTL)
	echoes := 0
	for range 20 {
		s, err := client.NewStream(ctx, server.ID(), "/test/1")
		if err != nil {
			break
		}
		defer s.Reset()
		buf := []byte("x")
		if _, err := s.Write(buf); err != nil {
			break
		}
		if _, err := io.ReadFull(s, buf); err != nil {
			break
		}
		echoes++
	}
	if echoes == 0 || echoes > 10 {
		t.Fatalf("%d streams with windows of 4 MiB within 40 MiB", echoes)
	}
}

func BenchmarkStream(b *testing.B) {
	for name, window := range map[string]int{"256K": 256 << 10, "1M": 1 << 20, "16M": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			lim := p2p.Limits{Window: window, MemoryPeer: 1 << 30}
			x, y := newHost(b, p2p.Config{Limits: lim}), newHost(b, p2p.Config{Limits: lim})
			done := make(chan struct{})
			y.SetStreamHandler("/test/1", func(s network.Stream) {
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, 256<<10))
				close(done)
			})
			if err := x.Connect(ctx, y.AddrInfo()); err != nil {
				b.Fatal(err)
			}
			s, err := x.NewStream(ctx, y.ID(), "/test/1")
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 1<<20)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := s.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			_ = s.Close()
			<-done
		})
	}
}
