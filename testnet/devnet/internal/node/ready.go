package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	ouroboros "github.com/blinklabs-io/gouroboros"
)

const pollEvery = 20 * time.Millisecond

// awaitBlock returns when the node behind socket answers and its tip has passed slot after: a block forged in this run.
// It fails with [ErrStalled] when that takes longer than within.
func awaitBlock(ctx context.Context, socket string, magic uint32, after uint64, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%w: no block after slot %d within %s of the start", ErrStalled, after, within))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var conn *ouroboros.Connection
	for {
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), closeConn(conn))
		case <-tick.C:
		}
		if conn == nil {
			var err error
			if conn, err = open(ctx, socket, magic); err != nil {
				continue // not serving yet
			}
		}
		tip, err := conn.ChainSync().Client.GetCurrentTip()
		if err != nil {
			_ = closeConn(conn) // it may not serve chain-sync yet: dial again
			conn = nil
			continue
		}
		if len(tip.Point.Hash) > 0 && tip.Point.Slot > after {
			return closeConn(conn)
		}
	}
}

// open connects to the node. The connection breaks when ctx ends, so that nothing waits for a node that does not answer.
func open(ctx context.Context, socket string, magic uint32) (*ouroboros.Connection, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	b := &breaking{Conn: c}
	b.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	conn, err := ouroboros.NewConnection(ouroboros.WithConnection(b), ouroboros.WithNetworkMagic(magic),
		ouroboros.WithNodeToNode(false), ouroboros.WithKeepAlive(false))
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return conn, nil
}

// breaking is a connection that a context breaks.
type breaking struct {
	net.Conn
	stop func() bool
}

// Close closes it, and lets go of the context.
func (b *breaking) Close() error {
	b.stop()
	return b.Conn.Close()
}

func closeConn(conn *ouroboros.Connection) error {
	if conn == nil {
		return nil
	}
	err := conn.Close()
	for range conn.ErrorChan() { // closed with the connection; drained so that its goroutines end
	}
	return err
}
