package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// errStartOver ends a follow after which the next must start at the base.
var errStartOver = errors.New("index started over")

// undo cuts the chain after p, in one transaction. A point that is not known, or beneath what was pruned, starts the
// index over and returns errStartOver, unless the base itself was asked for.
func (ix *Index) undo(ctx context.Context, p chain.Point) error {
	tip := ix.Tip()
	if p == tip.Point {
		return nil
	}
	to, err := ix.seqOf(ctx, p)
	if err != nil {
		return err
	}
	pruned := false
	if to == 0 {
		if pruned, err = ix.pruned(ctx); err != nil {
			return err
		}
	}
	if to < 0 || pruned {
		why := fmt.Sprintf("the chain rolled back to slot %d, which is not kept", p.Slot)
		if err := ix.reset(ctx, why); err != nil || p == ix.cfg.Base.Point {
			return err
		}
		return errStartOver
	}
	err = ix.inTx(ctx, func(tx *sql.Tx) error {
		if err := ix.sameTip(ctx, tx, tip); err != nil {
			return err
		}
		for _, statement := range []string{
			"DELETE FROM events WHERE seq > ?",
			"DELETE FROM txs WHERE seq > ?",
			"DELETE FROM utxos WHERE made > ?",
			"UPDATE utxos SET spent = NULL, spender = NULL WHERE spent > ?",
			"DELETE FROM blocks WHERE seq > ?",
		} {
			if err := ix.exec(ctx, tx, statement, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rolling back to slot %d: %w", p.Slot, err)
	}
	ix.cfg.Log.Warn("rolled back", "blocks", tip.seq-to, "to_slot", p.Slot, "from_slot", tip.Slot)
	return ix.load(ctx)
}

// seqOf is the number of the block at p, or -1.
func (ix *Index) seqOf(ctx context.Context, p chain.Point) (int64, error) {
	var seq int64
	var hash []byte
	err := ix.db.QueryRowContext(ctx, ix.d.sql("SELECT seq, hash FROM blocks WHERE slot = ? AND hash = ?"), int64(p.Slot), p.Hash[:]).Scan(&seq, &hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return -1, nil
	case err != nil:
		return -1, fmt.Errorf("looking for slot %d: %w", p.Slot, failed(err))
	case !bytes.Equal(hash, p.Hash[:]):
		return -1, fmt.Errorf("looking for slot %d: %w", p.Slot, ErrDatabase)
	}
	return seq, nil
}

// pruned says whether blocks next to the base are gone: it cannot be rolled back to. Other blocks can be as long as they
// are there.
func (ix *Index) pruned(ctx context.Context) (bool, error) {
	var lowest sql.NullInt64
	if err := ix.db.QueryRowContext(ctx, "SELECT min(seq) FROM blocks WHERE seq > 0").Scan(&lowest); err != nil {
		return false, fmt.Errorf("reading blocks: %w", failed(err))
	}
	return lowest.Int64 > 1, nil
}

// points are where to look for our chain in the source's, newest first: the tip, then ever farther back, then the base.
func (ix *Index) points(ctx context.Context) (ps []chain.Point, err error) {
	rows, err := ix.db.QueryContext(ctx, "SELECT seq, slot, hash FROM blocks ORDER BY seq DESC")
	if err != nil {
		return nil, fmt.Errorf("reading blocks: %w", failed(err))
	}
	defer rows.Close()
	tip, step := int64(-1), int64(0)
	for rows.Next() {
		var seq, slot int64
		var hash []byte
		if err := rows.Scan(&seq, &slot, &hash); err != nil {
			return nil, fmt.Errorf("reading blocks: %w", failed(err))
		}
		if tip < 0 {
			tip = seq
		}
		if seq > 0 && tip-seq < step {
			continue
		}
		p := chain.Point{Slot: chain.Slot(slot)}
		copy(p.Hash[:], hash)
		ps = append(ps, p)
		step = max(2*step, 1)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading blocks: %w", failed(err))
	}
	return ps, nil
}
