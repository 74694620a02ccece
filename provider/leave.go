package provider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// maxLeaves is how many transactions of one caller are looked at for one slice: as many as an honest one builds. All that
// are signed spend the slice, so that one at most gets into the chain, and do the same with this provider's share.
const maxLeaves = 2

// Leave says whether this provider leaves a slice together with another one of it. It waits for blocks that the caller may
// have seen already.
func (d *Daemon) Leave(ctx context.Context, from peer.ID, i market.LeaveInvitation) (market.LeaveWish, error) {
	for {
		changed := d.Book.Changed()
		g, err := d.guest(ctx, from, i.Job, i.Slice)
		if err == nil {
			return market.LeaveWish{Slice: i.Slice, Root: market.Hash(g.Leaver.Root)}, nil
		}
		if !errors.Is(err, errTooSoon) {
			return market.LeaveWish{}, err
		}
		select {
		case <-ctx.Done():
			return market.LeaveWish{}, err
		case <-changed:
		}
	}
}

// What a provider says that does not come.
var (
	errNoSlice = refuse(market.RefusedUnknown, "no such slice of yours and this provider's")
	errAtWork  = refuse(market.RefusedBusy, "this provider has no result yet")
	errTooSoon = refuse(market.RefusedBusy, "the requester still has time to settle the slice")
)

// WitnessLeave checks a leave that another provider of the slice has built, line by line, and witnesses it; or refuses with
// a market.Refusal. That it was asked is on disk before the signature leaves.
//
// Whatever becomes of the transaction, this provider does what is due as if there were none: if it is in the chain, its lot
// has left the slice; if not, its turn comes, and one of the two spends the slice.
func (d *Daemon) WitnessLeave(ctx context.Context, from peer.ID, p market.LeaveProposal) (market.Witness, error) {
	tx, err := chain.DecodeTx(p.Tx)
	if err != nil {
		return market.Witness{}, refuse(market.RefusedTx, "%v", err)
	}
	body, err := tx.Inspect()
	if err != nil {
		return market.Witness{}, refuse(market.RefusedTx, "%v", err)
	}
	foreign := plutus.Foreign(body, p.Slice)
	if len(foreign) > maxForeign {
		return market.Witness{}, refuse(market.RefusedTx, "%d inputs beside the slice, at most %d", len(foreign), maxForeign)
	}
	clock, err := d.Ledger.Clock(ctx)
	if err != nil {
		return market.Witness{}, err
	}
	g, err := d.guest(ctx, from, p.Job, p.Slice)
	if err != nil {
		return market.Witness{}, err
	}
	if err := d.store.admitLeave(ctx, p, from, tx.ID()); err != nil {
		return market.Witness{}, err
	}
	if g.Coins, err = d.Ledger.Outputs(ctx, foreign); err != nil {
		return market.Witness{}, fmt.Errorf("inputs of a leave: %w", err)
	}
	vkey, sig, err := d.Wallet.SignChecked(ctx, tx, func(tx *chain.Tx) error {
		if err := d.Contracts.CheckLeave(tx, g, clock); err != nil {
			return refuse(market.RefusedTx, "%v", err)
		}
		return nil
	})
	if err != nil {
		d.Log.Warn("provider: refused to leave together", "job", p.Job, "caller", from, "tx", tx.ID(), "error", err)
		return market.Witness{}, err
	}
	d.Log.Info("provider: leaving a slice together", "job", p.Job, "caller", from, "tx", tx.ID())
	return market.Witness{Tx: tx.ID(), VKey: vkey, Signature: sig}, nil
}

// maxForeign bounds the inputs and the collateral of a leave: fees take one or two coins.
const maxForeign = 16

// fellow is the payment key of another provider of a job, and this provider's reservation for it.
func (d *Daemon) fellow(ctx context.Context, from peer.ID, id market.JobID) (k chain.KeyHash, res reservation, err error) {
	r, ok, err := d.store.job(ctx, id)
	if err == nil && !ok {
		err = errNoSlice
	}
	if err != nil {
		return k, res, err
	}
	if res, _, err = d.store.reservation(ctx, r.Reservation); err != nil {
		return k, res, err
	}
	terms, err := market.DecodeTerms(res.Terms)
	if err != nil {
		return k, res, err
	}
	lot, ok := terms.LotOf(from)
	if !ok || from == d.id || terms.Policy != d.Contracts.Policy {
		return k, res, errNoSlice
	}
	if k, ok = lot.Payment.Key(); !ok {
		return k, res, errNoSlice
	}
	return k, res, nil
}

// guest is what is known here of a leave from a slice that from calls for; a market.Refusal if this provider does not go.
func (d *Daemon) guest(ctx context.Context, from peer.ID, id market.JobID, slice chain.OutRef) (g plutus.Guest, err error) {
	caller, res, err := d.fellow(ctx, from, id)
	if err != nil {
		return g, err
	}
	key := escrow.Key{Job: plutus.JobID(id), Provider: d.key}
	job, err := d.Book.JobLots(ctx, key.Job)
	if err != nil {
		return g, err
	}
	in := func(k chain.KeyHash) (escrow.Lot, bool) {
		for _, l := range job {
			if l.Key.Provider == k && l.Status == escrow.Sliced && l.Ref == slice && l.OpenedBy() == res.Tx {
				return l, true
			}
		}
		return escrow.Lot{}, false
	}
	mine, here := in(d.key)
	if _, there := in(caller); !here || !there || !mine.Mine(d.key) {
		return g, errNoSlice
	}
	now, err := d.now(ctx)
	if err != nil {
		return g, err
	}
	facts, err := d.Facts(ctx, key)
	if err != nil {
		return g, err
	}
	switch {
	case facts.Result == nil && facts.Voucher == nil:
		return g, errAtWork
	case !escrow.Joins(mine, facts, d.cfg.Policy, now):
		return g, errTooSoon
	}
	held, ok, err := d.Book.Held(ctx, slice)
	if err == nil && !ok {
		err = errNoSlice
	}
	if err != nil {
		return g, err
	}
	g = plutus.Guest{
		Terms: mine.Terms, Leaver: plutus.Leaver{Index: mine.Place.Index}, Keys: d.Wallet.Keys(), Until: mine.Terms.CommitBy,
	}
	if facts.Result != nil {
		g.Leaver.Root = *facts.Result
	}
	g.Slice, err = escrow.SliceOf(d.Contracts, job, held)
	return g, err
}

// admitLeave records that a caller asks for a witness of a transaction, and refuses one transaction too many. The same one
// may come again.
func (s *store) admitLeave(ctx context.Context, p market.LeaveProposal, caller peer.ID, id chain.TxID) error {
	others := 0
	err := s.tx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM leaving WHERE job = ? AND slice = ? AND caller = ? AND tx <> ?`,
			p.Job[:], p.Slice.String(), caller.String(), id[:]).Scan(&others)
		if err != nil || others >= maxLeaves {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR IGNORE INTO leaving VALUES (?,?,?,?)`, p.Job[:], p.Slice.String(), caller.String(), id[:])
		return err
	})
	if err == nil && others >= maxLeaves {
		err = refuse(market.RefusedBusy, "%d other transactions of yours leave this slice", others)
	}
	return err
}
