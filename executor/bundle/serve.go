package bundle

import (
	"encoding/binary"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Allow says whether a peer may have a bundle.
type Allow func(p peer.ID, r Root) bool

// ServeOptions are what Serve may be told beside the host and the store. A zero field takes the default named beside it.
type ServeOptions struct {
	Limits         Limits
	Streams        int // served at once (64)
	StreamsPerPeer int // served at once for one peer (8)
	Log            *slog.Logger
}

// Server answers fetches until it is closed.
type Server struct {
	host  host.Host
	store *Store
	allow Allow
	opts  ServeOptions

	mu      sync.Mutex
	closed  bool
	streams map[network.Stream]struct{}
	perPeer map[peer.ID]int
	wg      sync.WaitGroup
}

// Serve lets peers fetch from store the bundles that allow grants them, until Close.
func Serve(h host.Host, store *Store, allow Allow, opts ServeOptions) *Server {
	if opts.Streams == 0 {
		opts.Streams = 64
	}
	if opts.StreamsPerPeer == 0 {
		opts.StreamsPerPeer = 8
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		host: h, store: store, allow: allow, opts: opts,
		streams: map[network.Stream]struct{}{}, perPeer: map[peer.ID]int{},
	}
	h.SetStreamHandler(Protocol, s.handle)
	return s
}

// Close stops serving, cuts off the fetches under way and waits for them.
func (s *Server) Close() error {
	s.host.RemoveStreamHandler(Protocol)
	s.mu.Lock()
	s.closed = true
	for st := range s.streams {
		_ = st.Reset()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// begin counts a stream in, if there is room for it.
func (s *Server) begin(st network.Stream) (ok, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	p := st.Conn().RemotePeer()
	if len(s.streams) >= s.opts.Streams || s.perPeer[p] >= s.opts.StreamsPerPeer {
		return false, true
	}
	s.streams[st] = struct{}{}
	s.perPeer[p]++
	s.wg.Add(1)
	return true, false
}

func (s *Server) end(st network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
	p := st.Conn().RemotePeer()
	if s.perPeer[p]--; s.perPeer[p] == 0 {
		delete(s.perPeer, p)
	}
	s.wg.Done()
}

func (s *Server) handle(st network.Stream) {
	ok, busy := s.begin(st)
	if busy {
		_ = wire{st}.write([]byte{statusBusy})
		_ = st.Close()
		return
	}
	if !ok {
		_ = st.Reset()
		return
	}
	defer s.end(st)
	if err := s.serve(wire{st}); err != nil {
		s.opts.Log.Debug("bundle: serving ended", "peer", st.Conn().RemotePeer(), "err", err)
		_ = st.Reset()
		return
	}
	_ = st.Close()
}

func (s *Server) serve(w wire) error {
	h, err := w.readHello()
	if err != nil {
		return err
	}
	if !s.allow(w.s.Conn().RemotePeer(), h.root) {
		return w.write([]byte{statusDenied})
	}
	m, err := s.store.Manifest(h.root, s.opts.Limits)
	if err != nil {
		s.opts.Log.Warn("bundle: cannot be served", "root", h.root, "err", err)
		return w.write([]byte{statusMissing})
	}
	answer := []byte{statusOK}
	if h.manifest {
		enc := m.Encode()
		answer = append(binary.BigEndian.AppendUint32(answer, uint32(len(enc))), enc...)
	}
	if err := w.write(answer); err != nil {
		return err
	}
	return s.chunks(w, m)
}

func (s *Server) chunks(w wire, m Manifest) error {
	all := m.chunks()
	buf := make([]byte, 4+ChunkSize)
	for {
		places, err := w.readRequest()
		if err != nil || len(places) == 0 {
			return err
		}
		for _, p := range places {
			if uint64(p) >= uint64(len(all)) {
				return ErrMalformed
			}
			c := all[p]
			data, err := s.store.GetChunk(c.hash, buf[4:], c.size)
			if err != nil {
				s.opts.Log.Warn("bundle: cannot be served", "chunk", c.hash, "err", err)
				return w.write(binary.BigEndian.AppendUint32(nil, gone))
			}
			binary.BigEndian.PutUint32(buf, uint32(len(data)))
			if err := w.write(buf[:4+len(data)]); err != nil {
				return err
			}
		}
	}
}

// chunk is one chunk of a bundle; its place in the list of all of them is its number on the wire.
type chunk struct {
	hash Hash
	size int
}

func (m Manifest) chunks() []chunk {
	var all []chunk
	for _, e := range m.Entries {
		for i, h := range e.Chunks {
			all = append(all, chunk{h, e.chunkLen(i)})
		}
	}
	return all
}
