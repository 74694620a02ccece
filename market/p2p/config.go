package p2p

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"
)

// Sentinel kinds of this package's errors.
var (
	// ErrKeyFile is a peer key file that cannot be read, written or trusted.
	ErrKeyFile = errors.New("peer key file")
	// ErrConfig is a setting that makes no sense.
	ErrConfig = errors.New("peer-to-peer settings")
	// ErrStart is a host that could not be started.
	ErrStart = errors.New("start peer-to-peer host")
)

// DefaultListen is where a host listens when nothing is said: loopback only, any free port.
const DefaultListen = "/ip4/127.0.0.1/tcp/0"

// Config is what a host needs to know. The zero value makes an ephemeral host on loopback.
type Config struct {
	// KeyFile holds the Ed25519 identity (mode 0600, created if missing). Empty: Key, or else a new key that is not kept.
	KeyFile string
	// Key is the identity when KeyFile is empty.
	Key crypto.PrivKey
	// Listen are the multiaddresses to listen on; empty means DefaultListen. A QUIC address (…/udp/4001/quic-v1) turns QUIC on.
	Listen []string
	// Announce replaces the addresses told to other peers, for a host behind a forwarded port.
	Announce []string
	// Relays are peers that may relay for this host while it cannot be reached. Not used on loopback.
	Relays []peer.AddrInfo
	// RelayService makes this host relay for others, within libp2p's default budget (128 KiB and 2 minutes a connection).
	RelayService bool
	// Limits bound what other peers may make this host spend; zero fields take defaults.
	Limits Limits
	// UserAgent is told to other peers by identify, such as "tally/0.1.0".
	UserAgent string
	// Metrics receives libp2p's Prometheus metrics; nil turns them off.
	Metrics prometheus.Registerer
	// Log receives what the host has to say; nil discards it.
	Log *slog.Logger
}

// addresses are a Config's addresses, parsed.
type addresses struct {
	listen, announce []ma.Multiaddr
	loopback         bool // every listen address is loopback
	quic             bool // some listen address is QUIC
}

func (c Config) parse() (addresses, error) {
	var a addresses
	listen := c.Listen
	if len(listen) == 0 {
		listen = []string{DefaultListen}
	}
	var err error
	if a.listen, err = parseAll("listen", listen); err != nil {
		return a, err
	}
	if a.announce, err = parseAll("announce", c.Announce); err != nil {
		return a, err
	}
	a.loopback = true
	for _, m := range a.listen {
		if !manet.IsIPLoopback(m) {
			a.loopback = false
		}
		if _, err := m.ValueForProtocol(ma.P_QUIC_V1); err == nil {
			a.quic = true
		}
	}
	return a, nil
}

func parseAll(what string, texts []string) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, t := range texts {
		m, err := ma.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("%w: %s address %q: %w", ErrConfig, what, t, err)
		}
		out = append(out, m)
	}
	return out, nil
}
