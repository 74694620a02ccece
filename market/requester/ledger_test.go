package requester

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// testChain is a ledger with real rules and scripts in which a block comes whenever a transaction waits, and time
// passes when a test says so.
type testChain struct {
	*chaintest.Ledger
	contracts *plutus.Contracts
	wallet    chaintest.Actor // the requester's

	mu        sync.Mutex
	seen      int
	blocks    []chain.Block
	lots      map[escrow.Key]escrow.Lot
	changed   chan struct{}
	submitted map[chain.TxID]bool
	onSubmit  func()
}

func newTestChain(c *plutus.Contracts, wallet chaintest.Actor, genesis []chain.UTxO) *testChain {
	return &testChain{
		Ledger: chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), genesis), contracts: c, wallet: wallet,
		lots: map[escrow.Key]escrow.Lot{}, changed: make(chan struct{}), submitted: map[chain.TxID]bool{},
	}
}

// forge makes a block n slots later.
func (c *testChain) forge(n chain.Slot) error {
	if _, err := c.Forge(n); err != nil {
		return err
	}
	return c.read()
}

// passTo lets time pass until t.
func (c *testChain) passTo(t chain.Time) error {
	s, err := c.Ledger.Clock().CeilSlot(t)
	if err != nil || s <= c.Slot() {
		return err
	}
	return c.forge(s - c.Slot())
}

// read folds what happened to the chain.
func (c *testChain) read() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.Events(c.seen)
	c.seen += len(events)
	for _, e := range events {
		if e.Block != nil {
			c.blocks = append(c.blocks, *e.Block)
			continue
		}
		c.blocks = slices.DeleteFunc(c.blocks, func(b chain.Block) bool { return b.Slot > e.Rollback.Slot })
	}
	spent := map[chain.OutRef]chain.UTxO{}
	c.lots = map[escrow.Key]escrow.Lot{}
	for _, b := range c.blocks {
		found, err := escrow.Scan(c.contracts, b, spent)
		if err != nil {
			return err
		}
		for _, s := range found {
			l := c.lots[s.Key]
			l.Key = s.Key
			if c.lots[s.Key], err = escrow.Step(l, s.Event); err != nil {
				return err
			}
		}
		for _, tx := range b.Txs {
			for _, u := range tx.Outputs {
				spent[u.Ref] = u
			}
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// transactions are those in the chain.
func (c *testChain) transactions() (all []chain.BlockTx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		all = append(all, b.Txs...)
	}
	return all
}

// ledger and book are the ports on it.
type (
	testLedger struct{ *testChain }
	testBook   struct{ *testChain }
)

func (l testLedger) Params(context.Context) (chain.Params, error) { return l.Ledger.Params(), nil }
func (l testLedger) Clock(context.Context) (chain.Clock, error)   { return l.Ledger.Clock(), nil }

func (l testLedger) Submit(_ context.Context, b []byte) error {
	if err := l.Ledger.Submit(b); err != nil {
		return err
	}
	tx, err := chain.DecodeTx(b)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.submitted[tx.ID()] = true
	then := l.onSubmit
	l.mu.Unlock()
	if then != nil {
		then()
	}
	return l.forge(1)
}

func (b testBook) Tip() chain.Slot { return b.testChain.Tip().Slot }

func (b testBook) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b testBook) Lot(_ context.Context, k escrow.Key) (escrow.Lot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, ok := b.lots[k]; ok {
		return l, nil
	}
	return escrow.Lot{Key: k}, nil
}

func (b testBook) Lots(context.Context) ([]escrow.Lot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.lots)), nil
}

func (b testBook) JobLots(_ context.Context, id plutus.JobID) (all []escrow.Lot, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, l := range b.lots {
		if k.Job == id {
			all = append(all, l)
		}
	}
	return all, nil
}

func (b testBook) Held(_ context.Context, ref chain.OutRef) (chain.UTxO, bool, error) {
	for _, u := range b.UTxOs() {
		if u.Ref == ref {
			return u, true, nil
		}
	}
	return chain.UTxO{}, false, nil
}

func (b testBook) References(context.Context) ([]chain.UTxO, error) {
	return b.contracts.FindReferences(b.UTxOs()), nil
}

func (b testBook) Stakes(context.Context, *plutus.Contracts, chain.KeyHash) ([]plutus.Stake, error) {
	return nil, nil
}

func (b testBook) FreeStakes(context.Context) (map[chain.KeyHash]uint64, error) { return nil, nil }

func (b testBook) Confirmations(_ context.Context, id chain.TxID) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, blk := range b.blocks {
		for _, tx := range blk.Txs {
			if tx.ID == id {
				return uint64(len(b.blocks) - i), nil
			}
		}
	}
	return 0, nil
}

func (b testBook) Fee(_ context.Context, id chain.TxID) (chain.Lovelace, bool, error) {
	for _, tx := range b.transactions() {
		if tx.ID == id {
			return tx.Fee, slices.Contains(tx.Witnesses, b.wallet.Hash), nil
		}
	}
	return 0, false, nil
}

// testPurse pays with an actor's coins.
type testPurse struct {
	*testChain
	collateral chain.UTxO

	mu       sync.Mutex
	reserved map[chain.OutRef]string
}

func (p *testPurse) Coins(context.Context) ([]chain.UTxO, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.free(nil), nil
}

func (p *testPurse) free(inputs []chain.Input) (coins []chain.UTxO) {
	for _, u := range p.UTxOs(p.wallet.Address) {
		spent := slices.ContainsFunc(inputs, func(i chain.Input) bool { return i.Ref == u.Ref })
		if u.Ref != p.collateral.Ref && p.reserved[u.Ref] == "" && !spent {
			coins = append(coins, u)
		}
	}
	return coins
}

func (p *testPurse) Balance(_ context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tx, err := chain.Balance(d, p.free(d.Inputs), p.wallet.Address, []chain.UTxO{p.collateral}, p.Params(), p.Ledger.Clock(), p.Network())
	if err != nil {
		return nil, err
	}
	b, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	for _, u := range tx.Resolved() {
		if u.Address == p.wallet.Address && slices.Contains(b.Inputs, u.Ref) {
			if p.reserved[u.Ref] != "" {
				return nil, fmt.Errorf("%s is reserved for %s", u.Ref, p.reserved[u.Ref])
			}
			p.reserved[u.Ref] = purpose
		}
	}
	return tx, nil
}

func (p *testPurse) Sign(tx *chain.Tx, check func(chain.TxBody) error) error {
	b, err := tx.Inspect()
	if err != nil {
		return err
	}
	if err := check(b); err != nil {
		return err
	}
	return p.wallet.Sign(tx)
}

func (p *testPurse) Pay(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error) {
	tx, err := p.Balance(ctx, d, purpose)
	if err != nil {
		return nil, err
	}
	return tx, p.wallet.Sign(tx)
}

func (p *testPurse) Release(_ context.Context, purpose string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.reserved, func(_ chain.OutRef, v string) bool { return v == purpose })
	return nil
}

// held counts the coins that are reserved for jobs.
func (p *testPurse) held() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.reserved {
		if len(v) > 4 && v[:4] == "job " {
			n++
		}
	}
	return n
}

var errDown = errors.New("peer unreachable")
