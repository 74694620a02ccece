package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycompute/tally/chain"
)

// Block is what a handler reads: a block, and the watched outputs that it spends.
type Block struct {
	chain.Block
	Spent map[chain.OutRef]chain.UTxO
}

// Event is what a handler read out of a block, for the log. Key says what it is about (a job's lots, say), Kind what
// happened; Payload is the handler's own.
type Event struct {
	Key, Kind string
	Payload   []byte
}

// Handler reads events out of blocks. It must say the same of the same block every time: its events are stored with the
// block, deleted with it on a rollback, and read again when the index starts over.
type Handler interface {
	Apply(b Block) ([]Event, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(b Block) ([]Event, error)

// Apply calls f.
func (f HandlerFunc) Apply(b Block) ([]Event, error) { return f(b) }

type namedHandler struct {
	name string
	Handler
}

// Register adds a handler, before Run. Its name carries its version ("escrow/1"): a changed set of names starts the
// index over.
func (ix *Index) Register(name string, h Handler) {
	ix.handlers = append(ix.handlers, namedHandler{name, h})
}

func (ix *Index) handlerText() string {
	var names []string
	for _, h := range ix.handlers {
		names = append(names, h.name)
	}
	return strings.Join(names, ",")
}

// EventID numbers events in the order of the chain. Numbers of events that were rolled back are never used again.
type EventID uint64

// StoredEvent is an event in the log, with its block.
type StoredEvent struct {
	ID      EventID
	Block   chain.Point
	Height  uint64
	Handler string
	Event
}

func (ix *Index) lastEvent(ctx context.Context, q querier) (EventID, error) {
	v, err := ix.meta(ctx, q, metaEvent)
	if err != nil || v == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("last event %q: %w", v, failed(err))
	}
	return EventID(n), nil
}

// Events are the events about key, in the order of the chain.
func (ix *Index) Events(ctx context.Context, key string) ([]StoredEvent, error) {
	return ix.events(ctx, "WHERE subject = ? ORDER BY id", key)
}

// EventsSince are at most limit events after one, in the order of the chain; 0: from the start. ErrRolledBack: the
// event after which to go on is gone, so what was folded from it is void.
func (ix *Index) EventsSince(ctx context.Context, after EventID, limit int) ([]StoredEvent, error) {
	es, err := ix.events(ctx, "WHERE id > ? ORDER BY id LIMIT ?", int64(after), limit)
	if err != nil || after == 0 {
		return es, err
	}
	// Looked for after the list was read: ids are not used again, so one that is there now was there then.
	var id int64
	err = ix.db.QueryRowContext(ctx, ix.d.sql("SELECT id FROM events WHERE id = ?"), int64(after)).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("after event %d: %w", after, ErrRolledBack)
	case err != nil:
		return nil, fmt.Errorf("reading events: %w", failed(err))
	}
	return es, nil
}

func (ix *Index) events(ctx context.Context, where string, args ...any) (es []StoredEvent, err error) {
	rows, err := ix.db.QueryContext(ctx, ix.d.sql("SELECT id, slot, hash, height, handler, subject, kind, payload FROM events "+where), args...)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", failed(err))
	}
	defer rows.Close()
	for rows.Next() {
		var e StoredEvent
		var id, slot, height int64
		var hash []byte
		if err := rows.Scan(&id, &slot, &hash, &height, &e.Handler, &e.Key, &e.Kind, &e.Payload); err != nil {
			return nil, fmt.Errorf("reading events: %w", failed(err))
		}
		e.ID, e.Height = EventID(id), uint64(height)
		e.Block.Slot = chain.Slot(slot)
		copy(e.Block.Hash[:], hash)
		es = append(es, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading events: %w", failed(err))
	}
	return es, nil
}
