package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// batch is what a run of blocks changes, gathered in memory and written at once.
type batch struct {
	from   int64 // number of the block before
	tip    Tip   // after the blocks folded so far
	blocks []Tip
	known  map[chain.OutRef]*output // what the blocks may spend: of the database, and made
	made   []*output                // by these blocks, even if they spent it too
	spent  []*output                // of the database, by these blocks
	txs    []included
	events []StoredEvent
	seqs   []int64 // of each event's block
	last   EventID // ever given to an event
}

// output is a row of utxos.
type output struct {
	Spendable
	made, spent int64 // numbers of blocks; 0: not spent
}

// included is a transaction that touches what is watched, and its block.
type included struct {
	id chain.TxID
	at Tip
}

// apply adds blocks to the chain: their rows, what they made and spent of what is watched, their transactions that
// touch that, their events; and forgets what lies deeper than K. It is one database transaction. Of blocks of which one
// is bad, those before it are added.
func (ix *Index) apply(ctx context.Context, blocks []chain.Block, source chain.Point) error {
	tip := ix.Tip()
	b := &batch{from: tip.seq, tip: tip}
	err := ix.inTx(ctx, func(tx *sql.Tx) (err error) {
		if err := ix.sameTip(ctx, tx, tip); err != nil {
			return err
		}
		if b.known, err = ix.outputs(ctx, tx, foreignInputs(blocks)); err != nil {
			return err
		}
		if b.last, err = ix.lastEvent(ctx, tx); err != nil {
			return err
		}
		for _, blk := range blocks {
			if err := ix.fold(b, blk); err != nil {
				return fmt.Errorf("block %s at slot %d: %w", blk.Hash, blk.Slot, err)
			}
		}
		return ix.write(ctx, tx, b)
	})
	switch {
	case err == nil:
		ix.advance(b.tip, source)
		return nil
	case len(blocks) > 1 && (errors.Is(err, ErrHandler) || errors.Is(err, ErrChain)):
		for i := range blocks {
			if err := ix.apply(ctx, blocks[i:i+1], source); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("adding %d blocks after slot %d: %w", len(blocks), tip.Slot, err)
}

// foreignInputs are the outputs that blocks spend and do not make.
func foreignInputs(blocks []chain.Block) (refs []chain.OutRef) {
	own := map[chain.TxID]bool{}
	for _, b := range blocks {
		for _, t := range b.Txs {
			own[t.ID] = true
		}
	}
	for _, b := range blocks {
		for _, t := range b.Txs {
			for _, in := range t.Inputs {
				if !own[in.Tx] {
					refs = append(refs, in)
				}
			}
		}
	}
	return refs
}

// fold adds a block to b.
func (ix *Index) fold(b *batch, blk chain.Block) error {
	next := Tip{blk.Point, blk.Height, b.tip.seq + 1}
	if err := follows(b.tip, next); err != nil {
		return err
	}
	b.tip, b.blocks = next, append(b.blocks, next)
	spent := map[chain.OutRef]chain.UTxO{}
	for _, t := range blk.Txs {
		if err := ix.foldTx(b, t, spent); err != nil {
			return fmt.Errorf("transaction %s: %w", t.ID, err)
		}
	}
	return ix.foldEvents(b, Block{blk, spent})
}

// follows refuses a block that cannot come after the tip. Heights stand still at Byron's epoch boundaries.
func follows(tip, next Tip) error {
	if tip.Point == (chain.Point{}) {
		return nil // after the origin anything may come
	}
	if next.Slot < tip.Slot || next.Height != tip.Height && next.Height != tip.Height+1 {
		return fmt.Errorf("block %s (slot %d, height %d) after slot %d, height %d: %w", next.Hash, next.Slot, next.Height, tip.Slot, tip.Height, ErrChain)
	}
	return nil
}

// sameTip refuses to go on when somebody else has written to the database.
func (ix *Index) sameTip(ctx context.Context, tx *sql.Tx, tip Tip) error {
	stored, err := ix.storedTip(ctx, tx)
	if err != nil {
		return err
	}
	if stored != tip {
		return fmt.Errorf("the database's tip is block %s, ours %s: is another process writing to it?: %w", stored.Hash, tip.Hash, ErrChain)
	}
	return nil
}

// foldTx spends and makes outputs and notes the transaction if it touches what is watched. spent collects.
func (ix *Index) foldTx(b *batch, t chain.BlockTx, spent map[chain.OutRef]chain.UTxO) error {
	touched := false
	for _, in := range t.Inputs {
		o := b.known[in]
		if o == nil {
			continue
		}
		if o.SpentBy != nil {
			return fmt.Errorf("it spends %s, as %s did: %w", in, o.SpentBy, ErrChain)
		}
		if o.made <= b.from {
			b.spent = append(b.spent, o)
		}
		o.SpentBy, o.spent = &t.ID, b.tip.seq
		spent[in] = o.UTxO
		touched = true
	}
	for _, u := range t.Outputs {
		if !ix.watch[PaymentOf(u.Address)] {
			continue
		}
		o := &output{Spendable: Spendable{UTxO: u}, made: b.tip.seq}
		b.known[u.Ref] = o
		b.made = append(b.made, o)
		touched = true
	}
	for a := range t.Mint {
		touched = touched || ix.watch[Script(a.Policy)]
	}
	if touched {
		b.txs = append(b.txs, included{t.ID, b.tip})
	}
	return nil
}

// foldEvents asks every handler.
func (ix *Index) foldEvents(b *batch, blk Block) error {
	for _, h := range ix.handlers {
		events, err := h.Apply(blk)
		if err != nil {
			return fmt.Errorf("%w %s: %w", ErrHandler, h.name, err)
		}
		for _, e := range events {
			b.last++
			b.events = append(b.events, StoredEvent{ID: b.last, Block: blk.Point, Height: blk.Height, Handler: h.name, Event: e})
			b.seqs = append(b.seqs, b.tip.seq)
		}
	}
	return nil
}

// advance publishes a new tip to those who wait.
func (ix *Index) advance(tip Tip, source chain.Point) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.tip, ix.source = tip, source
	close(ix.changed)
	ix.changed = make(chan struct{})
}
