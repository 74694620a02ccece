// Package link lets one node follow another over TCP connections that can be cut.
package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/tallycompute/tally/testnet/devnet/internal/wire"
)

// Forward forwards the connections of the node that dials l to another node's address, which serves it and follows nothing
// in return. When ctx ends the link is cut: l and all connections are closed, and Forward returns.
func Forward(ctx context.Context, l net.Listener, to string) error {
	var forwarding sync.WaitGroup
	defer forwarding.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), closed(c))
		}
		if err != nil {
			return fmt.Errorf("accept a producer's connection: %w", err)
		}
		forwarding.Go(func() { forward(ctx, c, to) })
	}
}

func closed(c net.Conn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

// forward joins c with a new connection until either or ctx ends.
func forward(ctx context.Context, c net.Conn, to string) {
	defer c.Close()
	d, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return // the other node is away: the one that dialled sees it, and tries again
	}
	defer d.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = c.Close()
		_ = d.Close()
	})
	defer stop()
	asked, err := wire.OneWay(c)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() {
		_, _ = io.Copy(c, d)
		_ = c.Close()
	})
	_, _ = io.Copy(d, asked)
	_ = d.Close()
}
