package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/tallycompute/tally/chain"
)

// DefaultK is mainnet's security parameter: how many blocks a rollback can undo (Shelley genesis, securityParam).
const DefaultK = 2160

// Config says what to index. The same Config finds the same database again; a changed Base or Watch starts over.
type Config struct {
	Network chain.Network
	// K is how many blocks can be undone; 0: DefaultK. What was spent deeper than that is forgotten.
	K int
	// Base is where the index starts; the zero Base is the origin of a chain without genesis outputs.
	Base Base
	// Watch is whose outputs are kept.
	Watch []Credential
	// Log hears of rollbacks, lost sources and restarts of the index; nil: nothing is logged.
	Log *slog.Logger
}

// Base is a point with the unspent outputs there: outputs of the genesis (which no block makes), or a snapshot of a
// ledger too deep to be rolled back.
type Base struct {
	chain.Point
	Height uint64
	UTxOs  []chain.UTxO
}

func (b Base) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d %s %d", b.Slot, b.Hash, b.Height)
	for _, u := range b.UTxOs {
		fmt.Fprintf(&s, " %s", u.Ref)
	}
	return s.String()
}

// Tip is the last block of an index.
type Tip struct {
	chain.Point
	Height uint64
	seq    int64
}

// Confirmations of what was included at height: 1 in the tip itself, 0 if it is above the tip.
func (t Tip) Confirmations(height uint64) uint64 {
	if height > t.Height {
		return 0
	}
	return t.Height - height + 1
}

// Index is a followed chain in a database. Reading is safe from many goroutines while Run writes.
type Index struct {
	cfg      Config
	db       *sql.DB
	d        dialect
	watch    map[Credential]bool
	handlers []namedHandler

	parsing    sync.Mutex
	statements map[string]*sql.Stmt

	mu      sync.Mutex
	tip     Tip
	source  chain.Point   // the source's own tip, last it said
	changed chan struct{} // closed at the next change
}

// Open opens the database at dsn (see Config): postgres://… or the path of a SQLite file. Errors: ErrDatabase,
// ErrForeign.
func Open(ctx context.Context, dsn string, cfg Config) (*Index, error) {
	db, d, err := openDB(ctx, dsn)
	if err != nil {
		return nil, err
	}
	ix, err := open(ctx, db, d, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return ix, nil
}

func open(ctx context.Context, db *sql.DB, d dialect, cfg Config) (*Index, error) {
	cfg.K = cmp.Or(cfg.K, DefaultK)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ix := &Index{cfg: cfg, db: db, d: d, watch: map[Credential]bool{}, statements: map[string]*sql.Stmt{}, changed: make(chan struct{})}
	for _, c := range cfg.Watch {
		ix.watch[c] = true
	}
	stale, err := ix.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if stale != "" {
		return ix, ix.reset(ctx, stale)
	}
	return ix, ix.load(ctx)
}

// Close closes the database. Run must have returned.
func (ix *Index) Close() error { return ix.db.Close() }

// load reads the tip from the database and tells whoever waits.
func (ix *Index) load(ctx context.Context) error {
	t, err := ix.storedTip(ctx, ix.db)
	if err != nil {
		return err
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.tip = t
	close(ix.changed)
	ix.changed = make(chan struct{})
	return nil
}

func (ix *Index) storedTip(ctx context.Context, q querier) (t Tip, err error) {
	var slot, height int64
	var hash []byte
	err = q.QueryRowContext(ctx, "SELECT seq, slot, hash, height FROM blocks ORDER BY seq DESC LIMIT 1").Scan(&t.seq, &slot, &hash, &height)
	if err != nil {
		return t, fmt.Errorf("reading the tip: %w", failed(err))
	}
	t.Slot, t.Height = chain.Slot(slot), uint64(height)
	copy(t.Hash[:], hash)
	return t, nil
}

// Tip is the last indexed block; the base before the first.
func (ix *Index) Tip() Tip {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return ix.tip
}

// SourceTip is the tip that the source had when it gave the last block; the zero Point before that. The index is up to
// date when its tip is the same.
func (ix *Index) SourceTip() chain.Point {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return ix.source
}

// Changed is closed at the next block applied or undone. Take it first, look then, wait last.
func (ix *Index) Changed() <-chan struct{} {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return ix.changed
}

// WaitSlot returns when the tip is at slot s or later.
func (ix *Index) WaitSlot(ctx context.Context, s chain.Slot) error {
	return ix.wait(ctx, func() (bool, error) { return ix.Tip().Slot >= s && ix.Tip().seq > 0, nil })
}

// WaitTx returns when a transaction that touches what is watched has so many confirmations, and says where it is.
// A rollback on the way takes it back to waiting.
func (ix *Index) WaitTx(ctx context.Context, id chain.TxID, confirmations uint64) (p chain.Point, height uint64, err error) {
	err = ix.wait(ctx, func() (ok bool, err error) {
		tip := ix.Tip()
		p, height, ok, err = ix.TxBlock(ctx, id)
		return ok && tip.Confirmations(height) >= confirmations, err
	})
	return p, height, err
}

func (ix *Index) wait(ctx context.Context, done func() (bool, error)) error {
	for {
		ch := ix.Changed()
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
