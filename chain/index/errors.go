package index

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Sentinel kinds of this package's errors.
var (
	// ErrDatabase is a database that cannot be opened, read or written.
	ErrDatabase = errors.New("index database")
	// ErrFull is an ErrDatabase: its disk or its own limit leaves no room. What was being written is not there, all
	// else is; Run goes on when there is room.
	ErrFull = errors.New("no room to write: make room on its disk")
	// ErrLocked is an ErrDatabase: another process kept it for too long. Run goes on when it lets go.
	ErrLocked = errors.New("locked by another process")
	// ErrForeign is a database that belongs to something else: another network, or a newer Tally.
	ErrForeign = errors.New("not this index's database")
	// ErrChain is a source that gave blocks which do not follow one another, or another process writing here.
	ErrChain = errors.New("blocks out of order")
	// ErrHandler is a handler that could not read a block: a defect, for a handler ignores what is not its own.
	ErrHandler = errors.New("block handler")
	// ErrRolledBack is a place in the event log that is no longer there: fold again from the start.
	ErrRolledBack = errors.New("events were rolled back")
)

// failed is a driver's error as ErrDatabase, and ErrFull or ErrLocked if it is that.
func failed(err error) error {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff { // the primary code
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%w: %w: %w", ErrDatabase, ErrFull, err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return fmt.Errorf("%w: %w: %w", ErrDatabase, ErrLocked, err)
		}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code { // PostgreSQL's documentation, appendix A
		case "53100": // disk_full
			return fmt.Errorf("%w: %w: %w", ErrDatabase, ErrFull, err)
		case "55P03": // lock_not_available
			return fmt.Errorf("%w: %w: %w", ErrDatabase, ErrLocked, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrDatabase, err)
}
