package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Witness checks an opening line by line and witnesses it; or refuses with a market.Refusal. What was signed is on
// disk before the signature leaves. The same transaction again gets the same signature; no other one gets one.
func (d *Daemon) Witness(ctx context.Context, from peer.ID, p market.TermsProposal) (market.Witness, error) {
	tx, err := chain.DecodeTx(p.Tx)
	if err != nil {
		return market.Witness{}, refuse(market.RefusedTx, "%v", err)
	}
	params, err := d.Ledger.Params(ctx)
	if err != nil {
		return market.Witness{}, err
	}
	clock, err := d.Ledger.Clock(ctx)
	if err != nil {
		return market.Witness{}, err
	}
	d.desk.Lock()
	defer d.desk.Unlock()
	r, ok, err := d.store.reservation(ctx, p.Reservation)
	if err != nil {
		return market.Witness{}, err
	}
	if !ok || r.Requester != from || r.State == ended {
		return market.Witness{}, refuse(market.RefusedUnknown, "no such reservation of yours")
	}
	var check func(*chain.Tx) error
	if r.State == witnessed {
		check = r.sameTx
	} else if check, err = d.checks(ctx, tx, r, p, params, clock); err != nil {
		return market.Witness{}, err
	}
	vkey, sig, err := d.Wallet.SignChecked(ctx, tx, check)
	if err != nil {
		d.Log.Warn("provider: refused to witness", "reservation", r.ID, "tx", tx.ID(), "error", err)
		return market.Witness{}, err
	}
	return market.Witness{Reservation: r.ID, Tx: tx.ID(), VKey: vkey, Signature: sig}, nil
}

// sameTx refuses any transaction but the one that was signed for the reservation.
func (r reservation) sameTx(tx *chain.Tx) error {
	if r.Tx != tx.ID() {
		return refuse(market.RefusedTx, "another opening was signed for this reservation: %s", r.Tx)
	}
	return nil
}

// checks looks at the terms of an opening, and gives what is to be done with its very bytes before they are signed:
// check all of them, and record that they are being signed.
func (d *Daemon) checks(ctx context.Context, tx *chain.Tx, r reservation, p market.TermsProposal, params chain.Params, clock chain.Clock) (func(*chain.Tx) error, error) {
	now := clock.SlotToTime(d.Book.Tip())
	terms, packed, err := d.checkTerms(r, p, params, now)
	if err != nil {
		return nil, err
	}
	part, err := d.part(ctx, terms)
	if err != nil {
		return nil, err
	}
	resolved, err := d.resolved(ctx, tx, p)
	if err != nil {
		return nil, err
	}
	waiting, err := d.store.live(ctx)
	if err != nil {
		return nil, err
	}
	return func(tx *chain.Tx) error {
		var unsure error
		mine := plutus.Mine{
			Terms: packed, Part: part, Until: terms.LockUntil, Keys: d.Wallet.Keys(),
			Attesters: d.cfg.Trust.keys(),
			Owns: func(ref chain.OutRef) bool {
				yes, err := d.Book.Owns(ctx, ref)
				unsure = errors.Join(unsure, err)
				return yes || err != nil || madeBy(waiting, ref)
			},
		}
		body, err := tx.Inspect()
		if err != nil {
			return refuse(market.RefusedTx, "%v", err)
		}
		check := d.Contracts.CheckOpening
		if d.Contracts.Starts(body) {
			if err := d.slices(ctx, terms); err != nil {
				return err
			}
			check = d.Contracts.CheckStart
		}
		err = check(tx, resolved, mine, params, clock)
		if unsure != nil {
			return unsure
		}
		if err != nil {
			return refuse(market.RefusedTx, "%v", err)
		}
		return d.record(ctx, r, p, tx.ID(), terms, packed)
	}, nil
}

// resolved is what the transaction's inputs and collateral hold, as our own node has them, and of references what the
// requester says. An output that is not in the chain yet may be about to be ours, whatever is said of it: our signature
// would spend it with the rest.
func (d *Daemon) resolved(ctx context.Context, tx *chain.Tx, p market.TermsProposal) ([]chain.UTxO, error) {
	said, err := p.UTxOs()
	if err != nil {
		return nil, refuse(market.RefusedTx, "%v", err)
	}
	body, err := tx.Inspect()
	if err != nil {
		return nil, refuse(market.RefusedTx, "%v", err)
	}
	spent := slices.Concat(body.Inputs, body.Collateral)
	if len(spent) > len(said) {
		return nil, refuse(market.RefusedTx, "%d inputs, of which %d are explained", len(spent), len(said))
	}
	known, err := d.Ledger.Outputs(ctx, spent)
	if err != nil {
		return nil, fmt.Errorf("inputs of an opening: %w", err)
	}
	for _, ref := range spent {
		if !slices.ContainsFunc(known, func(u chain.UTxO) bool { return u.Ref == ref }) {
			return nil, refuse(market.RefusedTx, "input %s is not in the chain", ref)
		}
	}
	said = slices.DeleteFunc(said, func(u chain.UTxO) bool { return slices.Contains(spent, u.Ref) })
	return append(said, known...), nil
}

