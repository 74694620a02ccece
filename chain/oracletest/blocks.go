package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/protocol/chainsync"
	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"

	"github.com/tallycompute/tally/chain"
)

// reread reads the whole chain that was made: each block, and each transaction in it, must be written as it was read.
func (w *world) reread(ctx context.Context) (err error) {
	tip, err := w.node.Tip(ctx)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	handle := func(_ chainsync.CallbackContext, _ uint, raw []byte, _ chainsync.Tip) error {
		hash, complaints := w.rereadBlock(raw)
		w.jury.rule("written as it was read", hash.String(), complaints)
		if w.jury.blocks++; hash == tip.Hash {
			close(done)
			return chainsync.ErrStopSyncProcess
		}
		return nil
	}
	conn, err := ouroboros.NewConnection(ouroboros.WithNetworkMagic(w.net.Magic), ouroboros.WithNodeToNode(false), ouroboros.WithKeepAlive(false),
		ouroboros.WithChainSyncConfig(chainsync.NewConfig(
			chainsync.WithRollForwardRawFunc(handle),
			chainsync.WithRollBackwardFunc(func(chainsync.CallbackContext, pcommon.Point, chainsync.Tip) error { return nil }),
		)))
	if err != nil {
		return err
	}
	if err := conn.Dial("unix", w.submitter.socket); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.ChainSync().Client.Sync([]pcommon.Point{pcommon.NewPointOrigin()}); err != nil {
		return err
	}
	select {
	case <-done:
	case err := <-conn.ErrorChan():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if w.jury.reread != len(w.made) {
		w.jury.rule("written as it was read", "chain", []string{fmt.Sprintf("%d transactions, made were %d", w.jury.reread, len(w.made))})
	}
	return nil
}

func (w *world) rereadBlock(raw []byte) (hash chain.BlockHash, complaints []string) {
	no := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	b, err := chain.DecodeRawBlock(raw)
	if err != nil {
		no("%v", err)
		return hash, complaints
	}
	if !bytes.Equal(b.Bytes(), raw) {
		no("%x becomes %x", raw, b.Bytes())
	}
	for _, t := range b.Txs {
		w.jury.reread++
		again, err := chain.DecodeRawTx(t.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), t.Bytes()) {
			no("%s becomes %x: %v", t.ID(), again.Bytes(), err)
		}
		tx, err := chain.DecodeAnyTx(t.Bytes())
		if err != nil || !bytes.Equal(tx.Bytes(), t.Bytes()) {
			no("%s is not read: %v", t.ID(), err)
		}
		if w.made[t.ID()] == "" {
			no("%s, which nobody made", t.ID())
		}
	}
	return b.Hash(), complaints
}
