package index

import "errors"

// Sentinel kinds of this package's errors.
var (
	// ErrDatabase is a database that cannot be opened, read or written.
	ErrDatabase = errors.New("index database")
	// ErrForeign is a database that belongs to something else: another network, or a newer Tally.
	ErrForeign = errors.New("not this index's database")
	// ErrChain is a source that gave blocks which do not follow one another, or another process writing here.
	ErrChain = errors.New("blocks out of order")
	// ErrHandler is a handler that could not read a block: a defect, for a handler ignores what is not its own.
	ErrHandler = errors.New("block handler")
	// ErrRolledBack is a place in the event log that is no longer there: fold again from the start.
	ErrRolledBack = errors.New("events were rolled back")
)
