package escrowtest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// Book is one key's view of a ledger, up to the last Sync. It is safe for concurrent use.
type Book struct {
	Ledger    *chaintest.Ledger
	Contracts *plutus.Contracts
	Key       chain.KeyHash
	// Mine says which lots Lots lists; nil: those whose opening the key signed and that name it or its requester.
	Mine func(ctx context.Context, l escrow.Lot) (bool, error)

	genesis []chain.UTxO

	mu      sync.Mutex
	seen    int // events of the ledger
	blocks  []chain.Block
	ever    map[chain.OutRef]chain.UTxO
	unspent map[chain.OutRef]bool
	events  []escrow.Scanned
	changed chan struct{}
}

// NewBook starts at a ledger's genesis: before its first block.
func NewBook(l *chaintest.Ledger, c *plutus.Contracts, key chain.KeyHash) *Book {
	b := &Book{
		Ledger: l, Contracts: c, Key: key, genesis: l.UTxOs(), changed: make(chan struct{}),
		ever: map[chain.OutRef]chain.UTxO{}, unspent: map[chain.OutRef]bool{},
	}
	for _, u := range b.genesis {
		b.ever[u.Ref], b.unspent[u.Ref] = u, true
	}
	return b
}

// Sync reads what happened to the ledger.
func (b *Book) Sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	news := b.Ledger.Events(b.seen)
	if len(news) == 0 {
		return nil
	}
	b.seen += len(news)
	for _, e := range news {
		if e.Block != nil {
			b.blocks = append(b.blocks, *e.Block)
			continue
		}
		b.blocks = slices.DeleteFunc(b.blocks, func(k chain.Block) bool { return k.Slot > e.Rollback.Slot })
	}
	if err := b.fold(); err != nil {
		return err
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// fold reads all blocks from the first: what a rollback undid is simply not among them.
func (b *Book) fold() error {
	b.ever, b.unspent, b.events = map[chain.OutRef]chain.UTxO{}, map[chain.OutRef]bool{}, nil
	for _, u := range b.genesis {
		b.ever[u.Ref], b.unspent[u.Ref] = u, true
	}
	for _, k := range b.blocks {
		spent := map[chain.OutRef]chain.UTxO{}
		for _, tx := range k.Txs {
			for _, in := range tx.Inputs {
				if u, ok := b.ever[in]; ok {
					spent[in] = u
				}
			}
		}
		found, err := escrow.Scan(b.Contracts, k, spent)
		if err != nil {
			return fmt.Errorf("block %d: %w", k.Slot, err)
		}
		b.events = append(b.events, found...)
		for _, tx := range k.Txs {
			for _, u := range tx.Outputs {
				b.ever[u.Ref], b.unspent[u.Ref] = u, true
			}
			for _, in := range tx.Inputs {
				delete(b.unspent, in)
			}
		}
	}
	return nil
}

// Tip is the slot of the last block.
func (b *Book) Tip() chain.Slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.blocks) == 0 {
		return 0
	}
	return b.blocks[len(b.blocks)-1].Slot
}

// Changed is closed at the next Sync that reads something.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Coins are the key's unspent outputs.
func (b *Book) Coins(context.Context) ([]chain.UTxO, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var coins []chain.UTxO
	for ref := range b.unspent {
		if k, ok := b.ever[ref].Address.Key(); ok && k == b.Key {
			coins = append(coins, b.ever[ref])
		}
	}
	slices.SortFunc(coins, func(x, y chain.UTxO) int { return x.Ref.Compare(y.Ref) })
	return coins, nil
}

// Owns says whether an output is the key's, spent or not.
func (b *Book) Owns(_ context.Context, ref chain.OutRef) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.ever[ref].Address.Key()
	return ok && k == b.Key, nil
}

// Events are what blocks did to a lot, in order.
func (b *Book) Events(k escrow.Key) []escrow.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []escrow.Event
	for _, s := range b.events {
		if s.Key == k {
			all = append(all, s.Event)
		}
	}
	return all
}

// Lot folds a lot.
func (b *Book) Lot(_ context.Context, k escrow.Key) (escrow.Lot, error) {
	return escrow.Fold(k, b.Events(k))
}

// Lots are the key's own lots.
func (b *Book) Lots(ctx context.Context) ([]escrow.Lot, error) {
	b.mu.Lock()
	var keys []escrow.Key
	for _, s := range b.events {
		if k := s.Event.Kind; k == escrow.KindOpen || k == escrow.KindStart {
			keys = append(keys, s.Key)
		}
	}
	b.mu.Unlock()
	var own []escrow.Lot
	for _, k := range keys {
		l, err := b.Lot(ctx, k)
		if err != nil {
			return nil, err
		}
		mine := b.Mine
		if mine == nil {
			mine = func(context.Context, escrow.Lot) (bool, error) {
				requester, _ := l.Terms.Requester.Key()
				return l.Mine(b.Key) && (k.Provider == b.Key || requester == b.Key), nil
			}
		}
		if yes, err := mine(ctx, l); err != nil {
			return nil, err
		} else if yes {
			own = append(own, l)
		}
	}
	return own, nil
}

// JobLots are all lots of a job.
func (b *Book) JobLots(ctx context.Context, id plutus.JobID) (all []escrow.Lot, err error) {
	b.mu.Lock()
	keys := map[escrow.Key]bool{}
	for _, s := range b.events {
		if s.Key.Job == id {
			keys[s.Key] = true
		}
	}
	b.mu.Unlock()
	for k := range keys {
		l, err := b.Lot(ctx, k)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// Held is the output that holds a lot now.
func (b *Book) Held(_ context.Context, ref chain.OutRef) (chain.UTxO, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ever[ref], b.unspent[ref], nil
}

// Stakes are a provider's.
func (b *Book) Stakes(_ context.Context, c *plutus.Contracts, owner chain.KeyHash) (all []plutus.Stake, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ref := range b.unspent {
		if s, err := c.ReadStake(b.ever[ref]); err == nil && s.Owner == owner {
			all = append(all, s)
		}
	}
	return all, nil
}

// References are the published scripts.
func (b *Book) References(context.Context) ([]chain.UTxO, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []chain.UTxO
	for ref := range b.unspent {
		all = append(all, b.ever[ref])
	}
	return b.Contracts.FindReferences(all), nil
}
