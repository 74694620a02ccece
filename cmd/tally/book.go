package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// book is a party's view of the chain: its index, and the lots folded from the index's events.
type book struct {
	ix        *index.Index
	contracts *plutus.Contracts
	key       chain.KeyHash
	events    string                                                 // the handler that reads lots out of blocks
	older     []*book                                                // of contracts that only jobs under way still use
	pending   func(ctx context.Context, tx chain.TxID) (bool, error) // whether a transaction is one of ours under way
	mine      func(ctx context.Context, l escrow.Lot) (bool, error)

	mu   sync.Mutex
	last index.EventID
	lots map[escrow.Key]escrow.Lot
}

// newBook is the book of contracts, above those of older ones.
func newBook(ix *index.Index, c *plutus.Contracts, key chain.KeyHash, older ...*plutus.Contracts) *book {
	b := &book{ix: ix, contracts: c, key: key, events: lotEvents + c.Policy.String(), lots: map[escrow.Key]escrow.Lot{}}
	b.mine = func(_ context.Context, l escrow.Lot) (bool, error) { return l.Mine(key), nil }
	for _, c := range older {
		o := newBook(ix, c, key)
		o.mine = func(ctx context.Context, l escrow.Lot) (bool, error) { return b.mine(ctx, l) }
		o.pending = func(ctx context.Context, tx chain.TxID) (bool, error) { return b.pending(ctx, tx) }
		b.older = append(b.older, o)
	}
	ix.Register(b.events, index.HandlerFunc(func(blk index.Block) ([]index.Event, error) {
		found, err := escrow.Scan(c, blk.Block, blk.Spent)
		if err != nil {
			return nil, err
		}
		events := make([]index.Event, 0, len(found))
		for _, f := range found {
			payload, err := escrow.EncodeEvent(f.Event)
			if err != nil {
				return nil, err
			}
			events = append(events, index.Event{Key: f.Key.String(), Kind: string(f.Event.Kind), Payload: payload})
		}
		return events, nil
	}))
	return b
}

// lotEvents begins the names of the handlers that read lots out of blocks, one for each policy; the number is their
// version.
const lotEvents = "escrow/2/"

// fold brings the lots up to the index's tip; after a rollback it starts over.
func (b *book) fold(ctx context.Context) error {
	for {
		events, err := b.ix.EventsSince(ctx, b.last, 500)
		if errors.Is(err, index.ErrRolledBack) {
			b.last, b.lots = 0, map[escrow.Key]escrow.Lot{}
			continue
		}
		if err != nil {
			return fmt.Errorf("escrow events: %w", err)
		}
		if len(events) == 0 {
			return nil
		}
		for _, s := range events {
			if err := b.step(s); err != nil {
				return err
			}
			b.last = s.ID
		}
	}
}

func (b *book) step(s index.StoredEvent) error {
	if s.Handler != b.events {
		return nil
	}
	key, err := escrow.ParseKey(s.Key)
	if err != nil {
		return err
	}
	e, err := escrow.DecodeEvent(s.Payload)
	if err != nil {
		return err
	}
	l, ok := b.lots[key]
	if !ok {
		l.Key = key
	}
	if l, err = escrow.Step(l, e); err != nil {
		return err
	}
	b.lots[key] = l
	return nil
}

// Tip implements escrow.Book.
func (b *book) Tip() chain.Slot { return b.ix.Tip().Slot }

// Changed implements escrow.Book.
func (b *book) Changed() <-chan struct{} { return b.ix.Changed() }

// Lot implements provider.Book. A job is of one version of the contracts, so its name tells which.
func (b *book) Lot(ctx context.Context, k escrow.Key) (escrow.Lot, error) {
	l, err := b.lot(ctx, k)
	for _, o := range b.older {
		if err != nil || l.Status != escrow.Absent {
			break
		}
		l, err = o.lot(ctx, k)
	}
	return l, err
}

func (b *book) lot(ctx context.Context, k escrow.Key) (escrow.Lot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fold(ctx); err != nil {
		return escrow.Lot{}, err
	}
	if l, ok := b.lots[k]; ok {
		return l, nil
	}
	return escrow.Lot{Key: k}, nil
}

