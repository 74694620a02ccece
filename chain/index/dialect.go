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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// dialect is what differs between the two databases.
type dialect struct {
	bytes     string // type of byte strings
	id        string // type of a table's own number
	numbered  bool   // parameters are $1, $2, … instead of ?
	remembers bool   // its driver prepares what it has seen before
	lock      string // keeps other writers out of a transaction that has begun, "" where to begin does
}

var (
	sqliteDialect   = dialect{bytes: "BLOB", id: "INTEGER"}
	postgresDialect = dialect{bytes: "BYTEA", id: "BIGINT", numbered: true, remembers: true, lock: "SELECT pg_advisory_xact_lock(hashtext('tally index ' || current_schema()))"}
)

// sql rewrites a statement written with ? parameters, and types BYTES and ID.
func (d dialect) sql(s string) string {
	s = strings.NewReplacer("BYTES", d.bytes, " ID ", " "+d.id+" ").Replace(s)
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
func openDB(ctx context.Context, dsn string) (db *sql.DB, d dialect, err error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		d = postgresDialect
		db, err = openPostgres(dsn)
	} else {
		d = sqliteDialect
		db, err = openSQLite(dsn)
	}
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

// openPostgres asks for what sqliteSource asks for: a transaction waits for no disk, and ten seconds for a lock. A DSN
// that says otherwise is obeyed.
func openPostgres(dsn string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	for k, v := range map[string]string{"synchronous_commit": "off", "lock_timeout": "10000"} {
		if _, said := cfg.RuntimeParams[k]; !said {
			cfg.RuntimeParams[k] = v
		}
	}
	return stdlib.OpenDB(*cfg), nil
}

func openSQLite(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil || path == "" {
		return nil, fmt.Errorf("path %q", path)
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(abs, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return sql.Open("sqlite", sqliteSource(abs))
}

// sqliteSource is a file's DSN: a write-ahead log, so that readers never wait for a block; a killed process loses
// nothing, a power cut at most the last blocks, which are followed again. Cache and log have 16 MB each: keys are hashes,
// and the trees that they go into are soon larger than SQLite's 2 MB.
func sqliteSource(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-16000)", "wal_autocheckpoint(4000)"}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}
