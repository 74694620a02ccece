package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// apply adds a block to the chain: its row, what it made and spent of what is watched, its transactions that touch
// that, its events; and forgets what lies deeper than K. All of it or nothing.
func (ix *Index) apply(ctx context.Context, b chain.Block, source chain.Point) error {
	tip := ix.Tip()
	next := Tip{b.Point, b.Height, tip.seq + 1}
	if err := follows(tip, next); err != nil {
		return err
	}
	err := ix.inTx(ctx, func(tx *sql.Tx) error {
		if err := ix.sameTip(ctx, tx, tip); err != nil {
			return err
		}
		err := ix.exec(ctx, tx, "INSERT INTO blocks (seq, slot, hash, height) VALUES (?, ?, ?, ?)", next.seq, int64(b.Slot), b.Hash[:], int64(b.Height))
		if err != nil {
			return err
		}
		spent := map[chain.OutRef]chain.UTxO{}
		for _, t := range b.Txs {
			if err := ix.applyTx(ctx, tx, next, t, spent); err != nil {
				return fmt.Errorf("transaction %s: %w", t.ID, err)
			}
		}
		if err := ix.appendEvents(ctx, tx, next.seq, Block{b, spent}); err != nil {
			return err
		}
		return ix.prune(ctx, tx, next.seq)
	})
	if err != nil {
		return fmt.Errorf("block %s at slot %d: %w", b.Hash, b.Slot, err)
	}
	ix.advance(next, source)
	return nil
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

// applyTx spends and makes outputs and notes the transaction if it touches what is watched. spent collects.
func (ix *Index) applyTx(ctx context.Context, tx *sql.Tx, at Tip, t chain.BlockTx, spent map[chain.OutRef]chain.UTxO) error {
	touched := false
	for _, in := range t.Inputs {
		s, ok, err := ix.utxo(ctx, tx, in)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if s.SpentBy != nil {
			return fmt.Errorf("it spends %s, as %s did: %w", in, s.SpentBy, ErrChain)
		}
		if err := ix.exec(ctx, tx, "UPDATE utxos SET spent = ?, spender = ? WHERE tx = ? AND ix = ?", at.seq, t.ID[:], in.Tx[:], int64(in.Index)); err != nil {
			return err
		}
		spent[in] = s.UTxO
		touched = true
	}
	for _, u := range t.Outputs {
		if !ix.watch[PaymentOf(u.Address)] {
			continue
		}
		if err := ix.insertUTxO(ctx, tx, at.seq, u); err != nil {
			return err
		}
		touched = true
	}
	for a := range t.Mint {
		touched = touched || ix.watch[Script(a.Policy)]
	}
	if !touched {
		return nil
	}
	return ix.exec(ctx, tx, "INSERT INTO txs (tx, seq, slot, hash, height) VALUES (?, ?, ?, ?, ?)",
		t.ID[:], at.seq, int64(at.Slot), at.Hash[:], int64(at.Height))
}

// prune forgets the spent outputs and the blocks that no rollback of K blocks can need. The base's block stays.
func (ix *Index) prune(ctx context.Context, tx *sql.Tx, seq int64) error {
	deep := seq - int64(ix.cfg.K)
	if deep <= 0 {
		return nil
	}
	return errors.Join(
		ix.exec(ctx, tx, "DELETE FROM utxos WHERE spent <= ?", deep),
		ix.exec(ctx, tx, "DELETE FROM blocks WHERE seq < ? AND seq > 0", deep),
	)
}

// advance publishes a new tip to those who wait.
func (ix *Index) advance(tip Tip, source chain.Point) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.tip, ix.source = tip, source
	close(ix.changed)
	ix.changed = make(chan struct{})
}
