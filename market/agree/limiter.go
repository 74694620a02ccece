package agree

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// limiter counts the streams being served, in all and for each peer, and can end them all.
type limiter struct {
	max, perPeer int

	mu      sync.Mutex
	closed  bool
	streams map[network.Stream]struct{}
	peers   map[peer.ID]int
	wg      sync.WaitGroup
}

func newLimiter(limit, perPeer int) *limiter {
	return &limiter{max: limit, perPeer: perPeer, streams: map[network.Stream]struct{}{}, peers: map[peer.ID]int{}}
}

// begin counts s in and says whether there is room; open is false once everything is being closed.
func (l *limiter) begin(s network.Stream) (room, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, false
	}
	p := s.Conn().RemotePeer()
	if len(l.streams) >= l.max || l.peers[p] >= l.perPeer {
		return false, true
	}
	l.streams[s] = struct{}{}
	l.peers[p]++
	l.wg.Add(1)
	return true, true
}

func (l *limiter) end(s network.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, s)
	p := s.Conn().RemotePeer()
	if l.peers[p]--; l.peers[p] == 0 {
		delete(l.peers, p)
	}
	l.wg.Done()
}

// close refuses new streams, cuts off those being served and waits for their handlers.
func (l *limiter) close() {
	l.mu.Lock()
	l.closed = true
	for s := range l.streams {
		_ = s.Reset()
	}
	l.mu.Unlock()
	l.wg.Wait()
}
