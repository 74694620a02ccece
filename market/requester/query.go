package requester

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// Status says how a job stands; id is local, or the job's on chain.
func (r *Requester) Status(ctx context.Context, id string) (Outcome, error) {
	rec, err := r.store.load(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	return r.outcomeOf(ctx, rec)
}

// List says how every job stands, the oldest first.
func (r *Requester) List(ctx context.Context) ([]Outcome, error) {
	all, err := r.store.all(ctx)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(all))
	for i, rec := range all {
		if outcomes[i], err = r.outcomeOf(ctx, rec); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// Ending is the error that a job ended with; nil: it ended well, or goes on.
func (r *Requester) Ending(ctx context.Context, id string) error {
	rec, err := r.store.load(ctx, id)
	if err != nil || !rec.Done {
		return err
	}
	return rec.err()
}

// Cancel ends a job that is not signed yet and releases what it holds. ErrSigned: it is.
func (r *Requester) Cancel(ctx context.Context, id string) error {
	rec, err := r.store.load(ctx, id)
	if err != nil {
		return err
	}
	if rec.signed() {
		return fmt.Errorf("job %s is %s: %w", rec.ID, rec.Phase, ErrSigned)
	}
	if rec.Done {
		return nil
	}
	j := &job{r: r, rec: rec}
	if rec.Terms != nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	return j.abandon(ctx, Cancelled, ErrCancelled)
}

// Logs copies what a shard's program wrote, as long as its provider keeps it. The bytes are whatever the program wrote.
func (r *Requester) Logs(ctx context.Context, id string, shard uint32, w io.Writer) error {
	rec, err := r.store.load(ctx, id)
	if err != nil {
		return err
	}
	for _, l := range rec.Lots {
		if rec.Terms == nil || !slices.Contains(l.Shards, shard) {
			continue
		}
		if err := r.Sellers.Connect(ctx, l.Offer.Peer, l.Offer.Addrs); err != nil {
			return fmt.Errorf("provider %s: %w", l.Offer.Peer, err)
		}
		return r.Logger.Logs(ctx, l.Offer.Peer, rec.Job, shard, w)
	}
	return fmt.Errorf("%w: job %s has no shard %d at a provider", ErrNotFound, rec.ID, shard)
}

// Receipts lists the receipts that both sides signed, one a provider.
func (r *Requester) Receipts(ctx context.Context, id string) ([]SignedReceipt, error) {
	rec, err := r.store.load(ctx, id)
	if err != nil {
		return nil, err
	}
	var all []SignedReceipt
	for _, l := range rec.Lots {
		if l.Receipt == nil {
			continue
		}
		rc, err := readReceipt(l)
		if err != nil {
			return nil, err
		}
		all = append(all, rc)
	}
	return all, nil
}

// Facts is what the escrow's actor asks about a lot. Nothing is known of a job that this database does not have: its
// lots can still be refunded.
func (r *Requester) Facts(ctx context.Context, k escrow.Key) (escrow.Facts, error) {
	rec, err := r.store.load(ctx, k.Job.String())
	if err != nil {
		return escrow.Facts{}, notFound(err)
	}
	for _, l := range rec.Lots {
		if key, ok := l.Offer.Payment.Key(); ok && key == k.Provider {
			w, err := r.store.wish(ctx, rec.ID, l.Offer.Peer)
			return escrow.Facts{
				Verified: l.Accepted, Faulty: w == Dispute || w == Concede, Concede: w == Concede,
				Apart: rec.decided() && !rec.Spec.Job.Waits(),
			}, err
		}
	}
	return escrow.Facts{}, nil
}

// Known says whether a job was opened by this requester: only such lots are its own.
func (r *Requester) Known(ctx context.Context, id plutus.JobID) (bool, error) {
	rec, err := r.store.load(ctx, id.String())
	if err != nil {
		return false, notFound(err)
	}
	return rec.signed(), nil
}
