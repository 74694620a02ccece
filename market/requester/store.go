package requester

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// store keeps one record a job. Every method is one database transaction.
type store struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS job (
	id TEXT PRIMARY KEY, job TEXT UNIQUE, version INTEGER NOT NULL, phase TEXT NOT NULL, done INTEGER NOT NULL,
	state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS wish (id TEXT NOT NULL, provider TEXT NOT NULL, wish TEXT NOT NULL, PRIMARY KEY (id, provider))`

func openStore(ctx context.Context, db *sql.DB) (*store, error) {
	_, err := db.ExecContext(ctx, schema)
	return &store{db}, wrap("schema", err)
}

// save writes a record. It fails if another process has written it since it was loaded.
func (s *store) save(ctx context.Context, r *record) error {
	state, err := json.Marshal(r)
	if err != nil {
		return wrap("encode", err)
	}
	var name any
	if id := r.job(); id != nil {
		name = id.String()
	}
	q := `UPDATE job SET job = ?, version = ?, phase = ?, done = ?, state = ? WHERE id = ? AND version = ?`
	if r.version == 0 {
		q = `INSERT INTO job (job, version, phase, done, state, id) SELECT ?,?,?,?,?,? WHERE ? = 0`
	}
	res, err := s.db.ExecContext(ctx, q, name, r.version+1, string(r.Phase), r.Done, state, r.ID, r.version)
	if err != nil {
		return wrap("save", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return wrap("save", errors.Join(fmt.Errorf("another process is at work on job %s", r.ID), err))
	}
	r.version++
	return nil
}

// load finds a job by its local name or by its name on chain.
func (s *store) load(ctx context.Context, id string) (*record, error) {
	r, err := scan(s.db.QueryRowContext(ctx, `SELECT version, state FROM job WHERE id = ? OR job = ?`, id, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return r, wrap("load", err)
}

// all lists every job, the oldest first.
func (s *store) all(ctx context.Context) (found []*record, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT version, state FROM job ORDER BY rowid`)
	if err != nil {
		return nil, wrap("list", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, wrap("list", err)
		}
		found = append(found, r)
	}
	return found, wrap("list", rows.Err())
}

// setWish records what the owner wants done with a provider's lot. Any process may; whoever is at work on the job does it.
func (s *store) setWish(ctx context.Context, id string, provider peer.ID, w Wish) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO wish VALUES (?,?,?) ON CONFLICT (id, provider) DO UPDATE SET wish = excluded.wish`,
		id, provider.String(), string(w))
	return wrap("wish", err)
}

// wish is what the owner wants done with a provider's lot; "": it has not said.
func (s *store) wish(ctx context.Context, id string, provider peer.ID) (w Wish, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT wish FROM wish WHERE id = ? AND provider = ?`, id, provider.String()).Scan(&w)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return w, wrap("wish", err)
}

func scan(row interface{ Scan(...any) error }) (*record, error) {
	var version int64
	var state []byte
	if err := row.Scan(&version, &state); err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(state, &r); err != nil {
		return nil, err
	}
	for _, l := range r.Lots {
		if l.Offer.Peer == "" {
			return nil, errors.New("a lot of no provider")
		}
	}
	r.version = version
	return &r, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrStore, what, err)
}
