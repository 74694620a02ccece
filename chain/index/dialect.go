package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql driver "pgx"
	_ "modernc.org/sqlite"             // database/sql driver "sqlite"
)

// dialect is what differs between the two databases.
type dialect struct {
	driver   string
	bytes    string // type of byte strings
	numbered bool   // parameters are $1, $2, … instead of ?
	lock     string // keeps other writers out of a transaction that has begun, "" where to begin does
}

var (
	sqliteDialect   = dialect{driver: "sqlite", bytes: "BLOB"}
	postgresDialect = dialect{driver: "pgx", bytes: "BYTEA", numbered: true, lock: "LOCK TABLE blocks IN EXCLUSIVE MODE"}
)

// sql rewrites a statement written with ? parameters and type BYTES.
func (d dialect) sql(s string) string {
	s = strings.ReplaceAll(s, "BYTES", d.bytes)
	if !d.numbered {
		return s
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(s, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		s = after
	}
}

// openDB opens a DSN: postgres://… or postgresql://…, else the path of a SQLite file, which is made if missing.
func openDB(ctx context.Context, dsn string) (*sql.DB, dialect, error) {
	d, source := sqliteDialect, ""
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		d, source = postgresDialect, dsn
	} else {
		path, err := filepath.Abs(dsn)
		if err != nil || dsn == "" {
			return nil, d, fmt.Errorf("%w: path %q", ErrDatabase, dsn)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, d, fmt.Errorf("%w: %w", ErrDatabase, err)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, d, fmt.Errorf("%w: %w", ErrDatabase, err)
		}
		if err := f.Close(); err != nil {
			return nil, d, fmt.Errorf("%w: %w", ErrDatabase, err)
		}
		source = sqliteSource(path)
	}
	db, err := sql.Open(d.driver, source)
	if err == nil {
		err = db.PingContext(ctx)
	}
	if err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		return nil, d, fmt.Errorf("opening: %w", failed(err))
	}
	return db, d, nil
}

// sqliteSource is a file's DSN: a write-ahead log, so that readers never wait for a block; a killed process loses
// nothing, a power cut at most the last blocks, which are followed again.
func sqliteSource(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)"}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}
