package bundle

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// FetchOptions are what Fetch may be told beside what to fetch from whom.
type FetchOptions struct {
	Limits   Limits
	Progress Progress
}

// writers is how many chunks are hashed and written at once while the next ones arrive.
const writers = 4

// Fetch gets a bundle from a peer into store. Everything is checked against root before it is stored. What store already has is not
// fetched; after any error, calling again resumes. ErrDenied and ErrMissing are the peer's answers, ErrCorrupt is content that does
// not match root, ErrTransfer a connection that failed or stood still for 30 s.
func Fetch(ctx context.Context, h host.Host, from peer.ID, root Root, store *Store, opts FetchOptions) (Manifest, error) {
	m, err := store.Manifest(root, opts.Limits)
	have := err == nil
	if err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMalformed) {
		return Manifest{}, err
	}
	if have && len(store.lacking(m)) == 0 {
		return m, nil
	}
	s, err := h.NewStream(ctx, from, Protocol)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	reset := func() { _ = s.Reset() } // does nothing to a stream that both ends have closed
	defer reset()
	defer context.AfterFunc(ctx, reset)()
	f := fetcher{wire: wire{s}, store: store, opts: opts}
	if m, err = f.run(ctx, root, m, have); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", err, ctx.Err())
		}
		return Manifest{}, fmt.Errorf("fetch bundle %s: %w", root, err)
	}
	return m, nil
}

// lacking are the places of the chunks that the store does not have, each hash once.
func (s *Store) lacking(m Manifest) []uint32 {
	var out []uint32
	seen := map[Hash]bool{}
	for i, c := range m.chunks() {
		if !seen[c.hash] && !s.HasChunk(c.hash, c.size) {
			out = append(out, uint32(i))
		}
		seen[c.hash] = true
	}
	return out
}

type fetcher struct {
	wire
	store *Store
	opts  FetchOptions
}

func (f fetcher) run(ctx context.Context, root Root, m Manifest, have bool) (Manifest, error) {
	if err := f.writeHello(hello{root: root, manifest: !have}); err != nil {
		return m, err
	}
	if err := f.readStatus(); err != nil {
		return m, err
	}
	if !have {
		var err error
		if m, err = f.readManifest(root); err != nil {
			return m, err
		}
		if _, err := f.store.PutManifest(m); err != nil {
			return m, err
		}
	}
	places := f.store.lacking(m)
	var ask errgroup.Group
	ask.Go(func() error {
		for rest := places; len(rest) > 0; {
			n := min(len(rest), askChunks)
			if err := f.writeRequest(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if err := f.writeRequest(nil); err != nil {
			return err
		}
		return f.s.CloseWrite()
	})
	err := f.readChunks(ctx, m, places)
	if err != nil {
		_ = f.s.Reset() // ends ask, too
	}
	if aerr := ask.Wait(); err == nil {
		err = aerr
	}
	return m, err
}

func (f fetcher) readStatus() error {
	var status [1]byte
	if err := f.read(status[:]); err != nil {
		return err
	}
	switch status[0] {
	case statusOK:
		return nil
	case statusDenied:
		return ErrDenied
	case statusMissing:
		return fmt.Errorf("%w: the peer does not have it", ErrMissing)
	case statusBusy:
		return fmt.Errorf("%w: the peer is busy", ErrTransfer)
	}
	return fmt.Errorf("%w: status %d", ErrMalformed, status[0])
}

// manifestPart is how much of a manifest is read at once: a peer that announces a large one must send it before memory is taken.
const manifestPart = 1 << 20

func (f fetcher) readManifest(root Root) (Manifest, error) {
	n, err := f.readUint32()
	if err != nil {
		return Manifest{}, err
	}
	limits := f.opts.Limits.withDefaults()
	if uint64(n) > uint64(limits.Manifest) {
		return Manifest{}, fmt.Errorf("%w: manifest of %d bytes, at most %d", ErrTooLarge, n, limits.Manifest)
	}
	var b []byte
	for uint32(len(b)) < n {
		part := make([]byte, min(n-uint32(len(b)), manifestPart))
		if err := f.read(part); err != nil {
			return Manifest{}, err
		}
		b = append(b, part...)
	}
	m, err := Decode(b, limits)
	if err != nil {
		return Manifest{}, err
	}
	if m.Root() != root {
		return Manifest{}, fmt.Errorf("%w: the peer sent the manifest of another bundle", ErrCorrupt)
	}
	return m, nil
}

// readChunks reads the chunks in the order in which they were asked for, and has each checked and stored.
func (f fetcher) readChunks(ctx context.Context, m Manifest, places []uint32) error {
	all := m.chunks()
	weight, done, total := weigh(all, places)
	free := make(chan []byte, writers+1)
	for range cap(free) {
		free <- make([]byte, ChunkSize)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(writers)
	for _, p := range places {
		c := all[p]
		var buf []byte
		select {
		case <-ctx.Done():
			if err := work.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		case buf = <-free:
		}
		if err := f.readChunk(c, buf); err != nil {
			if werr := work.Wait(); werr != nil {
				return werr
			}
			return err
		}
		work.Go(func() error {
			defer func() { free <- buf }()
			return f.store.putChecked(c.hash, buf[:c.size])
		})
		if done += weight[c.hash]; f.opts.Progress != nil {
			f.opts.Progress(done, total)
		}
	}
	return work.Wait()
}

func (f fetcher) readChunk(c chunk, buf []byte) error {
	n, err := f.readUint32()
	switch {
	case err != nil:
		return err
	case n == gone:
		return fmt.Errorf("%w: the peer lost chunk %s", ErrMissing, c.hash)
	case uint64(n) != uint64(c.size):
		return fmt.Errorf("%w: a chunk of %d bytes, want %d", ErrCorrupt, n, c.size)
	}
	return f.read(buf[:n])
}

// weigh returns how many bytes of the bundle each wanted chunk is, with its repetitions, how many bytes are there already, and how
// many there are in all.
func weigh(all []chunk, places []uint32) (weight map[Hash]uint64, done, total uint64) {
	weight = make(map[Hash]uint64, len(places))
	for _, p := range places {
		weight[all[p].hash] = 0
	}
	for _, c := range all {
		total += uint64(c.size)
		if _, want := weight[c.hash]; want {
			weight[c.hash] += uint64(c.size)
		} else {
			done += uint64(c.size)
		}
	}
	return weight, done, total
}