// slices refuses a start under which this provider could not leave in its turn, or not in one transaction.
func (d *Daemon) slices(ctx context.Context, t market.Terms) error {
	if !d.cfg.Policy.RoomForSlices(t) {
		return refuse(market.RefusedTerms, "too little time for %d providers to leave a slice one after the other", len(t.Lots))
	}
	refs, err := d.Book.References(ctx)
	if err == nil && !d.Contracts.Whole(refs) {
		err = refuse(market.RefusedTx, "slices, while their scripts are not published")
	}
	return err
}

// madeBy says whether an output may become ours by an opening that was witnessed and is not in the chain yet.
func madeBy(live []reservation, ref chain.OutRef) bool {
	return slices.ContainsFunc(live, func(r reservation) bool { return r.State == witnessed && r.Tx == ref.Tx })
}

// record stores what is about to be signed; from then on its job waits for the lock.
func (d *Daemon) record(ctx context.Context, r reservation, p market.TermsProposal, tx chain.TxID, terms market.Terms, packed plutus.Terms) error {
	id, err := packed.JobID()
	if err != nil {
		return err
	}
	if err := d.Wallet.Reserve(ctx, r.Bond, r.ID.String(), terms.CommitBy); err != nil {
		return fmt.Errorf("keep the bond input: %w", err)
	}
	r.Job, r.Terms, r.Tx, r.LockUntil = market.JobID(id), p.Terms, tx, terms.LockUntil
	if err := d.store.witness(ctx, r); err != nil {
		return err
	}
	d.Log.Info("provider: witnessing", "job", r.Job, "tx", r.Tx)
	select {
	case d.wake <- struct{}{}:
	default: // Run is awake already, and looks at all that is stored
	}
	return nil
}

// checkTerms compares the terms with what was asked and quoted, with the contracts, with the chain's time, and with
// what this machine can do at all.
func (d *Daemon) checkTerms(r reservation, p market.TermsProposal, params chain.Params, now chain.Time) (t market.Terms, packed plutus.Terms, err error) {
	if t, err = market.DecodeTerms(p.Terms); err != nil {
		return t, packed, refuse(market.RefusedTerms, "%v", err)
	}
	req, quote, err := r.documents()
	if err != nil {
		return t, packed, err
	}
	if err := t.CheckQuoted(req, quote); err != nil {
		return t, packed, refuse(market.RefusedTerms, "%v", err)
	}
	lot, err := d.Contracts.LotLovelace(params)
	if err != nil {
		return t, packed, err
	}
	switch {
	case t.Policy != d.Contracts.Policy || t.Spend != d.Contracts.Stub:
		return t, packed, refuse(market.RefusedTerms, "other contracts than %s", d.Contracts.Policy)
	case now > quote.Expires || t.LockUntil > quote.Expires:
		return t, packed, refuse(market.RefusedStale, "the quote ends at %d, the opening may be valid until %d", quote.Expires, t.LockUntil)
	case t.LotLovelace > lot:
		return t, packed, refuse(market.RefusedTerms, "%d lovelace a lot, %d are enough", t.LotLovelace, lot)
	}
	if err := d.feasible(t, req); err != nil {
		return t, packed, err
	}
	if packed, err = escrow.PackTerms(t); err != nil {
		return t, packed, refuse(market.RefusedTerms, "%v", err)
	}
	return t, packed, nil
}

// documents are the request and the quote of a reservation.
func (r reservation) documents() (req market.QuoteRequest, q market.Quote, err error) {
	m, err := market.Decode(r.Request)
	if err != nil {
		return req, q, err
	}
	req, ok := m.(market.QuoteRequest)
	if !ok {
		return req, q, fmt.Errorf("%w: a stored request is a %T", ErrStore, m)
	}
	q, err = market.ReadQuote(r.Quote)
	return req, q, err
}

// part is this provider's part of an opening, with its bond input as the book knows it.
func (d *Daemon) part(ctx context.Context, t market.Terms) (plutus.Part, error) {
	lot, ok := t.LotOf(d.id)
	if !ok {
		return plutus.Part{}, refuse(market.RefusedTerms, "no lot is this provider's")
	}
	coins, err := d.Book.Coins(ctx)
	if err != nil {
		return plutus.Part{}, err
	}
	for _, u := range coins {
		if u.Ref == lot.BondInput {
			return plutus.Part{Provider: lot.Payment, PriceUNTX: lot.PriceUNTX, BondInput: u, BondChange: d.Wallet.Address()}, nil
		}
	}
	return plutus.Part{}, refuse(market.RefusedFunds, "the bond input %s is spent", lot.BondInput)
}
