package bundle_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/tallycompute/tally/executor/bundle"
	"github.com/tallycompute/tally/market/p2p"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func everybody(peer.ID, bundle.Root) bool { return true }

func newHost(t testing.TB) *p2p.Host {
	t.Helper()
	h, err := p2p.New(t.Context(), p2p.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// pair is two connected hosts.
func pair(t testing.TB) (serving, fetching *p2p.Host) {
	t.Helper()
	serving, fetching = newHost(t), newHost(t)
	if err := fetching.Connect(t.Context(), serving.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	return serving, fetching
}

func serve(t testing.TB, h host.Host, s *bundle.Store, allow bundle.Allow, opts bundle.ServeOptions) {
	srv := bundle.Serve(h, s, allow, opts)
	t.Cleanup(func() { _ = srv.Close() })
}

func pack(t testing.TB, files map[string][]byte) (*bundle.Store, bundle.Manifest) {
	t.Helper()
	s := newStore(t)
	m, err := bundle.Pack(t.Context(), writeTree(t, files), s, bundle.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func TestFetch(t *testing.T) {
	ctx, files := t.Context(), sample()
	a, b := pair(t)
	src, m := pack(t, files)
	serve(t, a, src, everybody, bundle.ServeOptions{})
	dst := newStore(t)
	var last, total uint64
	got, err := bundle.Fetch(ctx, b, a.ID(), m.Root(), dst, bundle.FetchOptions{Progress: func(d, n uint64) { last, total = d, n }})
	if err != nil {
		t.Fatal(err)
	}
	if got.Root() != m.Root() || last != m.Size() || total != m.Size() {
		t.Fatalf("root %s, progress %d of %d, want %d", got.Root(), last, total, m.Size())
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := dst.Unpack(ctx, m.Root(), out, bundle.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, readTree(t, out), files)
	for name, files := range map[string]map[string][]byte{"no files": nil, "only an empty file": {"e": {}}} {
		_, m := packInto(t, src, files)
		if _, err := bundle.Fetch(ctx, b, a.ID(), m.Root(), dst, bundle.FetchOptions{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func packInto(t testing.TB, s *bundle.Store, files map[string][]byte) (*bundle.Store, bundle.Manifest) {
	t.Helper()
	m, err := bundle.Pack(t.Context(), writeTree(t, files), s, bundle.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func TestOnlyGrantedRoots(t *testing.T) {
	ctx := t.Context()
	a, b := pair(t)
	src, granted := pack(t, map[string][]byte{"a": noise(100)})
	_, secret := packInto(t, src, map[string][]byte{"b": noise(100)})
	friend := newHost(t)
	if err := friend.Connect(ctx, a.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	serve(t, a, src, func(p peer.ID, r bundle.Root) bool { return p == b.ID() && r != secret.Root() }, bundle.ServeOptions{})
	if _, err := bundle.Fetch(ctx, b, a.ID(), granted.Root(), newStore(t), bundle.FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Fetch(ctx, b, a.ID(), secret.Root(), newStore(t), bundle.FetchOptions{}); !errors.Is(err, bundle.ErrDenied) {
		t.Fatalf("a root that was not granted: %v", err)
	}
	if _, err := bundle.Fetch(ctx, friend, a.ID(), granted.Root(), newStore(t), bundle.FetchOptions{}); !errors.Is(err, bundle.ErrDenied) {
		t.Fatalf("a peer that was not granted: %v", err)
	}
	if _, err := bundle.Fetch(ctx, b, a.ID(), bundle.Root{1}, newStore(t), bundle.FetchOptions{}); !errors.Is(err, bundle.ErrMissing) {
		t.Fatalf("a root that is not there: %v", err)
	}
}

// A fetch that is cut off in the middle resumes and asks only for what it lacks.
func TestResume(t *testing.T) {
	ctx := t.Context()
	a, b := pair(t)
	src, m := pack(t, map[string][]byte{"big": noise(12 * bundle.ChunkSize)})
	srv := bundle.Serve(a, src, everybody, bundle.ServeOptions{})
	dst := newStore(t)
	cut, cancel := context.WithCancel(ctx)
	_, err := bundle.Fetch(cut, b, a.ID(), m.Root(), dst, bundle.FetchOptions{Progress: func(done, _ uint64) {
		if done >= 5*bundle.ChunkSize {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, _ := dst.Complete(m.Root(), bundle.Limits{}); ok {
		t.Fatal("complete although it was cut off")
	}
	serve(t, a, src, everybody, bundle.ServeOptions{})
	var first uint64
	_, err = bundle.Fetch(ctx, b, a.ID(), m.Root(), dst, bundle.FetchOptions{Progress: func(done, _ uint64) {
		if first == 0 {
			first = done
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if first < 5*bundle.ChunkSize {
		t.Fatalf("resumed at %d bytes: chunks were fetched again", first)
	}
	if ok, err := dst.Complete(m.Root(), bundle.Limits{}); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
}

// A server whose chunk rots on disk says so; what was fetched stays, and another peer completes it.
func TestServerLosesChunk(t *testing.T) {
	ctx := t.Context()
	a, b := pair(t)
	src, m := pack(t, map[string][]byte{"big": noise(6 * bundle.ChunkSize)})
	h := m.Entries[0].Chunks[4].String()
	rotten := filepath.Join(src.Dir(), "chunks", h[:2], h)
	good, err := os.ReadFile(rotten)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rotten, make([]byte, len(good)), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, a, src, everybody, bundle.ServeOptions{})
	dst := newStore(t)
	if _, err := bundle.Fetch(ctx, b, a.ID(), m.Root(), dst, bundle.FetchOptions{}); !errors.Is(err, bundle.ErrMissing) {
		t.Fatalf("got %v", err)
	}
	if _, err := src.PutChunk(good); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Fetch(ctx, b, a.ID(), m.Root(), dst, bundle.FetchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// hostile answers every fetch with what talk writes.
func hostile(t testing.TB, talk func(s network.Stream)) (liar, victim *p2p.Host) {
	liar, victim = pair(t)
	liar.SetStreamHandler(bundle.Protocol, func(s network.Stream) {
		_, _ = io.ReadFull(s, make([]byte, 33))
		talk(s)
		_ = s.Close()
	})
	return liar, victim
}

func TestHostileServer(t *testing.T) {
	_, m := pack(t, map[string][]byte{"a": noise(bundle.ChunkSize), "b": noise(10)})
	_, other := pack(t, map[string][]byte{"c": noise(10)})
	answer := func(enc []byte, more ...byte) []byte {
		return append(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(enc))), enc...), more...)
	}
	u32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	unsafe := bundle.Manifest{Entries: []bundle.Entry{{Path: "../../etc/cron.d/x"}}}
	for name, c := range map[string]struct {
		root bundle.Root
		send []byte
		want error
	}{
		"nothing":             {m.Root(), nil, bundle.ErrTransfer},
		"unknown status":      {m.Root(), []byte{77}, bundle.ErrMalformed},
		"busy":                {m.Root(), []byte{3}, bundle.ErrTransfer},
		"endless manifest":    {m.Root(), append([]byte{0}, u32(1<<32-1)...), bundle.ErrTooLarge},
		"truncated manifest":  {m.Root(), answer(m.Encode())[:40], bundle.ErrTransfer},
		"garbage manifest":    {m.Root(), answer([]byte("garbage")), bundle.ErrMalformed},
		"another manifest":    {m.Root(), answer(other.Encode()), bundle.ErrCorrupt},
		"traversal":           {unsafe.Root(), answer(unsafe.Encode()), bundle.ErrUnsafe},
		"corrupt chunk":       {m.Root(), answer(m.Encode(), append(u32(bundle.ChunkSize), make([]byte, bundle.ChunkSize)...)...), bundle.ErrCorrupt},
		"chunk of wrong size": {m.Root(), answer(m.Encode(), u32(7)...), bundle.ErrCorrupt},
		"truncated chunk":     {m.Root(), answer(m.Encode(), append(u32(bundle.ChunkSize), make([]byte, 1000)...)...), bundle.ErrTransfer},
		"lost chunk":          {m.Root(), answer(m.Encode(), u32(1<<32-1)...), bundle.ErrMissing},
	} {
		t.Run(name, func(t *testing.T) {
			liar, victim := hostile(t, func(s network.Stream) { _, _ = s.Write(c.send) })
			dst := newStore(t)
			_, err := bundle.Fetch(t.Context(), victim, liar.ID(), c.root, dst, bundle.FetchOptions{})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if ok, _ := dst.Complete(c.root, bundle.Limits{}); ok {
				t.Fatal("complete")
			}
		})
	}
}

// A bundle beyond what the fetching side accepts is refused before any chunk is fetched.
func TestFetchLimits(t *testing.T) {
	a, b := pair(t)
	src, m := pack(t, map[string][]byte{"a": noise(5000), "b": noise(5000)})
	serve(t, a, src, everybody, bundle.ServeOptions{})
	for name, l := range map[string]bundle.Limits{"size": {Size: 9999}, "entries": {Entries: 1}, "manifest": {Manifest: 64}} {
		dst := newStore(t)
		if _, err := bundle.Fetch(t.Context(), b, a.ID(), m.Root(), dst, bundle.FetchOptions{Limits: l}); !errors.Is(err, bundle.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		if dst.HasChunk(m.Entries[0].Chunks[0], 5000) {
			t.Errorf("%s: a chunk was fetched", name)
		}
	}
}

// A peer that holds streams open gets no more than its share, and others are still served.
func TestStreamsPerPeer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, greedy := pair(t)
	src, m := pack(t, map[string][]byte{"a": noise(5000)})
	serve(t, a, src, everybody, bundle.ServeOptions{StreamsPerPeer: 2})
	for range 2 {
		s, err := greedy.NewStream(ctx, a.ID(), bundle.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		root := m.Root()
		if _, err := s.Write(append(root[:], 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bundle.Fetch(ctx, greedy, a.ID(), m.Root(), newStore(t), bundle.FetchOptions{}); !errors.Is(err, bundle.ErrTransfer) {
		t.Fatalf("a third stream: %v", err)
	}
	other := newHost(t)
	if err := other.Connect(ctx, a.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Fetch(ctx, other, a.ID(), m.Root(), newStore(t), bundle.FetchOptions{}); err != nil {
		t.Fatalf("another peer: %v", err)
	}
}

// A client that asks for chunks that are not in the bundle, or too many at once, is cut off.
func TestHostileClient(t *testing.T) {
	ctx := t.Context()
	a, b := pair(t)
	src, m := pack(t, map[string][]byte{"a": noise(5000)})
	serve(t, a, src, everybody, bundle.ServeOptions{})
	for name, request := range map[string][]byte{
		"outside":  {0, 1, 0, 0, 0, 1},
		"far":      {0, 1, 255, 255, 255, 255},
		"too many": {255, 255},
	} {
		s, err := b.NewStream(ctx, a.ID(), bundle.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		root := m.Root()
		if _, err := s.Write(append(append(root[:], 0), request...)); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(s); err == nil || len(rest) > 1 {
			t.Errorf("%s: %d bytes, %v", name, len(rest), err)
		}
	}
}

func TestConcurrentFetches(t *testing.T) {
	a, b := pair(t)
	src, m := pack(t, sample())
	serve(t, a, src, everybody, bundle.ServeOptions{})
	dst := newStore(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := bundle.Fetch(t.Context(), b, a.ID(), m.Root(), dst, bundle.FetchOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok, err := dst.Complete(m.Root(), bundle.Limits{}); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
}
