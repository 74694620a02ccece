package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/submit"
	"github.com/tallycompute/tally/chain/wallet"
)

// handover is a signed transaction on its way into the chain.
type handover struct {
	node   *node.Node
	kept   *wallet.Reservations
	tx     *chain.Tx
	since  *submit.Base    // what is known of it; nil: nothing
	at     []chain.Address // where what it spends is, beside where it pays
	key    chain.KeyHash   // who signs with it is us
	policy uint64          // confirmations that are enough
	depth  uint64          // confirmations that are waited for; 0: until the node has it
	again  string          // what to type to go on, should this end early
	anew   string          // and what, should it come too late
}

// handIn hands a transaction in until it is as deep as is wanted, or can never come. It follows the chain meanwhile: what
// a connection or a rollback loses is handed in again.
func (a *app) handIn(ctx context.Context, h handover) (uint64, error) {
	says := teller{app: a, policy: h.policy}
	d := submit.Delivery{
		Node: h.node, Since: h.since, At: h.at, Progress: says.tell,
		Ours: func(t chain.BlockTx) bool { return slices.Contains(t.Witnesses, h.key) },
		Also: func(ctx context.Context, ref chain.OutRef, f *submit.Fate) error {
			return underWay(ctx, h.kept, ref, f)
		},
	}
	depth, sure, err := d.Land(ctx, h.tx.Bytes(), h.depth)
	a.live("")
	return depth, h.explain(err, sure, h.tx.ID())
}

var (
	// errExpired is a transaction that did not get into the chain in time.
	errExpired = errors.New("it has expired")
	// errGone is a transaction of which nothing is left to see.
	errGone = errors.New("what it spends is not there and neither is what it makes: it may have been in the chain, or something else was")
)

// explain says what the end of a handover means to a person.
func (h handover) explain(err error, sure bool, id chain.TxID) error {
	var e *chain.SubmitError
	switch {
	case errors.Is(err, context.Canceled):
		return fail(exitCancelled, fmt.Errorf("%w: %s is signed, and may be in the chain already or get there", errInterrupted, id), "%s", h.again)
	case !errors.As(err, &e):
		return err
	case e.Outcome.Lost() && e.Outcome != chain.Refused && e.By == nil && !sure:
		return fail(exitRejected, fmt.Errorf("%s: %w: %w", id, errGone, err), "look its id up before you pay again")
	case e.Outcome == chain.Expired:
		return fail(exitRejected, fmt.Errorf("%s: %w: %w", id, errExpired, err), "it can never move anything now; %s", h.anew)
	case e.Outcome.Lost() && e.Outcome != chain.Refused:
		return fail(exitRejected, err, "it moved nothing, and can only if a rollback gives back what it spends; %s", h.anew)
	}
	return fail(exitRejected, err, "it moved nothing; what stands in its way is above")
}

// underWay adds to an output's fate what reservations know of it.
func underWay(ctx context.Context, kept *wallet.Reservations, ref chain.OutRef, f *submit.Fate) error {
	reserved, err := kept.All(ctx)
	for _, r := range reserved {
		tx, ok := payment(r)
		if ok && r.Ref == ref {
			f.By, f.Ours = &tx, true
		}
		f.Known = f.Known || ok && tx == ref.Tx
	}
	return err
}

// teller says how a transaction fares: a line at each change of its standing, the confirmations between on a live line.
type teller struct {
	*app
	policy, depth uint64
	said          string
}

func (t *teller) tell(depth uint64, o chain.Outcome, err error) {
	if o.Lost() {
		return // the command ends with it, and says so
	}
	was := t.depth
	t.depth = depth
	stands := standingOf(depth, t.policy)
	text, more := string(stands), ""
	switch {
	case depth > 0 && t.said == "":
		t.said = text
		t.note("It was in the chain already, %d deep.", depth)
	case depth == 0 && was > 0:
		text = "pending: a rollback took it out of its block; handed in again"
	case err != nil:
		text = "pending: " + string(o) + "; trying again"
	case depth == 0:
		text = "pending: the node has it"
	case stands == index.Pending:
		text, more = "pending: in a block", fmt.Sprintf(", %d of %d confirmations", depth, t.policy)
	default:
		more = fmt.Sprintf(", %d deep", depth)
	}
	if text != t.said {
		t.said = text
		t.note("%s%s", text, more)
	}
	t.live(text + more)
}

// standingOf is how sure it is that what has so many confirmations stays, where policy of them are enough.
func standingOf(confirmations, policy uint64) index.Standing {
	return index.StandingOf(confirmations, policy, index.DefaultK)
}
