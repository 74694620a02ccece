package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/plutus"
)

// depths are how many confirmations the outputs of a wallet have, by the participant's index; nil where there is none: a
// node does not say. An index that no other process follows the chain with is brought up to the node's tip first.
func (a *app) depths(ctx context.Context, c *coffer) (deep map[chain.OutRef]uint64, err error) {
	if _, err := os.Stat(a.path("index.db")); errors.Is(err, fs.ErrNotExist) && a.indexAt() == a.path("index.db") {
		a.note("How deep this is in the chain is not known without an index; tally status makes one.")
		return nil, nil
	}
	lock, err := lockHome(a.home)
	if err != nil && !errors.Is(err, errLocked) {
		return nil, err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	contracts, err := plutus.New(c.net.Chain(), c.net.Contracts)
	if err != nil {
		return nil, fail(exitConfig, err, "the contract parameters in network.json cannot be used")
	}
	ix, _, err := a.openIndex(ctx, c.net, contracts, c.wallet.PaymentKey())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ix.Close()) }()
	if lock == nil {
		a.note("another tally follows the chain here: what is confirmed is what it knows so far")
	} else if err := a.readUp(ctx, ix, c); err != nil {
		return nil, err
	}
	deep = map[chain.OutRef]uint64{}
	for _, u := range c.all {
		_, height, ok, err := ix.TxBlock(ctx, u.Ref.Tx)
		if err != nil {
			return nil, err
		}
		if ok {
			deep[u.Ref] = ix.Tip().Confirmations(height)
		}
	}
	return deep, nil
}

// readUp brings an index to where the node was when the wallet was looked at.
func (a *app) readUp(ctx context.Context, ix *index.Index, c *coffer) error {
	if c.tip == (chain.Point{}) {
		return nil
	}
	a.live("reading the chain since the index was last at work")
	defer a.live("")
	ctx, stop := context.WithCancelCause(ctx)
	ran := make(chan error, 1)
	go func() {
		err := ix.Run(ctx, c.node)
		stop(err)
		ran <- err
	}()
	err := ix.WaitSlot(ctx, c.tip.Slot)
	if err != nil {
		err = context.Cause(ctx) // why Run ended, if it is that
	}
	stop(nil)
	<-ran
	return err
}
