package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/bundle"
	"github.com/tallycompute/tally/market"
)

// files moves bundles between peers and directories. A peer gets only what was granted to it.
type files struct {
	host   host.Host
	store  *bundle.Store
	server *bundle.Server

	mu      sync.Mutex
	granted map[grant]bool
}

type grant struct {
	to   peer.ID
	root bundle.Root
}

func newFiles(h host.Host, s *bundle.Store, log *slog.Logger) *files {
	f := &files{host: h, store: s, granted: map[grant]bool{}}
	f.server = bundle.Serve(h, s, func(p peer.ID, r bundle.Root) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.granted[grant{p, r}]
	}, bundle.ServeOptions{Log: log})
	return f
}

func (f *files) close() error { return f.server.Close() }

// Grant lets a peer fetch a bundle.
func (f *files) Grant(root market.Hash, to peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.granted[grant{to, bundle.Root(root)}] = true
}

// Fetch gets a bundle from a peer into the store.
func (f *files) Fetch(ctx context.Context, from peer.ID, root market.Hash) error {
	return f.FetchWithin(ctx, from, root, 0)
}

// FetchWithin is Fetch of a bundle of at most so many bytes; 0: of any size that bundles may have.
func (f *files) FetchWithin(ctx context.Context, from peer.ID, root market.Hash, bytes uint64) error {
	_, err := bundle.Fetch(ctx, f.host, from, bundle.Root(root), f.store, bundle.FetchOptions{Limits: bundle.Limits{Size: bytes}})
	return err
}

// Unpack writes a bundle to a directory, readable by any user: containers run as nobody.
func (f *files) Unpack(ctx context.Context, root market.Hash, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	return f.store.Unpack(ctx, bundle.Root(root), dir, bundle.UnpackOptions{})
}

// Prune removes every bundle for which keep says no. Nothing is fetched or packed meanwhile.
func (f *files) Prune(ctx context.Context, keep func(market.Hash) bool) error {
	return f.store.Prune(ctx, func(r bundle.Root) bool { return keep(market.Hash(r)) })
}

// Pack puts a directory into the store.
func (f *files) Pack(ctx context.Context, dir string) (market.Hash, error) {
	m, err := bundle.Pack(ctx, dir, f.store, bundle.PackOptions{})
	return market.Hash(m.Root()), err
}

// PackOutputs puts the plain files that a task left into the store, and nothing else it may have left.
func (f *files) PackOutputs(ctx context.Context, dir string, limits executor.OutputLimits) (market.Hash, error) {
	left, err := executor.ListOutputs(dir, limits)
	if err != nil {
		return market.Hash{}, err
	}
	clean, err := os.MkdirTemp(filepath.Dir(dir), ".packing-")
	if err != nil {
		return market.Hash{}, err
	}
	defer func() { _ = os.RemoveAll(clean) }()
	for _, o := range left.Files {
		if err := copyOutput(dir, clean, o); err != nil {
			return market.Hash{}, err
		}
	}
	return f.Pack(ctx, clean)
}
