package collective

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"go.uber.org/goleak"
)

// TestMain fails the run when a goroutine of ours outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is n agents on loopback in one process: real hosts, TCP and TLS.
type world struct {
	tb       testing.TB
	job      JobID
	hosts    []host.Host
	services []*Service
	groups   []*Group
}

func newHost(tb testing.TB) host.Host {
	tb.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableRelay(), libp2p.DisableMetrics(),
	)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.Close() })
	return h
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newHosts are n agents; of three, one has libp2p's streams only.
func newHosts(tb testing.TB, n int) *world {
	tb.Helper()
	return newHostsWith(tb, n, func(r int) bool { return r%3 != 2 })
}

func newHostsWith(tb testing.TB, n int, straight func(rank int) bool) *world {
	tb.Helper()
	w := &world{tb: tb, job: sha256.Sum256([]byte(tb.Name()))}
	for i := range n {
		h := newHost(tb)
		s := NewService(h, quiet())
		if straight(i) {
			if err := s.ListenStraight(); err != nil {
				tb.Fatal(err)
			}
		}
		tb.Cleanup(func() { _ = s.Close() })
		w.hosts, w.services = append(w.hosts, h), append(w.services, s)
	}
	return w
}

func (w *world) view(rank int) View {
	v := View{Job: w.job, Epoch: 1, Rank: rank}
	for _, h := range w.hosts {
		v.Peers = append(v.Peers, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	}
	return v
}

func newWorld(tb testing.TB, n int, o Options) *world {
	tb.Helper()
	w := newHosts(tb, n)
	w.groups = make([]*Group, n)
	for r, err := range w.each(func(r int) (err error) {
		w.groups[r], err = w.services[r].Join(tb.Context(), w.view(r), o)
		return err
	}) {
		if err != nil {
			tb.Fatalf("rank %d: %v", r, err)
		}
	}
	return w
}

// each runs f for every rank at once and gives their errors.
func (w *world) each(f func(rank int) error) []error {
	errs := make([]error, len(w.hosts))
	var wg sync.WaitGroup
	for r := range w.hosts {
		wg.Go(func() { errs[r] = f(r) })
	}
	wg.Wait()
	return errs
}

// all is each, where no rank may fail.
func (w *world) all(f func(rank int) error) {
	w.tb.Helper()
	for r, err := range w.each(f) {
		if err != nil {
			w.tb.Fatalf("rank %d: %v", r, err)
		}
	}
}

// close ends the groups in order and checks that both ends counted the same.
func (w *world) close() {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w.all(func(r int) error { return w.groups[r].Close(ctx) })
	for a, g := range w.groups {
		for b, o := range w.groups {
			if a == b {
				continue
			}
			mine, theirs := g.Traffic()[w.hosts[b].ID()], o.Traffic()[w.hosts[a].ID()]
			if mine.Sent != theirs.Received || mine.Received != theirs.Sent {
				w.tb.Errorf("rank %d and %d disagree on their traffic: %+v, %+v", a, b, mine, theirs)
			}
		}
	}
}

// drop closes groups that have failed.
func (w *world) drop() {
	w.each(func(r int) error { return w.groups[r].Close(w.tb.Context()) })
}

// value is rank r's i-th input: neither integral nor of one magnitude.
func value(r, i int) float32 {
	x := uint32(i)*2654435761 + uint32(r)*40503
	x ^= x >> 15
	return (float32(x%20011) - 10005) / float32(1+(x>>8)%977)
}

func inputs(r, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = value(r, i)
	}
	return v
}

func bytesOf(f []float32) []byte {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), 4*len(f))
}

func floatsOf(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}

// sum is an allreduce of float32.
func sum(dst, src []float32, r Reduce) Operation {
	return Operation{Kind: AllReduce, Type: F32, Reduce: r, Dst: bytesOf(dst), Src: bytesOf(src)}
}

// barrier runs the simplest operation.
func (g *Group) barrier(ctx context.Context) error { return g.Do(ctx, Operation{Kind: Barrier}) }

func digest(f []float32) string { return fmt.Sprintf("%x", sha256.Sum256(bytesOf(f))) }
