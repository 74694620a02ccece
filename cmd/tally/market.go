package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/dht"
	"github.com/tallycompute/tally/market/requester"
)

// finder finds offers in the DHT, in the requester's words.
type finder struct{ p *party }

// mostOffers is how many offers a search looks at.
const mostOffers = 256

// Find implements requester.Offers.
func (f finder) Find(ctx context.Context, c market.Capability) ([]market.Offer, []requester.Dropped, error) {
	found, err := f.search(ctx, market.CapabilityKey(f.p.net.Magic, f.p.contracts.Policy, c))
	if err != nil {
		return nil, nil, err
	}
	now, err := f.p.now(ctx)
	if err != nil {
		return nil, nil, err
	}
	var offers []market.Offer
	var dropped []requester.Dropped
	drop := func(id peer.ID, err error) {
		dropped = append(dropped, requester.Dropped{Peer: id, Reason: market.Reason{Code: "offer", Sentence: err.Error()}})
	}
	for _, x := range found.Found {
		o, err := market.OpenOffer(x.Offer, now, f.p.net.Magic, x.Peer)
		if err != nil {
			drop(x.Peer, err)
			continue
		}
		offers = append(offers, o)
	}
	for _, x := range found.Rejected {
		drop(x.Peer, x.Reason)
	}
	return offers, dropped, nil
}

// joinTime is how long a search waits for the DHT to be joined.
const joinTime = 30 * time.Second

// search asks the DHT, and waits for it first if it is not joined yet.
func (f finder) search(ctx context.Context, key string) (dht.Result, error) {
	joining, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	for {
		found, err := f.p.dht.Find(ctx, key, mostOffers)
		if !errors.Is(err, dht.ErrNoPeers) {
			return found, err
		}
		if bErr := f.p.dht.Bootstrap(joining); bErr == nil {
			continue
		}
		select {
		case <-joining.Done():
			return found, err
		case <-time.After(time.Second / 2):
		}
	}
}

// now is the chain's time at the index's tip.
func (p *party) now(ctx context.Context) (chain.Time, error) {
	c, err := p.node.Clock(ctx)
	if err != nil {
		return 0, fmt.Errorf("clock: %w", err)
	}
	return c.SlotToTime(p.book.Tip()), nil
}

// coins is the purse as the requester uses it.
type coins struct{ *purse }

// Coins implements requester.Purse.
func (c coins) Coins(ctx context.Context) ([]chain.UTxO, error) {
	all, err := c.book.Coins(ctx)
	if err != nil {
		return nil, err
	}
	free, _, err := c.kept.Coins(ctx, all)
	return free, err
}

// Sign implements requester.Purse. A transaction of an earlier process is signed if it passes the check again.
func (c coins) Sign(tx *chain.Tx, check func(chain.TxBody) error) error {
	vkey, sig, err := c.wallet.SignChecked(tx.Body(), check)
	if err != nil {
		return err
	}
	return tx.AddWitness(vkey, sig)
}

// Release implements requester.Purse.
func (c coins) Release(ctx context.Context, purpose string) error {
	return c.kept.Release(ctx, purpose)
}

// blocks is what the chain holds beside the lots.
type blocks struct{ p *party }

// Confirmations implements requester.Blocks.
func (b blocks) Confirmations(ctx context.Context, tx chain.TxID) (uint64, error) {
	return known{b.p.ix, b.p.kept}.Confirmations(ctx, tx)
}

// References implements requester.Blocks.
func (b blocks) References(ctx context.Context) ([]chain.UTxO, error) {
	return b.p.book.References(ctx)
}

// FreeStakes implements requester.Blocks.
func (b blocks) FreeStakes(ctx context.Context) (map[chain.KeyHash]uint64, error) {
	return b.p.book.FreeStakes(ctx)
}

// feeHandler notes what transactions that spend a wallet's outputs cost.
func feeHandler(key chain.KeyHash) index.Handler {
	return index.HandlerFunc(func(b index.Block) ([]index.Event, error) {
		var events []index.Event
		for _, tx := range b.Txs {
			own := false
			for _, ref := range tx.Inputs {
				k, ok := b.Spent[ref].Address.Key()
				own = own || ok && k == key
			}
			if own {
				events = append(events, index.Event{Key: feeKey(tx.ID), Kind: "fee", Payload: binary.BigEndian.AppendUint64(nil, uint64(tx.Fee))})
			}
		}
		return events, nil
	})
}

// feeKey is what the fees of a transaction are filed under.
func feeKey(tx chain.TxID) string { return "fee/" + tx.String() }

// Fee implements requester.Blocks.
func (b blocks) Fee(ctx context.Context, tx chain.TxID) (chain.Lovelace, bool, error) {
	events, err := b.p.ix.Events(ctx, feeKey(tx))
	if err != nil || len(events) == 0 {
		return 0, false, err
	}
	if len(events[0].Payload) != 8 {
		return 0, false, errors.New("a stored fee is damaged")
	}
	return chain.Lovelace(binary.BigEndian.Uint64(events[0].Payload)), true, nil
}
