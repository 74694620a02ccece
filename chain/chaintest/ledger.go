package chaintest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/blinklabs-io/gouroboros/ledger/conway"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// Event is what a follower of the chain sees: a new block, or, if Block is nil, the point the chain went back to.
type Event struct {
	Block    *chain.Block
	Rollback chain.Point
}

// Ledger is a chain in memory. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	params  chain.Params
	clock   chain.Clock
	net     chain.Network
	slot    chain.Slot
	utxos   map[chain.OutRef]chain.UTxO
	mempool []pending
	blocks  []forged
	events  []Event
	faults  Faults
	changed chan struct{} // closed at the next event
}

type pending struct {
	tx   *chain.Tx
	lost bool
}

type forged struct {
	chain.Block
	before map[chain.OutRef]chain.UTxO
	txs    []*chain.Tx
}

// Faults are what goes wrong next.
type Faults struct {
	Refuse error // the next Submit fails with it
	Lose   int   // so many transactions are accepted and never come into a block
}

// New starts a chain at slot 1 with genesis as its outputs.
func New(p chain.Params, clk chain.Clock, net chain.Network, genesis []chain.UTxO) *Ledger {
	l := &Ledger{params: p, clock: clk, net: net, slot: 1, utxos: map[chain.OutRef]chain.UTxO{}, changed: make(chan struct{})}
	for _, u := range genesis {
		l.utxos[u.Ref] = u
	}
	return l
}

// Params, Clock and Network are what the ledger was made with.
func (l *Ledger) Params() chain.Params { return l.params }

// Clock turns the ledger's slots into times.
func (l *Ledger) Clock() chain.Clock { return l.clock }

// Network is the ledger's network.
func (l *Ledger) Network() chain.Network { return l.net }

// Fail sets what goes wrong next.
func (l *Ledger) Fail(f Faults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = f
}

// Slot is the current slot.
func (l *Ledger) Slot() chain.Slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slot
}

// Now is the time at which the current slot starts.
func (l *Ledger) Now() chain.Time { return l.clock.SlotToTime(l.Slot()) }

// Tick lets n slots pass without a block.
func (l *Ledger) Tick(n chain.Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slot += n
}

// Submit checks a transaction by every rule against the chain and what waits already, and lets it wait for a block.
func (l *Ledger) Submit(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.faults.Refuse; err != nil {
		l.faults.Refuse = nil
		return err
	}
	tx, err := chain.DecodeTx(b)
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	utxos := maps.Clone(l.utxos)
	for _, p := range l.mempool {
		if p.tx.ID() == tx.ID() {
			return nil
		}
		if _, err := apply(utxos, p.tx); err != nil {
			return err
		}
	}
	if err := l.check(tx, utxos); err != nil {
		return fmt.Errorf("submit %s: %w", tx.ID(), err)
	}
	lost := l.faults.Lose > 0
	if lost {
		l.faults.Lose--
	}
	l.mempool = append(l.mempool, pending{tx, lost})
	return nil
}

func (l *Ledger) check(tx *chain.Tx, utxos map[chain.OutRef]chain.UTxO) error {
	return chain.Check(tx, slices.Collect(maps.Values(utxos)), l.params, l.clock, l.net, l.slot)
}

// Forge lets n slots pass and makes a block, in the last of them, of all that waits and is still valid.
func (l *Ledger) Forge(n chain.Slot) (chain.Block, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slot += n
	f := forged{before: l.utxos}
	next := maps.Clone(l.utxos)
	f.Slot, f.Height = l.slot, uint64(len(l.blocks)+1)
	prev := l.tip()
	head := binary.BigEndian.AppendUint64(prev.Hash[:], uint64(f.Slot))
	for _, p := range l.mempool {
		if p.lost {
			continue
		}
		if err := l.check(p.tx, next); err != nil {
			continue // it expired, or what it spends is gone
		}
		btx, err := apply(next, p.tx)
		if err != nil {
			return chain.Block{}, err
		}
		f.Txs, f.txs = append(f.Txs, btx), append(f.txs, p.tx)
		head = append(head, btx.ID[:]...)
	}
	f.Hash = blake2b.Sum256(head)
	l.mempool, l.utxos = nil, next
	l.blocks = append(l.blocks, f)
	l.happened(Event{Block: &f.Block})
	return f.Block, nil
}

// apply moves a transaction's outputs, and gives the view of it that blocks have.
func apply(utxos map[chain.OutRef]chain.UTxO, tx *chain.Tx) (chain.BlockTx, error) {
	ct, err := conway.NewConwayTransactionFromCbor(tx.Bytes())
	if err != nil {
		return chain.BlockTx{}, fmt.Errorf("decode %s: %w", tx.ID(), err)
	}
	b, err := chain.BlockTxFrom(ct)
	if err != nil {
		return chain.BlockTx{}, err
	}
	for _, in := range b.Inputs {
		delete(utxos, in)
	}
	for _, u := range b.Outputs {
		utxos[u.Ref] = u
	}
	return b, nil
}

// Rollback undoes the last k blocks. Their transactions are gone, and so is what waited.
func (l *Ledger) Rollback(k int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k < 1 || k > len(l.blocks) {
		return fmt.Errorf("roll back %d of %d blocks: %w", k, len(l.blocks), chain.ErrMalformed)
	}
	keep := len(l.blocks) - k
	l.utxos, l.blocks, l.mempool = l.blocks[keep].before, l.blocks[:keep], nil
	l.happened(Event{Rollback: l.tip()})
	return nil
}

// Tip is the last block's point, or the zero Point before the first.
func (l *Ledger) Tip() chain.Point {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tip()
}

func (l *Ledger) tip() chain.Point {
	if len(l.blocks) == 0 {
		return chain.Point{}
	}
	return l.blocks[len(l.blocks)-1].Point
}

// Events lists what happened to the chain after the first n events.
func (l *Ledger) Events(n int) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[min(n, len(l.events)):])
}

// UTxOs lists what is unspent at any of the addresses, ordered by reference; without addresses, everything.
func (l *Ledger) UTxOs(at ...chain.Address) []chain.UTxO {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []chain.UTxO
	for _, u := range l.utxos {
		if len(at) == 0 || slices.Contains(at, u.Address) {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b chain.UTxO) int { return a.Ref.Compare(b.Ref) })
	return out
}
