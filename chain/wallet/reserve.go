package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite" // and database/sql's driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tallycompute/tally/chain"
)

// Reservation is an output kept for a purpose until a time.
type Reservation struct {
	Ref     chain.OutRef
	Purpose string
	Until   chain.Time
}

// Reservations remembers in a SQLite file which outputs are spoken for, so that a crash does not forget it and
// neither two goroutines nor two processes reserve the same one; and which payments were signed. It is safe for
// concurrent use.
type Reservations struct{ db *sql.DB }

// patience is how long a store waits for another process that writes to it.
const patience = 10 * time.Second

// OpenReservations opens or makes the file.
func OpenReservations(ctx context.Context, path string) (*Reservations, error) {
	return openReservations(ctx, path, patience)
}

func openReservations(ctx context.Context, path string, patience time.Duration) (*Reservations, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	// Transactions take the write lock at once, wait for each other, and are on the disk when they return.
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: url.Values{
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if err := makeTables(ctx, db, patience); err != nil {
		return nil, errors.Join(fmt.Errorf("open reservations %s: %w: %w", path, ErrStore, err), db.Close())
	}
	return &Reservations{db}, nil
}

// makeTables makes what is not there yet. SQLite lets nobody wait for a process that makes the file, so this tries again.
func makeTables(ctx context.Context, db *sql.DB, patience time.Duration) error {
	for begun := time.Now(); ; {
		_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS reservations
			(ref TEXT PRIMARY KEY, purpose TEXT NOT NULL, until INTEGER NOT NULL) STRICT;`+paymentsTable)
		var lite *sqlite.Error
		if !errors.As(err, &lite) || lite.Code()&0xff != sqlite3.SQLITE_BUSY || time.Since(begun) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close closes the file.
func (r *Reservations) Close() error { return r.db.Close() }

// Reserve keeps all of refs for a purpose until a time, or none of them. Reserving again for the same purpose moves
// the time. ErrReserved: one is reserved for another purpose.
func (r *Reservations) Reserve(ctx context.Context, refs []chain.OutRef, purpose string, until chain.Time) error {
	return r.reserve(ctx, refs, nil, purpose, until)
}

// What reserve does with an output that is reserved already.
const (
	insertAgain = `INSERT INTO reservations (ref, purpose, until) VALUES (?, ?, ?)
		ON CONFLICT (ref) DO UPDATE SET until = excluded.until WHERE purpose = excluded.purpose`
	insertFresh = `INSERT INTO reservations (ref, purpose, until) VALUES (?, ?, ?) ON CONFLICT (ref) DO NOTHING`
)

// reserve is Reserve; of fresh ones none may be reserved, not even for the same purpose.
func (r *Reservations) reserve(ctx context.Context, refs []chain.OutRef, fresh map[chain.OutRef]bool, purpose string, until chain.Time) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("reserve: %w: %w", ErrStore, err)
	}
	for _, ref := range refs {
		query := insertAgain
		if fresh[ref] {
			query = insertFresh
		}
		if err := reserveOne(ctx, tx, query, ref, purpose, until); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return commit("reserve", tx)
}

func commit(what string, tx *sql.Tx) error {
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrStore, err)
	}
	return nil
}

func reserveOne(ctx context.Context, tx *sql.Tx, query string, ref chain.OutRef, purpose string, until chain.Time) error {
	res, err := tx.ExecContext(ctx, query, ref.String(), purpose, int64(until))
	if err != nil {
		return fmt.Errorf("reserve %s: %w: %w", ref, ErrStore, err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return fmt.Errorf("reserve %s: %w: %w", ref, ErrStore, err)
	} else if n == 0 {
		return fmt.Errorf("reserve %s for %s: %w", ref, purpose, ErrReserved)
	}
	return nil
}

// Release gives back everything reserved for a purpose.
func (r *Reservations) Release(ctx context.Context, purpose string) error {
	return r.exec(ctx, "release "+purpose, `DELETE FROM reservations WHERE purpose = ?`, purpose)
}

// Spent forgets outputs that were spent in a block too deep to be undone; before that a rollback would bring them
// back.
func (r *Reservations) Spent(ctx context.Context, refs []chain.OutRef) error {
	for _, ref := range refs {
		if err := r.exec(ctx, "forget "+ref.String(), `DELETE FROM reservations WHERE ref = ?`, ref.String()); err != nil {
			return err
		}
	}
	return nil
}

// Expire gives back what was reserved until more than depth (milliseconds) before now: time enough for a block with
// a transaction that was still valid then to be seen, and too deep to be undone. Payments that ended are forgotten then.
func (r *Reservations) Expire(ctx context.Context, now, depth chain.Time) error {
	if err := r.exec(ctx, "forget payments", `DELETE FROM payments WHERE ended AND until < ?`, int64(now-depth)); err != nil {
		return err
	}
	return r.exec(ctx, "expire", `DELETE FROM reservations WHERE until < ?`, int64(now-depth))
}

func (r *Reservations) exec(ctx context.Context, what, query string, args ...any) error {
	if _, err := r.db.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrStore, err)
	}
	return nil
}

// All lists the reservations, by reference.
func (r *Reservations) All(ctx context.Context) (_ []Reservation, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT ref, purpose, until FROM reservations ORDER BY ref`)
	if err != nil {
		return nil, fmt.Errorf("list reservations: %w: %w", ErrStore, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []Reservation
	for rows.Next() {
		var x Reservation
		var ref string
		if err := rows.Scan(&ref, &x.Purpose, &x.Until); err != nil {
			return nil, fmt.Errorf("list reservations: %w: %w", ErrStore, err)
		}
		if err := x.Ref.UnmarshalText([]byte(ref)); err != nil {
			return nil, fmt.Errorf("list reservations: %w: %w", ErrStore, err)
		}
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list reservations: %w: %w", ErrStore, err)
	}
	return out, nil
}
