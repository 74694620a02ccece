package attester

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
)

// Verdict is what an attester made of a lot's result, once and for all.
type Verdict struct {
	Lot       escrow.Key `json:"lot"`
	Root      [32]byte   `json:"-"` // of the result, as it was committed
	AwardUNTX uint64     `json:"award_untx"`
	SlashUNTX uint64     `json:"slash_untx"`
	Sentence  string     `json:"sentence"` // why
	At        chain.Time `json:"at"`
}

// store keeps the log of verdicts.
type store struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS verdict (
	lot TEXT NOT NULL, root BLOB NOT NULL, award INTEGER NOT NULL, slash INTEGER NOT NULL, sentence TEXT NOT NULL,
	at INTEGER NOT NULL, PRIMARY KEY (lot, root));
CREATE TABLE IF NOT EXISTS held (
	lot TEXT NOT NULL, root BLOB NOT NULL, party TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (lot, root))`

func openStore(ctx context.Context, db *sql.DB) (*store, error) {
	_, err := db.ExecContext(ctx, schema)
	return &store{db}, wrap("schema", err)
}

// add records a verdict before it is signed. Of two about one result the first stays.
func (s *store) add(ctx context.Context, v Verdict) error {
	_, err := s.db.ExecContext(ctx, `INSERT OR IGNORE INTO verdict VALUES (?,?,?,?,?,?)`,
		v.Lot.String(), v.Root[:], int64(v.AwardUNTX), int64(v.SlashUNTX), v.Sentence, int64(v.At))
	return wrap("add", err)
}

// find is the verdict about a result; ok is false if there is none yet.
func (s *store) find(ctx context.Context, k escrow.Key, root [32]byte) (v Verdict, ok bool, err error) {
	v, err = scan(s.db.QueryRowContext(ctx, `SELECT lot, root, award, slash, sentence, at FROM verdict WHERE lot = ? AND root = ?`, k.String(), root[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return v, false, nil
	}
	return v, err == nil, wrap("find", err)
}

// Verdicts are all that an attester's database holds, the oldest first.
func Verdicts(ctx context.Context, db *sql.DB) (all []Verdict, err error) {
	s, err := openStore(ctx, db)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT lot, root, award, slash, sentence, at FROM verdict ORDER BY rowid`)
	if err != nil {
		return nil, wrap("list", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, wrap("list", err)
		}
		all = append(all, v)
	}
	return all, wrap("list", rows.Err())
}

func scan(row interface{ Scan(...any) error }) (v Verdict, err error) {
	var lot string
	var root []byte
	var award, slash, at int64
	if err = row.Scan(&lot, &root, &award, &slash, &v.Sentence, &at); err != nil {
		return v, err
	}
	copy(v.Root[:], root)
	v.AwardUNTX, v.SlashUNTX, v.At = uint64(award), uint64(slash), chain.Time(at)
	v.Lot, err = escrow.ParseKey(lot)
	return v, err
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrStore, what, err)
}
