package dht

import (
	"container/list"
	"context"
	"sync"
	"time"

	kadrecords "github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// keysPerPeer is the most capability keys that one peer may be listed under here.
const keysPerPeer = 128

// addrBook is the part of a peerstore that provider records need.
type addrBook interface {
	AddAddrs(p peer.ID, addrs []ma.Multiaddr, ttl time.Duration)
	PeerInfo(p peer.ID) peer.AddrInfo
}

// providers holds who says to offer what, for the lifetime of an offer, bounded in all and for each peer: the record written
// longest ago goes first.
type providers struct {
	self  peer.ID
	addrs addrBook
	life  time.Duration
	max   int
	now   func() time.Time

	mu    sync.Mutex
	byKey map[string]map[peer.ID]*list.Element
	count map[peer.ID]int
	age   *list.List // of claim, oldest first
}

type claim struct {
	key  string
	peer peer.ID
	at   time.Time
}

var _ kadrecords.ProviderStore = (*providers)(nil)

func newProviders(self peer.ID, addrs addrBook, cfg Config) *providers {
	return &providers{
		self: self, addrs: addrs, life: cfg.Lifetime, max: cfg.MaxRecords, now: cfg.Now,
		byKey: map[string]map[peer.ID]*list.Element{}, count: map[peer.ID]int{}, age: list.New(),
	}
}

// AddProvider implements records.ProviderStore. A peer over its number of keys is not listed under another.
func (s *providers) AddProvider(_ context.Context, key []byte, p peer.AddrInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.expire(now)
	if e, ok := s.byKey[string(key)][p.ID]; ok {
		s.remove(e)
	}
	if s.count[p.ID] >= keysPerPeer {
		return nil
	}
	if s.age.Len() >= s.max {
		s.remove(s.age.Front())
	}
	peers := s.byKey[string(key)]
	if peers == nil {
		peers = map[peer.ID]*list.Element{}
		s.byKey[string(key)] = peers
	}
	peers[p.ID] = s.age.PushBack(claim{string(key), p.ID, now})
	s.count[p.ID]++
	if p.ID != s.self {
		s.addrs.AddAddrs(p.ID, p.Addrs, s.life)
	}
	return nil
}

// GetProviders implements records.ProviderStore.
func (s *providers) GetProviders(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(s.now())
	peers := s.byKey[string(key)]
	out := make([]peer.AddrInfo, 0, len(peers))
	for p := range peers {
		out = append(out, s.addrs.PeerInfo(p))
	}
	return out, nil
}

// Close implements records.ProviderStore.
func (s *providers) Close() error { return nil }

func (s *providers) expire(now time.Time) {
	for e := s.age.Front(); e != nil && now.Sub(e.Value.(claim).at) > s.life; e = s.age.Front() {
		s.remove(e)
	}
}

func (s *providers) remove(e *list.Element) {
	c := s.age.Remove(e).(claim)
	delete(s.byKey[c.key], c.peer)
	if len(s.byKey[c.key]) == 0 {
		delete(s.byKey, c.key)
	}
	if s.count[c.peer]--; s.count[c.peer] == 0 {
		delete(s.count, c.peer)
	}
}
