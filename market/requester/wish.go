package requester

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// Wish is what a job's owner wants done with a lot.
type Wish string

// Wishes.
const (
	Approve Wish = "approve" // pay it
	Dispute Wish = "dispute" // call for a verdict, once its result is committed
	Concede Wish = "concede" // give a dispute up
)

// Wanted is what Wish recorded a wish for.
type Wanted struct {
	ID       string        `json:"id"`
	Shards   []uint32      `json:"shards"`
	Provider peer.ID       `json:"provider"`
	Wish     Wish          `json:"wish"`
	Status   escrow.Status `json:"status"` // of the lot, now
	Waits    bool          `json:"waits"`  // until the result is committed
	Until    chain.Time    `json:"until"`  // Dispute: it has to be in the chain by then
}

// Wish records what is to be done with the lot of a shard. Whoever drives the job does it: a process that runs, or the
// next Resume. ErrWish: the lot's state or the terms do not allow it.
func (r *Requester) Wish(ctx context.Context, id string, shard uint32, w Wish) (Wanted, error) {
	rec, err := r.store.load(ctx, id)
	if err != nil {
		return Wanted{}, err
	}
	i := slices.IndexFunc(rec.Lots, func(l lotRecord) bool { return slices.Contains(l.Shards, shard) })
	if i < 0 || rec.Terms == nil {
		return Wanted{}, fmt.Errorf("%w: job %s has no shard %d at a provider", ErrNotFound, rec.ID, shard)
	}
	l := rec.Lots[i]
	lot, err := r.Book.Lot(ctx, (&job{r: r, rec: rec}).key(l))
	if err != nil {
		return Wanted{}, err
	}
	wanted := Wanted{ID: rec.ID, Shards: l.Shards, Provider: l.Offer.Peer, Wish: w, Status: lot.Status}
	if lot.Status == escrow.Committed {
		wanted.Until = lot.ClaimAt
	} else {
		wanted.Waits = lot.Status != escrow.Disputed && rec.Spec.Job.Disputes != nil
	}
	if err := possible(rec, l, lot, w); err != nil {
		return wanted, fmt.Errorf("%s the lot of shard %d: %w", w, shard, err)
	}
	if w == Dispute && lot.Status != escrow.Disputed {
		if err := r.disputable(ctx, rec.Spec.Job.Disputes.BondUNTX); err != nil {
			return wanted, err
		}
	}
	return wanted, r.store.setWish(ctx, rec.ID, l.Offer.Peer, w)
}

// disputable says whether the wallet has the NTX of a dispute bond.
func (r *Requester) disputable(ctx context.Context, bond uint64) error {
	coins, err := r.Purse.Coins(ctx)
	if err != nil {
		return fmt.Errorf("the wallet's coins: %w", err)
	}
	var ntx uint64
	for _, u := range coins {
		ntx += u.Value.Of(r.Contracts.Params.NTX)
	}
	if ntx < bond {
		return fmt.Errorf("%w: a dispute takes a bond of %s NTX, the wallet has %s free; send NTX to %s",
			ErrNotEnough, market.FormatNTX(bond), market.FormatNTX(ntx), r.Address)
	}
	return nil
}

func possible(rec *record, l lotRecord, lot escrow.Lot, w Wish) error {
	no := func(why string) error { return fmt.Errorf("%w: %s", ErrWish, why) }
	switch {
	case lot.Status.Final():
		return no("it is " + lot.Status.String())
	case w == Concede && lot.Status != escrow.Disputed:
		return no("it is not disputed")
	case w == Approve && lot.Status == escrow.Disputed:
		return no("it is disputed: concede it instead")
	case w == Dispute && rec.Spec.Job.Disputes == nil:
		return no("the job file names no attesters")
	case w == Dispute && l.Accepted:
		return no("it is approved already")
	}
	return nil
}

// heed takes over what the owner wants, and disputes on its own what was committed and is not handed over.
func (f *follower) heed(ctx context.Context, lots []escrow.Lot, now chain.Time) error {
	changed := false
	for i := range f.rec.Lots {
		l, lot := &f.rec.Lots[i], lots[i]
		w, err := f.r.store.wish(ctx, f.rec.ID, l.Offer.Peer)
		if err != nil {
			return err
		}
		withheld := lot.Status == escrow.Committed && l.Result == nil && f.rec.Spec.Job.Disputes != nil &&
			now >= lot.ClaimAt-chain.Time(f.rec.Spec.Job.Window/3)
		if w == "" && withheld {
			w = Dispute
			if err := f.r.store.setWish(ctx, f.rec.ID, l.Offer.Peer, w); err != nil {
				return err
			}
			f.tell(Event{Provider: l.Offer.Peer, Message: "it has committed a result and does not hand it over: it is disputed"})
		}
		if before, known := f.seen[i]; known && before != lot.Status {
			f.tell(Event{Provider: l.Offer.Peer, Message: "its lot is " + lot.Status.String()})
		}
		f.seen[i] = lot.Status
		why := ""
		switch {
		case w == Approve && !l.Accepted && lot.Status != escrow.Disputed:
			l.Accepted, changed = true, true
		case lot.Status == escrow.Judged && lot.AwardUNTX < lot.PriceUNTX:
			why = "found wrong by the attesters"
		case w != "" && w != Approve && !l.Accepted:
			why = "disputed by the requester"
		}
		if why != "" && l.Rejected != why {
			l.Rejected, changed = why, true
		}
	}
	if !changed {
		return nil
	}
	return f.save(ctx)
}

// voucherKey is the key that signs a job's vouchers: it follows from the peer key, so that it cannot get lost, and
// gives away nothing of it.
func (r *Requester) voucherKey(nonce [16]byte) (ed25519.PrivateKey, error) {
	raw, err := r.Peer.Raw()
	if err != nil {
		return nil, fmt.Errorf("%w: peer key: %w", ErrConfig, err)
	}
	h, err := blake2b.New256(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: peer key: %w", ErrConfig, err)
	}
	h.Write(append([]byte("tally/voucher-key/1"), nonce[:]...))
	return ed25519.NewKeyFromSeed(h.Sum(nil)), nil
}

// Evidence is what attesters are asked with about a disputed lot of this requester's, and the attesters.
func (r *Requester) Evidence(ctx context.Context, k escrow.Key) (market.VerdictRequest, []market.Attester, error) {
	rec, err := r.store.load(ctx, k.Job.String())
	if err != nil || rec.Spec.Job.Disputes == nil {
		return market.VerdictRequest{}, nil, notFound(err)
	}
	for _, l := range rec.Lots {
		if key, ok := l.Offer.Payment.Key(); ok && key == k.Provider {
			return market.VerdictRequest{Job: rec.Job, Provider: l.Offer.Peer, Terms: rec.Terms, Result: l.Result}, rec.Spec.Job.Disputes.Attesters, nil
		}
	}
	return market.VerdictRequest{}, nil, nil
}