// versions are the books of all contracts, those of new jobs first.
func (b *book) versions() []*book { return append([]*book{b}, b.older...) }

// all are the lots that keep says to keep.
func (b *book) all(ctx context.Context, keep func(escrow.Lot) (bool, error)) ([]escrow.Lot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fold(ctx); err != nil {
		return nil, err
	}
	var own []escrow.Lot
	for _, l := range b.lots {
		ok, err := keep(l)
		if err != nil {
			return nil, err
		}
		if ok {
			own = append(own, l)
		}
	}
	return own, nil
}

// Lots implements escrow.Book: the lots of these contracts that are this party's own.
func (b *book) Lots(ctx context.Context) ([]escrow.Lot, error) {
	return b.all(ctx, func(l escrow.Lot) (bool, error) { return b.mine(ctx, l) })
}

// JobLots are all lots of a job, of any version.
func (b *book) JobLots(ctx context.Context, id plutus.JobID) (all []escrow.Lot, err error) {
	for _, v := range b.versions() {
		lots, err := v.all(ctx, func(l escrow.Lot) (bool, error) { return l.Key.Job == id, nil })
		if err != nil {
			return nil, err
		}
		all = append(all, lots...)
	}
	return all, nil
}

// Held implements escrow.Book.
func (b *book) Held(ctx context.Context, ref chain.OutRef) (chain.UTxO, bool, error) {
	u, ok, err := b.ix.UTxO(ctx, ref)
	return u.UTxO, ok && u.SpentBy == nil, err
}

// References implements escrow.Book.
func (b *book) References(ctx context.Context) ([]chain.UTxO, error) {
	all, err := b.ix.UTxOsOf(ctx, index.Script(b.contracts.Stub))
	if err != nil {
		return nil, err
	}
	return b.contracts.FindReferences(all), nil
}

// stakes are all that are on chain, by owner.
func (b *book) stakes(ctx context.Context, c *plutus.Contracts) (map[chain.KeyHash][]plutus.Stake, error) {
	all, err := b.ix.UTxOsOf(ctx, index.Script(c.Stake))
	if err != nil {
		return nil, err
	}
	by := map[chain.KeyHash][]plutus.Stake{}
	for _, u := range all {
		if s, err := c.ReadStake(u); err == nil { // anybody can make what only looks like one
			by[s.Owner] = append(by[s.Owner], s)
		}
	}
	return by, nil
}

// Stakes implements escrow.Book.
func (b *book) Stakes(ctx context.Context, c *plutus.Contracts, owner chain.KeyHash) ([]plutus.Stake, error) {
	by, err := b.stakes(ctx, c)
	return by[owner], err
}

// FreeStakes are what owners have at stake beyond what their own open lots may lose.
func (b *book) FreeStakes(ctx context.Context) (map[chain.KeyHash]uint64, error) {
	by, err := b.stakes(ctx, b.contracts)
	if err != nil {
		return nil, err
	}
	free := map[chain.KeyHash]uint64{}
	for owner, stakes := range by {
		free[owner] = plutus.Counted(stakes, market.LeastStakeUNTX)
	}
	_, err = b.all(ctx, func(l escrow.Lot) (bool, error) {
		owner := l.Key.Provider
		if !l.Status.Final() && l.Mine(owner) { // whoever names a provider in a lot that it never witnessed takes nothing from it
			free[owner] -= min(free[owner], l.Terms.Disputes.AtRiskUNTX)
		}
		return false, nil
	})
	return free, err
}

// Coins implements provider.Book.
func (b *book) Coins(ctx context.Context) ([]chain.UTxO, error) {
	return b.ix.UTxOsOf(ctx, index.Key(b.key))
}

// Owns implements provider.Book. What our own transactions make is ours before any block has it: the index does not
// know it yet, and a requester could say anything about it.
func (b *book) Owns(ctx context.Context, ref chain.OutRef) (bool, error) {
	u, ok, err := b.ix.UTxO(ctx, ref)
	if err != nil {
		return false, err
	}
	if ok {
		k, isKey := u.Address.Key()
		return isKey && k == b.key, nil
	}
	return b.pending(ctx, ref.Tx)
}
