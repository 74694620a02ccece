package escrow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// Ledger is what an actor needs of a Cardano node.
type Ledger interface {
	Clock(ctx context.Context) (chain.Clock, error)
	// Submit hands a transaction to the mempool. Submitting the same bytes again is safe. An error that is a
	// chain.SubmitError says what became of it.
	Submit(ctx context.Context, tx []byte) error
}

// Purse pays for drafts: it adds coins that no other transaction under way uses, balances and signs.
type Purse interface {
	Pay(ctx context.Context, d chain.Draft, purpose string) (*chain.Tx, error)
}

// Book is the folded chain.
type Book interface {
	// Tip is the slot up to which the book is written.
	Tip() chain.Slot
	// Lots are the actor's own lots, in any state.
	Lots(ctx context.Context) ([]Lot, error)
	// JobLots are all lots of a job, whoever's.
	JobLots(ctx context.Context, id plutus.JobID) ([]Lot, error)
	// Held is the output that holds a lot now; false: it is spent, or not known.
	Held(ctx context.Context, ref chain.OutRef) (chain.UTxO, bool, error)
	// Stakes are a provider's, of which verdicts of these contracts may take, whatever state they are in.
	Stakes(ctx context.Context, c *plutus.Contracts, owner chain.KeyHash) ([]plutus.Stake, error)
	// References are the published scripts, if any.
	References(ctx context.Context) ([]chain.UTxO, error)
	// Changed is closed at the next block applied or undone.
	Changed() <-chan struct{}
}

// Actor does what is due for one party. Whatever it submits changes nothing until a block says so: if a transaction
// is lost or rolled back, it is still due, and is handed in or built again.
type Actor struct {
	Role      Role
	Contracts *plutus.Contracts
	Ledger    Ledger
	Purse     Purse
	Book      Book
	Policy    Policy
	Validity  time.Duration // how long a transaction stays valid
	// Facts is what the party knows of a lot beside the chain.
	Facts func(ctx context.Context, k Key) (Facts, error)
	// Meeting is how it leaves slices with others; nil: it leaves them alone.
	Meeting *Meeting
	// Acted hears of every transaction submitted; nil: nobody does.
	Acted func(k Kind, lots []Key, tx chain.TxID)
	Log   *slog.Logger

	waiting map[chain.OutRef]*sent // lots, by the output that holds them, until the transaction expires
	called  map[chain.OutRef]bool  // slices whose others it has called together
}

// sent is a transaction under way.
type sent struct {
	id      chain.TxID
	bytes   []byte
	purpose string
	until   chain.Slot
	failed  int // so many submissions in a row
}

// Run acts until ctx ends, and returns ctx's error.
func (a *Actor) Run(ctx context.Context) error {
	for {
		changed := a.Book.Changed()
		if err := a.Act(ctx); err != nil && ctx.Err() == nil {
			a.Log.Warn("escrow: could not act, trying again at the next block", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Act makes every transition that is due at the book's tip, once. Run does it at every block.
func (a *Actor) Act(ctx context.Context) error {
	if a.waiting == nil {
		a.waiting, a.called = map[chain.OutRef]*sent{}, map[chain.OutRef]bool{}
	}
	clock, err := a.Ledger.Clock(ctx)
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	tip := a.Book.Tip()
	lots, err := a.Book.Lots(ctx)
	if err != nil {
		return fmt.Errorf("own lots: %w", err)
	}
	errs := a.resubmit(ctx, lots, tip)
	for _, b := range a.batches(ctx, lots, clock.SlotToTime(tip), &errs) {
		do := a.settle
		if b.together {
			do = a.gather
		}
		if err := do(ctx, b, tip, clock); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// resubmit hands in again, byte for byte, what was handed in and is not in the chain: a node may have lost it, or a
// block with it may have been undone. What is refused twice in a row is given up, and built anew; a node that did not
// answer has refused nothing.
func (a *Actor) resubmit(ctx context.Context, lots []Lot, tip chain.Slot) (errs []error) {
	for ref, s := range a.waiting {
		if tip >= s.until {
			delete(a.waiting, ref)
		}
	}
	done := map[*sent]bool{}
	for _, l := range lots {
		s := a.waiting[l.Ref]
		if s == nil || done[s] {
			continue
		}
		done[s] = true
		if err := a.submit(ctx, s); err != nil {
			errs = append(errs, err)
		}
	}
	for ref, s := range a.waiting {
		if s.failed < 2 {
			continue
		}
		delete(a.waiting, ref)
		if a.Meeting != nil {
			errs = append(errs, a.Meeting.Purse.Drop(ctx, s.id, s.purpose))
		}
	}
	return errs
}

func (a *Actor) submit(ctx context.Context, s *sent) error {
	err := a.Ledger.Submit(ctx, s.bytes)
	if err == nil {
		s.failed = 0
		return nil
	}
	if e := new(chain.SubmitError); !errors.As(err, &e) || e.Outcome != chain.Unknown {
		s.failed++
	}
	return fmt.Errorf("submit %s: %w", s.id, err)
}

// settle builds, signs and submits one batch; one that does not fit a transaction is halved.
func (a *Actor) settle(ctx context.Context, b *batch, tip chain.Slot, clock chain.Clock) error {
	draft, err := a.draft(ctx, b, tip, clock)
	if err != nil {
		return fmt.Errorf("%s: %w", b.kind, err)
	}
	tx, err := a.Purse.Pay(ctx, draft, string(b.kind))
	if tooLarge(err) && len(b.outputs()) > 1 {
		first, second := b.halves()
		return errors.Join(a.settle(ctx, first, tip, clock), a.settle(ctx, second, tip, clock))
	}
	if err != nil {
		return fmt.Errorf("%s of %d lots: %w", b.kind, len(b.lots), err)
	}
	return a.handIn(ctx, b, tx, draft.Until)
}

// handIn submits a batch's transaction.
func (a *Actor) handIn(ctx context.Context, b *batch, tx *chain.Tx, until chain.Slot) error {
	s := &sent{id: tx.ID(), bytes: tx.Bytes(), purpose: string(b.kind), until: until}
	keys := make([]Key, len(b.lots))
	for i, l := range b.lots {
		a.waiting[l.Ref] = s
		keys[i] = l.Key
	}
	if err := a.submit(ctx, s); err != nil {
		return fmt.Errorf("%s: %w", b.kind, err)
	}
	a.Log.Info("escrow: submitted", "transition", b.kind, "lots", len(b.lots), "tx", tx.ID())
	if a.Acted != nil {
		a.Acted(b.kind, keys, tx.ID())
	}
	return nil
}

// tooLarge says whether a transaction was refused for being too large, in bytes or in execution units.
func tooLarge(err error) bool {
	var r *chain.RuleError
	return errors.As(err, &r) && (r.Rule == "MaxTxSizeUTxO" || r.Rule == "ExUnitsTooBigUTxO")
}
