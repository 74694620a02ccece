package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycompute/tally/chain"
)

// bulk is a statement over many rows of cells: before, the rows, after.
type bulk struct{ before, row, after string }

// Rows that a statement has: few shapes, so that all are prepared soon.
var bulkRows = []int{256, 32, 4, 1}

var (
	insertBlocks = bulk{"INSERT INTO blocks (seq, slot, hash, height) VALUES ", "(?, ?, ?, ?)", ""}
	insertUTxOs  = bulk{
		"INSERT INTO utxos (tx, ix, made, spent, spender, address, credential, value, datum, script) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "",
	}
	insertTxs    = bulk{"INSERT INTO txs (tx, seq, slot, hash, height) VALUES ", "(?, ?, ?, ?, ?)", ""}
	insertEvents = bulk{
		"INSERT INTO events (id, seq, slot, hash, height, handler, subject, kind, payload) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, ?)", "",
	}
	// PostgreSQL takes parameters in a list of values for text unless told.
	spendUTxOs = bulk{
		"UPDATE utxos SET spent = v.column3, spender = v.column4 FROM (VALUES ",
		"(CAST(? AS BYTES), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BYTES))",
		") AS v WHERE tx = v.column1 AND ix = v.column2",
	}
	selectUTxOs = bulk{
		"SELECT " + utxoColumns + ", made FROM utxos WHERE (tx, ix) IN (VALUES ",
		"(CAST(? AS BYTES), CAST(? AS BIGINT))", ")",
	}
)

// each calls f with the statements that together have all rows, and their arguments.
func (k bulk) each(rows [][]any, f func(query string, args []any) error) error {
	for len(rows) > 0 {
		n := 0
		for _, n = range bulkRows {
			if n <= len(rows) {
				break
			}
		}
		var args []any
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if err := f(k.before+strings.Repeat(k.row+", ", n-1)+k.row+k.after, args); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (ix *Index) execAll(ctx context.Context, tx *sql.Tx, k bulk, rows [][]any) error {
	return k.each(rows, func(query string, args []any) error { return ix.exec(ctx, tx, query, args...) })
}

// write puts a batch into the tables.
func (ix *Index) write(ctx context.Context, tx *sql.Tx, b *batch) error {
	var blocks, made, spent, txs, events [][]any
	for _, t := range b.blocks {
		blocks = append(blocks, []any{t.seq, int64(t.Slot), t.Hash[:], int64(t.Height)})
	}
	for _, o := range b.made {
		row, err := o.row()
		if err != nil {
			return err
		}
		made = append(made, row)
	}
	for _, o := range b.spent {
		spent = append(spent, []any{o.Ref.Tx[:], int64(o.Ref.Index), o.spent, o.SpentBy[:]})
	}
	for _, t := range b.txs {
		txs = append(txs, []any{t.id[:], t.at.seq, int64(t.at.Slot), t.at.Hash[:], int64(t.at.Height)})
	}
	for i, e := range b.events {
		events = append(events, []any{
			int64(e.ID), b.seqs[i], int64(e.Block.Slot), e.Block.Hash[:], int64(e.Height),
			e.Handler, e.Key, e.Kind, append([]byte{}, e.Payload...),
		})
	}
	for _, w := range []struct {
		bulk
		rows [][]any
	}{{insertBlocks, blocks}, {insertUTxOs, made}, {spendUTxOs, spent}, {insertTxs, txs}, {insertEvents, events}} {
		if err := ix.execAll(ctx, tx, w.bulk, w.rows); err != nil {
			return err
		}
	}
	if len(events) > 0 {
		if err := ix.setMeta(ctx, tx, metaEvent, strconv.FormatUint(uint64(b.last), 10)); err != nil {
			return err
		}
	}
	return ix.prune(ctx, tx, b.tip.seq)
}

// row are the cells of insertUTxOs.
func (o *output) row() ([]any, error) {
	value, err := json.Marshal(o.Value)
	if err != nil {
		return nil, fmt.Errorf("value of %s: %w", o.Ref, err)
	}
	var spent, spender any
	if o.SpentBy != nil {
		spent, spender = o.spent, o.SpentBy[:]
	}
	return []any{
		o.Ref.Tx[:], int64(o.Ref.Index), o.made, spent, spender,
		o.Address.Bytes(), PaymentOf(o.Address).bytes(), string(value), nullable(o.Datum), nullable(o.Script),
	}, nil
}

// nullable keeps none apart from empty.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// outputs are those of refs that the database has.
func (ix *Index) outputs(ctx context.Context, tx *sql.Tx, refs []chain.OutRef) (map[chain.OutRef]*output, error) {
	known := map[chain.OutRef]*output{}
	var rows [][]any
	for _, r := range refs {
		rows = append(rows, []any{r.Tx[:], int64(r.Index)})
	}
	err := selectUTxOs.each(rows, func(query string, args []any) error {
		found, err := onStatement(ctx, ix, tx, query,
			func(s *sql.Stmt) (*sql.Rows, error) { return s.QueryContext(ctx, args...) },
			func(query string) (*sql.Rows, error) { return tx.QueryContext(ctx, query, args...) })
		if err != nil {
			return fmt.Errorf("reading outputs: %w", failed(err))
		}
		defer found.Close()
		for found.Next() {
			o := new(output)
			if o.Spendable, err = scanUTxO(found.Scan, &o.made); err != nil {
				return fmt.Errorf("reading outputs: %w", failed(err))
			}
			known[o.Ref] = o
		}
		if err := found.Err(); err != nil {
			return fmt.Errorf("reading outputs: %w", failed(err))
		}
		return nil
	})
	return known, err
}

// prune forgets the spent outputs and the blocks that no rollback of K blocks can need. The base's block stays.
func (ix *Index) prune(ctx context.Context, tx *sql.Tx, seq int64) error {
	deep := seq - int64(ix.cfg.K)
	if deep <= 0 {
		return nil
	}
	if err := ix.exec(ctx, tx, "DELETE FROM utxos WHERE spent <= ?", deep); err != nil {
		return err
	}
	return ix.exec(ctx, tx, "DELETE FROM blocks WHERE seq < ? AND seq > 0", deep)
}
