package submit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Base is a point, and what is known there of one transaction.
type Base struct {
	chain.Point
	Height  uint64
	Made    bool           // an output that it makes is there: it is in this block or an earlier one
	Unspent []chain.OutRef // what it names and is there unspent. One input of it: no block up to here has it
}

// Follower is told how a chain changes, one call at a time.
type Follower = interface {
	Forward(ctx context.Context, b chain.Block, tip chain.Point) error
	Backward(ctx context.Context, p chain.Point) error
}

// Source is a chain to follow, a node's.
type Source interface {
	// Follow starts at the first of the points that the source knows, by a Backward to it, and returns when ctx ends, a
	// call fails or the source is lost. chain.ErrNoIntersection: it knows none.
	Follow(ctx context.Context, from []chain.Point, f Follower) error
	// Look is the source's tip, and what its unspent outputs show of a transaction there.
	Look(ctx context.Context, body chain.TxBody) (Base, error)
}

// Tail is the Chain of one transaction, for as long as somebody waits for it: the blocks since a base, of which it keeps
// only what concerns the transaction. It needs no database and no past.
type Tail struct {
	body    chain.TxBody
	ours    func(chain.BlockTx) bool
	watched map[chain.OutRef]bool

	mu      sync.Mutex
	base    Base
	blocks  []joint
	changed chan struct{}
}

// joint is a block of the tail.
type joint struct {
	chain.Point
	height uint64
	has    bool // the transaction
	made   []chain.TxID
	spent  map[chain.OutRef]spender
}

type spender struct {
	tx   chain.TxID
	ours bool
}

// NewTail is the tail of a transaction since a base; ours says whether a transaction is one that this wallet signed.
func NewTail(body chain.TxBody, since Base, ours func(chain.BlockTx) bool) *Tail {
	t := &Tail{body: body, ours: ours, watched: map[chain.OutRef]bool{}, base: since, changed: make(chan struct{})}
	for _, ref := range named(body) {
		t.watched[ref] = true
	}
	return t
}

// named are the outputs that a transaction names.
func named(b chain.TxBody) []chain.OutRef { return slices.Concat(b.Inputs, b.Collateral, b.References) }

// Run follows src until ctx ends, and returns ctx's error. A source that is lost is followed again, less and less often.
// Where a rollback goes below the base, or the source knows none of the points, it looks for a new base.
func (t *Tail) Run(ctx context.Context, src Source) error {
	for pause := minPause; ; {
		met := false
		err := src.Follow(ctx, t.points(), follower{t, &met})
		if met {
			pause = minPause
		}
		if errors.Is(err, chain.ErrNoIntersection) || errors.Is(err, errBelow) {
			if b, err := src.Look(ctx, t.body); err == nil {
				t.rebase(b)
				continue
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// errBelow is a rollback below the base.
var errBelow = errors.New("rolled back below the base")

type follower struct {
	*Tail
	met *bool
}

// Forward implements Follower.
func (f follower) Forward(_ context.Context, b chain.Block, _ chain.Point) error {
	f.add(b)
	return nil
}

// Backward implements Follower.
func (f follower) Backward(_ context.Context, p chain.Point) error {
	t := f.Tail
	t.mu.Lock()
	defer t.mu.Unlock()
	keep := slices.IndexFunc(t.blocks, func(j joint) bool { return j.Point == p }) + 1
	if keep == 0 && p != t.base.Point {
		return errBelow
	}
	*f.met = true
	t.blocks = t.blocks[:keep]
	t.tell()
	return nil
}

func (t *Tail) add(b chain.Block) {
	j := joint{Point: b.Point, height: b.Height}
	for _, tx := range b.Txs {
		if tx.ID == t.body.ID {
			j.has = !tx.Invalid
		}
		for _, ref := range tx.Inputs {
			if t.watched[ref] {
				if j.spent == nil {
					j.spent = map[chain.OutRef]spender{}
				}
				j.spent[ref] = spender{tx.ID, t.ours(tx)}
			}
		}
		for ref := range t.watched {
			if ref.Tx == tx.ID {
				j.made = append(j.made, tx.ID)
				break
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocks = append(t.blocks, j)
	t.tell()
}

func (t *Tail) rebase(b Base) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base, t.blocks = b, nil
	t.tell()
}

// tell wakes whoever waits. It is called with the lock held.
func (t *Tail) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// points are the last block, some before it, ever further apart, and the base.
func (t *Tail) points() (ps []chain.Point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, step := len(t.blocks)-1, 1; i >= 0; i, step = i-step, 2*step {
		ps = append(ps, t.blocks[i].Point)
	}
	return append(ps, t.base.Point)
}

// Sure says whether all is known of the transaction. If not, a block before the base may have it, and what it made there
// may be spent since.
func (t *Tail) Sure() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.base.Made || slices.ContainsFunc(t.body.Inputs, func(ref chain.OutRef) bool {
		return slices.Contains(t.base.Unspent, ref) || t.makes(ref)
	})
}

// makes says whether a block since the base has an output's transaction. It is called with the lock held.
func (t *Tail) makes(ref chain.OutRef) bool {
	return slices.ContainsFunc(t.blocks, func(j joint) bool { return slices.Contains(j.made, ref.Tx) })
}

// height of the last block. It is called with the lock held.
func (t *Tail) height() uint64 {
	if n := len(t.blocks); n > 0 {
		return t.blocks[n-1].height
	}
	return t.base.Height
}

// Tip implements Chain.
func (t *Tail) Tip() chain.Slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.blocks); n > 0 {
		return t.blocks[n-1].Slot
	}
	return t.base.Slot
}

// Confirmations implements Chain. Of a transaction that is in a block at the base or before, it counts from the base on.
func (t *Tail) Confirmations(_ context.Context, id chain.TxID) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id != t.body.ID {
		return 0, nil
	}
	if i := slices.IndexFunc(t.blocks, func(j joint) bool { return j.has }); i >= 0 {
		return t.height() - t.blocks[i].height + 1, nil
	}
	if t.base.Made {
		return t.height() - t.base.Height + 1, nil
	}
	return 0, nil
}

// Fate implements Chain.
func (t *Tail) Fate(_ context.Context, ref chain.OutRef) (f Fate, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Known = slices.Contains(t.base.Unspent, ref) || t.makes(ref)
	for _, j := range t.blocks {
		if s, ok := j.spent[ref]; ok {
			f.Known, f.By, f.Ours = true, &s.tx, s.ours
		}
	}
	return f, nil
}

// Changed implements Chain.
func (t *Tail) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}
