package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Witness checks an opening line by line and witnesses it; or refuses with a market.Refusal. What was signed is on
// disk before the signature leaves. The same proposal again gets the same answer.
func (d *Daemon) Witness(ctx context.Context, from peer.ID, p market.TermsProposal) (market.Witness, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok, err := d.store.reservation(ctx, p.Reservation)
	if err != nil {
		return market.Witness{}, err
	}
	if !ok || r.Requester != from || r.State == ended {
		return market.Witness{}, refuse(market.RefusedUnknown, "no such reservation of yours")
	}
	tx, err := chain.DecodeTx(p.Tx)
	if err != nil {
		return market.Witness{}, refuse(market.RefusedTx, "%v", err)
	}
	if r.State == witnessed && r.Tx != tx.ID() {
		return market.Witness{}, refuse(market.RefusedTx, "another opening was signed for this reservation: %s", r.Tx)
	}
	terms, packed, err := d.checkTerms(ctx, r, p)
	if err != nil {
		return market.Witness{}, err
	}
	vkey, sig, err := d.sign(ctx, &r, p, tx, terms, packed)
	if err != nil {
		return market.Witness{}, err
	}
	return market.Witness{Reservation: r.ID, Tx: tx.ID(), VKey: vkey, Signature: sig}, nil
}

// sign checks the very bytes, records that they are being signed, and signs.
func (d *Daemon) sign(ctx context.Context, r *reservation, p market.TermsProposal, tx *chain.Tx, terms market.Terms, packed plutus.Terms) (vkey, sig []byte, err error) {
	resolved, err := p.UTxOs()
	if err != nil {
		return nil, nil, refuse(market.RefusedTx, "%v", err)
	}
	part, err := d.part(ctx, terms)
	if err != nil {
		return nil, nil, err
	}
	params, err := d.Ledger.Params(ctx)
	if err != nil {
		return nil, nil, err
	}
	clock, err := d.Ledger.Clock(ctx)
	if err != nil {
		return nil, nil, err
	}
	var owns error
	mine := plutus.Mine{
		Terms: packed, Part: part, Until: terms.LockUntil, Keys: d.Wallet.Keys(),
		Owns: func(ref chain.OutRef) bool {
			yes, err := d.Book.Owns(ctx, ref)
			owns = errors.Join(owns, err)
			return yes || err != nil
		},
	}
	check := func(tx *chain.Tx) error {
		return errors.Join(d.Contracts.CheckOpening(tx, resolved, mine, params, clock), owns)
	}
	if err := check(tx); err != nil {
		d.Log.Warn("provider: refused to witness", "reservation", r.ID, "error", err)
		return nil, nil, refuse(market.RefusedTx, "%.900v", err)
	}
	if r.State == reserved {
		if err := d.record(ctx, r, p, tx, terms, packed); err != nil {
			return nil, nil, err
		}
	}
	return d.Wallet.SignOpening(ctx, tx, check)
}

// record stores what is about to be signed and starts watching for it.
func (d *Daemon) record(ctx context.Context, r *reservation, p market.TermsProposal, tx *chain.Tx, terms market.Terms, packed plutus.Terms) error {
	id, err := packed.JobID()
	if err != nil {
		return err
	}
	if err := d.Wallet.Reserve(ctx, r.Bond, r.ID.String(), terms.CommitBy); err != nil {
		return fmt.Errorf("keep the bond input: %w", err)
	}
	r.Job, r.Terms, r.Tx, r.LockUntil, r.State = market.JobID(id), p.Terms, tx.ID(), terms.LockUntil, witnessed
	if err := d.store.witness(ctx, *r); err != nil {
		return err
	}
	job, ok, err := d.store.job(ctx, r.Job)
	if err != nil || !ok {
		return errors.Join(fmt.Errorf("job %s was just stored", r.Job), err)
	}
	d.Log.Info("provider: witnessing", "job", r.Job, "tx", r.Tx)
	select {
	case d.start <- job:
		return nil
	case <-ctx.Done():
		return ctx.Err() // stored: the next start of the daemon takes it up
	}
}

// checkTerms compares the terms with what was asked and quoted, with the contracts, and with the chain's time.
func (d *Daemon) checkTerms(ctx context.Context, r reservation, p market.TermsProposal) (t market.Terms, packed plutus.Terms, err error) {
	t, err = market.DecodeTerms(p.Terms)
	if err != nil {
		return t, packed, refuse(market.RefusedTerms, "%v", err)
	}
	req, quote, err := r.documents()
	if err != nil {
		return t, packed, err
	}
	if err := t.CheckQuoted(req, quote); err != nil {
		return t, packed, refuse(market.RefusedTerms, "%v", err)
	}
	now, err := d.now(ctx)
	if err != nil {
		return t, packed, err
	}
	switch {
	case t.Policy != d.Contracts.Policy || t.Spend != d.Contracts.Stub:
		return t, packed, refuse(market.RefusedTerms, "other contracts than %s", d.Contracts.Policy)
	case r.State == reserved && now > quote.Expires, t.LockUntil > quote.Expires:
		return t, packed, refuse(market.RefusedStale, "the quote ends at %d, the opening may be valid until %d", quote.Expires, t.LockUntil)
	}
	packed, err = escrow.PackTerms(t)
	if err != nil {
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
