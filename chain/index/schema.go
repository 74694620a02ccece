package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycompute/tally/chain"
)

// Version history of the tables, which are made anew from the chain when it changes. 1: first. 2: only spent outputs are
// found by the block that spent them; SQLite's row numbers are keys.
const schemaVersion = 2

// Blocks are numbered by seq, the base being 0: slots and heights repeat at Byron's epoch boundaries.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS blocks (seq ID PRIMARY KEY, slot BIGINT NOT NULL, hash BYTES NOT NULL, height BIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS utxos (
		tx BYTES NOT NULL, ix BIGINT NOT NULL,
		made BIGINT NOT NULL,          -- seq of the block that made it
		spent BIGINT, spender BYTES,   -- seq of the block that spent it, and the transaction
		address BYTES NOT NULL, credential BYTES NOT NULL, value TEXT NOT NULL, datum BYTES, script BYTES,
		PRIMARY KEY (tx, ix))`,
	`CREATE INDEX IF NOT EXISTS utxos_credential ON utxos (credential)`,
	`CREATE INDEX IF NOT EXISTS utxos_made ON utxos (made)`,
	`CREATE INDEX IF NOT EXISTS utxos_spent ON utxos (spent) WHERE spent IS NOT NULL`,
	`CREATE TABLE IF NOT EXISTS txs (tx BYTES PRIMARY KEY, seq BIGINT NOT NULL, slot BIGINT NOT NULL, hash BYTES NOT NULL, height BIGINT NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS txs_seq ON txs (seq)`,
	`CREATE TABLE IF NOT EXISTS events (
		id ID PRIMARY KEY, seq BIGINT NOT NULL, slot BIGINT NOT NULL, hash BYTES NOT NULL, height BIGINT NOT NULL,
		handler TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, payload BYTES NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS events_subject ON events (subject, id)`,
	`CREATE INDEX IF NOT EXISTS events_seq ON events (seq)`,
}

// Keys of table meta.
const (
	metaSchema   = "schema"
	metaNetwork  = "network"
	metaWatch    = "watch"
	metaHandlers = "handlers"
	metaBase     = "base"
	metaEvent    = "last_event" // id of the last event ever written: ids are never used again
)

// chained are the tables that follow the chain.
var chained = []string{"blocks", "utxos", "txs", "events"}

// prepare checks whose database it is and makes the tables. stale says why what it holds must be indexed again.
func (ix *Index) prepare(ctx context.Context) (stale string, err error) {
	if err := ix.define(ctx, "CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v TEXT NOT NULL)"); err != nil {
		return "", err
	}
	schema, err := ix.meta(ctx, ix.db, metaSchema)
	if err != nil {
		return "", err
	}
	network, err := ix.meta(ctx, ix.db, metaNetwork)
	if err != nil {
		return "", err
	}
	version, err := strconv.Atoi(cmp.Or(schema, "0"))
	switch {
	case err != nil || version > schemaVersion:
		return "", fmt.Errorf("%w: its tables are of version %q, this is %d", ErrForeign, schema, schemaVersion)
	case version > 0 && network != networkText(ix.cfg.Network):
		return "", fmt.Errorf("%w: it is of network %s, wanted %s", ErrForeign, network, networkText(ix.cfg.Network))
	case version < schemaVersion:
		for _, t := range chained {
			if err := ix.define(ctx, "DROP TABLE IF EXISTS "+t); err != nil {
				return "", err
			}
		}
		stale = fmt.Sprintf("its tables are of version %d, now %d", version, schemaVersion)
	}
	if err := ix.define(ctx, tables...); err != nil || stale != "" {
		return stale, err
	}
	base, err := ix.meta(ctx, ix.db, metaBase)
	if err != nil {
		return "", err
	}
	watch, err := ix.meta(ctx, ix.db, metaWatch)
	if err != nil {
		return "", err
	}
	switch {
	case base != ix.cfg.Base.text():
		return "it starts from another point", nil
	case watch != watchText(ix.cfg.Watch):
		return "another set of keys and scripts is watched", nil
	}
	return "", nil
}

// define makes or drops tables.
func (ix *Index) define(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := ix.db.ExecContext(ctx, ix.d.sql(s)); err != nil {
			return fmt.Errorf("making tables: %w", failed(err))
		}
	}
	return nil
}

// reset empties the tables and starts over from the base.
func (ix *Index) reset(ctx context.Context, why string) error {
	err := ix.inTx(ctx, func(tx *sql.Tx) error {
		for _, t := range chained {
			if err := ix.exec(ctx, tx, "DELETE FROM "+t); err != nil {
				return err
			}
		}
		b := ix.cfg.Base
		if err := ix.exec(ctx, tx, "INSERT INTO blocks (seq, slot, hash, height) VALUES (0, ?, ?, ?)", int64(b.Slot), b.Hash[:], int64(b.Height)); err != nil {
			return err
		}
		var rows [][]any
		for _, u := range b.UTxOs {
			row, err := (&output{Spendable: Spendable{UTxO: u}}).row()
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		if err := ix.execAll(ctx, tx, insertUTxOs, rows); err != nil {
			return err
		}
		for k, v := range map[string]string{
			metaSchema: strconv.Itoa(schemaVersion), metaNetwork: networkText(ix.cfg.Network), metaWatch: watchText(ix.cfg.Watch),
			metaHandlers: ix.handlerText(), metaBase: b.text(),
		} {
			if err := ix.setMeta(ctx, tx, k, v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("starting the index over: %w", err)
	}
	ix.cfg.Log.Info("indexing from the start", "because", why, "slot", ix.cfg.Base.Slot)
	return ix.load(ctx)
}

// querier is a database or a transaction on it.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (ix *Index) meta(ctx context.Context, q querier, key string) (v string, err error) {
	err = q.QueryRowContext(ctx, ix.d.sql("SELECT v FROM meta WHERE k = ?"), key).Scan(&v)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("reading %s: %w", key, failed(err))
	}
	return v, nil
}

func (ix *Index) setMeta(ctx context.Context, tx *sql.Tx, key, v string) error {
	return ix.exec(ctx, tx, "INSERT INTO meta (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v", key, v)
}

func (ix *Index) exec(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	_, err := onStatement(ctx, ix, tx, query,
		func(s *sql.Stmt) (sql.Result, error) { return s.ExecContext(ctx, args...) },
		func(query string) (sql.Result, error) { return tx.ExecContext(ctx, query, args...) })
	if err != nil {
		verb, _, _ := strings.Cut(query, " (")
		return fmt.Errorf("%s: %w", verb, failed(err))
	}
	return nil
}

// inTx runs f in a transaction that is committed if f succeeds.
func (ix *Index) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := ix.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", failed(err))
	}
	if ix.d.lock != "" {
		err = ix.exec(ctx, tx, ix.d.lock)
	}
	if err == nil {
		err = f(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", failed(err))
	}
	return nil
}

func networkText(n chain.Network) string {
	return strconv.FormatUint(uint64(n.Magic), 10) + "/" + strconv.Itoa(int(n.ID))
}
