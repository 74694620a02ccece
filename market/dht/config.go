package dht

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Sentinel kinds of this package's errors.
var (
	// ErrConfig is a setting that makes no sense.
	ErrConfig = errors.New("dht settings")
	// ErrNoPeers is a DHT that knows no other node yet.
	ErrNoPeers = errors.New("no dht peers")
	// ErrBadOffer is an offer that does not pass the check, or whose key names another peer.
	ErrBadOffer = errors.New("bad offer")
	// ErrNotFound is a peer that is named as a provider but has no offer in the DHT.
	ErrNotFound = errors.New("no offer found")
)

// Check says whether offer is one of peer p, signed and fresh at now, and returns its sequence number.
type Check func(p peer.ID, offer []byte, now time.Time) (seq uint64, err error)

// Config is what a DHT node needs to know.
type Config struct {
	// Check is asked about every offer before it is stored, forwarded or returned. Required.
	Check Check
	// Server makes this node hold records and answer queries. Nodes that others cannot reach should not.
	Server bool
	// Bootstrap are peers to join the network by.
	Bootstrap []peer.AddrInfo
	// Lifetime of an offer: how long values and provider records are held (default 1 h).
	Lifetime time.Duration
	// Republish is how often Run publishes the newest offer again (default Lifetime / 3).
	Republish time.Duration
	// FetchTimeout bounds fetching one peer's offer in Find (default 10 s).
	FetchTimeout time.Duration
	// MaxRecords bounds the offers, and the provider records, held for others (default 16,384 each).
	MaxRecords int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log receives what the node has to say; nil discards it.
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Check == nil {
		return c, fmt.Errorf("%w: no check", ErrConfig)
	}
	if c.Lifetime < 0 || c.Republish < 0 || c.FetchTimeout < 0 || c.MaxRecords < 0 {
		return c, fmt.Errorf("%w: negative duration or count", ErrConfig)
	}
	if c.Lifetime == 0 {
		c.Lifetime = time.Hour
	}
	if c.Republish == 0 {
		c.Republish = c.Lifetime / 3
	}
	if c.FetchTimeout == 0 {
		c.FetchTimeout = 10 * time.Second
	}
	if c.MaxRecords == 0 {
		c.MaxRecords = 16384
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
