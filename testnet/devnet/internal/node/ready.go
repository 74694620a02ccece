package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	ouroboros "github.com/blinklabs-io/gouroboros"
)

const pollEvery = 20 * time.Millisecond

// awaitBlock returns when the node behind socket answers and its tip has passed slot after: a block forged in this run.
func awaitBlock(ctx context.Context, socket string, magic uint32, after uint64) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var conn *ouroboros.Connection
	closeConn := func() error {
		if conn == nil {
			return nil
		}
		err := conn.Close()
		for range conn.ErrorChan() { // closed with the connection; drained so that its goroutines end
		}
		conn = nil
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), closeConn())
		case <-tick.C:
		}
		if conn == nil {
			c, err := ouroboros.NewConnection(ouroboros.WithNetworkMagic(magic), ouroboros.WithNodeToNode(false), ouroboros.WithKeepAlive(false))
			if err != nil {
				return fmt.Errorf("ask for the tip: %w", err)
			}
			if c.Dial("unix", socket) != nil {
				continue // not serving yet
			}
			conn = c
		}
		tip, err := conn.ChainSync().Client.GetCurrentTip()
		if err != nil {
			_ = closeConn() // it may not serve chain-sync yet: dial again
			continue
		}
		if len(tip.Point.Hash) > 0 && tip.Point.Slot > after {
			return closeConn()
		}
	}
}
