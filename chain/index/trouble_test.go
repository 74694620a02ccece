package index

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallycompute/tally/chain"
)

// A database that may not grow says so, keeps what it has, and goes on when it may.
func TestFull(t *testing.T) {
	path, blocks := filepath.Join(t.TempDir(), "index.db"), long()[:300]
	db, err := sql.Open("sqlite", sqliteSource(path)+"&_pragma=max_page_count(40)")
	if err != nil {
		t.Fatal(err)
	}
	ix, err := open(t.Context(), db, sqliteDialect, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	ix.Register("observe/1", observe)
	n := 0
	for ; err == nil && n < len(blocks); n++ {
		err = ix.apply(t.Context(), blocks[n:n+1], blocks[n].Point)
	}
	n--
	if !errors.Is(err, ErrFull) || !errors.Is(err, ErrDatabase) || n == 0 || ix.Tip().Point != blocks[n-1].Point {
		t.Fatalf("block %d: %v, tip %v", n, err, ix.Tip())
	}
	if got, want := dump(t, ix), fresh(t, testConfig(), blocks[:n]); got != want {
		t.Errorf("a full database:\n%s\na fresh index:\n%s", got, want)
	}
	if err := ix.undo(t.Context(), blocks[n-3].Point); err != nil {
		t.Errorf("a rollback in a full database: %v", err)
	}
	ix.Close()
	ix = openTest(t, path, testConfig())
	feed(t, ix, blocks[n-2:]...)
	if dump(t, ix) != fresh(t, testConfig(), blocks) {
		t.Error("with room again, the index is not a fresh one")
	}
}

func TestPostgresFull(t *testing.T) {
	if err := failed(&pgconn.PgError{Code: "53100"}); !errors.Is(err, ErrFull) || !errors.Is(err, ErrDatabase) {
		t.Error(err)
	}
}

// occupy keeps writers out of a database until release is called.
func occupy(t *testing.T, dsn string) (release func()) {
	t.Helper()
	db, d, err := openDB(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err == nil && d.lock != "" {
		_, err = tx.ExecContext(t.Context(), d.lock)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// openHasty opens an index that does not wait for locks.
func openHasty(t *testing.T, dsn string, cfg Config) *Index {
	t.Helper()
	d, db, err := sqliteDialect, (*sql.DB)(nil), error(nil)
	if strings.HasPrefix(dsn, "postgres") {
		d = postgresDialect
		u, err2 := url.Parse(dsn)
		if err2 != nil {
			t.Fatal(err2)
		}
		q := u.Query()
		q.Set("lock_timeout", "1")
		u.RawQuery = q.Encode()
		db, err = openPostgres(u.String())
	} else {
		db, err = sql.Open("sqlite", strings.Replace(sqliteSource(dsn), "10000", "1", 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	ix, err := open(t.Context(), db, d, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ix.Register("observe/1", observe)
	t.Cleanup(func() { ix.Close() })
	return ix
}

func TestLocked(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, dsn := story(0), db.New(t)
		ix := openHasty(t, dsn, testConfig())
		feed(t, ix, main[:2]...)
		release := occupy(t, dsn)
		for name, do := range map[string]func() error{
			"a block":    func() error { return ix.apply(t.Context(), main[2:4], main[3].Point) },
			"a rollback": func() error { return ix.undo(t.Context(), main[0].Point) },
		} {
			if err := do(); !errors.Is(err, ErrLocked) || !errors.Is(err, ErrDatabase) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := ix.UTxOsOf(t.Context(), alice); err != nil || ix.Tip().Point != main[1].Point {
			t.Errorf("reading: %v, tip %v", err, ix.Tip())
		}
		release()
		feed(t, ix, main[2:]...)
		if dump(t, ix) != fresh(t, testConfig(), main) {
			t.Error("after the lock, the index is not a fresh one")
		}
	})
}

// heard calls a function at each record of a log.
type heard func(r slog.Record)

func (heard) Enabled(context.Context, slog.Level) bool        { return true }
func (h heard) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h heard) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h heard) WithGroup(string) slog.Handler                 { return h }

// Run says that the database is locked, and goes on when it no longer is.
func TestRunOnLocked(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, dsn := story(0), db.New(t)
		cfg, release := testConfig(), func() {}
		said := ""
		cfg.Log = slog.New(heard(func(r slog.Record) {
			r.Attrs(func(a slog.Attr) bool {
				if err, is := a.Value.Any().(error); is && errors.Is(err, ErrLocked) && said == "" {
					said = r.Message
					release()
				}
				return true
			})
		}))
		ix := openHasty(t, dsn, cfg)
		runAll(t, ix, &scripted{lives: [][][]chain.Block{{main[:1]}}})
		release = occupy(t, dsn)
		runAll(t, ix, &scripted{lives: [][][]chain.Block{{main}, {main}}})
		if !strings.Contains(said, "database") || dump(t, ix) != fresh(t, testConfig(), main) {
			t.Errorf("it said %q and ended at %v", said, ix.Tip())
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dsn := range map[string]string{
		"no path": "", "a directory": t.TempDir(), "garbage": garbage, "no server": "postgres://localhost:1/x", "no DSN": "postgres://%zz",
	} {
		if _, err := Open(t.Context(), dsn, testConfig()); !errors.Is(err, ErrDatabase) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
