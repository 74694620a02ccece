package submit

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Ledger is a node that can be followed and whose unspent outputs can be looked at.
type Ledger interface {
	Node
	Follow(ctx context.Context, from []chain.Point, f Follower) error
	// Snapshot is the tip, its height and the unspent outputs of addresses there.
	Snapshot(ctx context.Context, as ...chain.Address) (chain.Point, uint64, []chain.UTxO, error)
}

// Delivery takes one transaction into the chain with nothing but a node: it follows the chain for as long as that takes.
type Delivery struct {
	Node     Ledger
	Since    *Base                                                      // what is known of it; nil: nothing
	At       []chain.Address                                            // where what it spends is, beside where it pays
	Ours     func(chain.BlockTx) bool                                   // whether a transaction is of this wallet
	Also     func(ctx context.Context, ref chain.OutRef, f *Fate) error // adds what else is known of an output; may be nil
	Progress Progress                                                   // may be nil
}

// Land is Submitter.Land. depth is how deep it got; sure, whether all was known of it: if not, it may have been in the chain
// before. Afterwards the node's unspent outputs show it.
func (d Delivery) Land(ctx context.Context, raw []byte, confirmations uint64) (depth uint64, sure bool, err error) {
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return 0, false, err
	}
	body, err := tx.Inspect()
	if err != nil {
		return 0, false, err
	}
	src := outlook{d.Node, d.At}
	if d.Since == nil {
		b, err := src.Look(ctx, body)
		if err != nil {
			return 0, false, err
		}
		d.Since = &b
	}
	tail := NewTail(body, *d.Since, d.Ours)
	following, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- tail.Run(following, src) }()
	tail.headStart(ctx, d.Node)
	s := Submitter{Node: d.Node, Chain: informed{tail, d.Also}, Progress: d.Progress}
	err = s.Land(ctx, raw, confirmations)
	stop()
	<-ran
	if err != nil {
		return 0, tail.Sure(), err
	}
	if depth, err = tail.Confirmations(ctx, body.ID); err == nil && depth > 0 {
		err = src.shows(ctx, body, tail.Tip())
	}
	return depth, tail.Sure(), err
}

// patience is how long a tail gets to read what is there before anything is handed in: mostly no time at all.
const patience = 30 * time.Second

// headStart waits until the tail has read what the node has, so that what is in the chain is not handed in first. Without
// it nothing goes wrong.
func (t *Tail) headStart(ctx context.Context, n Node) {
	tip, err := n.Tip(ctx)
	if err != nil {
		return
	}
	enough := time.After(patience)
	for {
		changed := t.Changed()
		if t.Tip() >= tip.Slot {
			return
		}
		select {
		case <-changed:
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}

// informed is a tail to which something else is known.
type informed struct {
	*Tail
	also func(ctx context.Context, ref chain.OutRef, f *Fate) error
}

// Fate implements Chain.
func (i informed) Fate(ctx context.Context, ref chain.OutRef) (Fate, error) {
	f, err := i.Tail.Fate(ctx, ref)
	if err == nil && f.By == nil && i.also != nil {
		err = i.also(ctx, ref, &f)
	}
	return f, err
}

// outlook is a node as the Source of a tail.
type outlook struct {
	Ledger
	at []chain.Address
}

// Look implements Source. It looks where the transaction pays, which is mostly where its change goes back to.
func (o outlook) Look(ctx context.Context, body chain.TxBody) (b Base, err error) {
	at := slices.Clone(o.at)
	for _, out := range body.Outputs {
		at = append(at, out.Address)
	}
	slices.SortFunc(at, func(a, b chain.Address) int { return strings.Compare(a.String(), b.String()) })
	tip, height, us, err := o.Snapshot(ctx, slices.Compact(at)...)
	b = Base{Point: tip, Height: height}
	names := named(body)
	for _, u := range us {
		b.Made = b.Made || u.Ref.Tx == body.ID
		if slices.Contains(names, u.Ref) {
			b.Unspent = append(b.Unspent, u.Ref)
		}
	}
	return b, err
}

// How long, at most, and how often it looks whether the unspent outputs show what a block did.
const (
	looks    = 30
	lookPace = 100 * time.Millisecond
)

// shows waits a little until the node's unspent outputs show what its blocks do: a node can pass a block on before it has
// applied it. What is asked next is then answered with the transaction in mind.
func (o outlook) shows(ctx context.Context, body chain.TxBody, at chain.Slot) error {
	for range looks {
		b, err := o.Look(ctx, body)
		if err != nil || b.Made || b.Slot > at {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookPace):
		}
	}
	return nil
}
