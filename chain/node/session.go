package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/muxer"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
	"github.com/blinklabs-io/gouroboros/protocol/localtxmonitor"
	"github.com/blinklabs-io/gouroboros/protocol/localtxsubmission"
)

// session is one connection after its handshake.
type session struct {
	net   net.Conn
	conn  *ouroboros.Connection
	query *asker // nil: the node is too old for queries
}

// open dials and shakes hands. opts add mini-protocol settings.
func (n *Node) open(ctx context.Context, opts ...ouroboros.ConnectionOptionFunc) (*session, error) {
	nc, err := n.dial(ctx)
	if err != nil {
		return nil, err
	}
	// The context's deadline is the one that counts: the library's own must not come before it.
	late := 2 * n.cfg.Timeout
	submit := localtxsubmission.NewConfig(localtxsubmission.WithTimeout(late))
	monitor := localtxmonitor.NewConfig(localtxmonitor.WithAcquireTimeout(late), localtxmonitor.WithQueryTimeout(late))
	opts = append([]ouroboros.ConnectionOptionFunc{
		ouroboros.WithConnection(nc),
		ouroboros.WithNetworkMagic(n.cfg.Network.Magic),
		ouroboros.WithNodeToNode(false),
		ouroboros.WithKeepAlive(false),
		ouroboros.WithDelayProtocolStart(true),
		ouroboros.WithDelayMuxerStart(true),
		ouroboros.WithLocalTxSubmissionConfig(submit),
		ouroboros.WithLocalTxMonitorConfig(monitor),
	}, opts...)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	conn, err := ouroboros.NewConnection(opts...)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	s := &session{net: nc, conn: conn}
	if err == nil {
		s.start()
		n.cfg.Log.Debug("connected to node", "socket", n.cfg.Socket, "magic", n.cfg.Network.Magic)
		return s, nil
	}
	s.close()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("shaking hands with %s: %w: %w", n.cfg.Socket, ErrUnreachable, context.Cause(ctx))
	}
	return nil, n.refused(ctx, err)
}

// start begins the protocols: the library's, but for queries our own.
func (s *session) start() {
	s.conn.ChainSync().Client.Start()
	s.conn.LocalTxSubmission().Client.Start()
	if m := s.conn.LocalTxMonitor(); m != nil {
		m.Client.Start()
	}
	if s.conn.LocalStateQuery() != nil {
		s.query = startAsker(s.conn)
	}
	s.conn.Muxer().Start() // last: a connection that it finds broken takes no protocols any more
}

func (n *Node) dial(ctx context.Context) (net.Conn, error) {
	kind, at := address(n.cfg.Socket)
	nc, err := new(net.Dialer).DialContext(ctx, kind, at)
	if err != nil {
		return nil, fmt.Errorf("%w at %q (is the node running, and is this the path of its socket?): %w", ErrUnreachable, n.cfg.Socket, err)
	}
	return &guarded{Conn: nc}, nil
}

// address is a socket's network and address: a path is a unix socket's.
func address(socket string) (kind, at string) {
	if at, ok := strings.CutPrefix(socket, "tcp://"); ok {
		return "tcp", at
	}
	if at, ok := strings.CutPrefix(socket, "unix://"); ok {
		return "unix", at
	}
	if _, _, err := net.SplitHostPort(socket); err == nil && !strings.ContainsAny(socket, `/\`) {
		return "tcp", socket
	}
	return "unix", socket
}

// refused turns a failed handshake into an error that says which network the node is on, if it tells.
func (n *Node) refused(ctx context.Context, err error) error {
	var refusal *handshake.RefusedError
	var decode *handshake.DecodeError
	var mismatch *handshake.VersionMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("%w: %s speaks other protocol versions: %w", ErrUnreachable, n.cfg.Socket, err)
	}
	magic, ok := n.askMagic(ctx)
	switch {
	case ok && magic != n.cfg.Network.Magic:
		return fmt.Errorf("%w: the node at %s has network magic %d, wanted %d", ErrWrongNetwork, n.cfg.Socket, magic, n.cfg.Network.Magic)
	case errors.As(err, &refusal), errors.As(err, &decode):
		return fmt.Errorf("%w: the node at %s refused network magic %d: %w", ErrWrongNetwork, n.cfg.Socket, n.cfg.Network.Magic, err)
	}
	return fmt.Errorf("%w: handshake with %s: %w", ErrUnreachable, n.cfg.Socket, err)
}

// publicMagics are the networks a node is likely to be on (network-magic of their Shelley genesis files): mainnet,
// preprod, preview, and the usual one of a private devnet.
var publicMagics = []uint32{764824073, 1, 2, 42}

// askMagic finds out which network a node is on that refused us: it asks by the handshake's query mode, and where the
// answer is lost with the connection, as some nodes lose it, tries the likely ones.
func (n *Node) askMagic(ctx context.Context) (uint32, bool) {
	probe := func(f func(net.Conn) bool) bool {
		nc, err := n.dial(ctx)
		if err != nil {
			return false
		}
		defer nc.Close()
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		defer stop()
		return f(nc)
	}
	var magic uint32
	if probe(func(nc net.Conn) (ok bool) { magic, ok = queryMagic(nc, n.cfg.Network.Magic); return ok }) {
		return magic, true
	}
	for _, magic := range publicMagics {
		accepts := func(nc net.Conn) bool {
			conn, err := ouroboros.NewConnection(ouroboros.WithConnection(nc), ouroboros.WithNetworkMagic(magic), ouroboros.WithNodeToNode(false))
			if err == nil {
				(&session{net: nc, conn: conn}).close()
			}
			return err == nil
		}
		if magic != n.cfg.Network.Magic && probe(accepts) {
			return magic, true
		}
	}
	return 0, false
}

// dead says whether the connection is known to have ended while it was idle.
func (s *session) dead() bool {
	select {
	case <-s.conn.ErrorChan():
		return true
	default:
		return false
	}
}

// use runs f, and breaks the connection if ctx ends first, so that f returns. The library trusts a node's answers to have
// the form they should, and panics where they have not.
func (s *session) use(ctx context.Context, f func() error) (err error) {
	stop := context.AfterFunc(ctx, func() { s.net.Close() })
	defer func() {
		if p := recover(); p != nil {
			stop()
			err = fmt.Errorf("an answer that cannot be read (%v): %w", p, ErrUnexpected)
		}
	}()
	err = f()
	if !stop() && err == nil {
		return context.Cause(ctx)
	}
	return err
}

// close ends the connection, waits until its goroutines are done with it and returns why it had broken.
func (s *session) close() error {
	s.net.Close()
	if s.conn == nil {
		return nil
	}
	s.conn.Close()
	var cause error
	var closed *muxer.ConnectionClosedError
	for err := range s.conn.ErrorChan() {
		if !errors.Is(err, net.ErrClosed) && (cause == nil || errors.As(cause, &closed)) {
			cause = err
		}
	}
	return cause
}
