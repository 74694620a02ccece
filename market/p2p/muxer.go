package p2p

import (
	"io"
	"math"
	"net"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	goyamux "github.com/libp2p/go-yamux/v5"
)

const (
	minWindow = 256 << 10 // yamux's own smallest
	maxWindow = 16 << 20
	maxFrame  = 256 << 10 // bulk streams pay a header and a wake-up for each frame: 64 KiB, the default, costs more
)

// muxer is yamux with frames of 256 KiB and a chosen first window. yamux charges only 256 KiB of a stream's window to the
// resource manager, whatever the window's size, so the muxer charges the rest: memory limits hold for what a peer can really
// make this host buffer.
type muxer struct {
	cfg *goyamux.Config
}

func newMuxer(window int) *muxer {
	c := goyamux.DefaultConfig()
	c.InitialStreamWindowSize = uint32(window)
	c.MaxStreamWindowSize = maxWindow
	c.MaxMessageSize = maxFrame
	c.LogOutput = io.Discard
	c.ReadBufSize = 0                     // the security layer below buffers whole records
	c.MaxIncomingStreams = math.MaxUint32 // the resource manager limits them
	return &muxer{cfg: c}
}

// NewConn implements network.Multiplexer.
func (m *muxer) NewConn(conn net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	start := goyamux.Client
	if isServer {
		start = goyamux.Server
	}
	var memory func() (goyamux.MemoryManager, error)
	if scope != nil {
		memory = func() (goyamux.MemoryManager, error) { return m.begin(scope) }
	}
	session, err := start(conn, m.cfg, memory)
	if err != nil {
		return nil, err
	}
	return yamux.NewMuxedConn(session), nil
}

func (m *muxer) begin(scope network.PeerScope) (goyamux.MemoryManager, error) {
	span, err := scope.BeginSpan()
	if err != nil {
		return nil, err
	}
	if rest := int(m.cfg.InitialStreamWindowSize) - minWindow; rest > 0 {
		if err := span.ReserveMemory(rest, network.ReservationPriorityAlways); err != nil {
			span.Done()
			return nil, err
		}
	}
	return span, nil
}
