package escrow_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// held is a provider's lot as its output has it.
func (o *opened) held(p *party) plutus.Lot {
	o.Helper()
	u, ok, err := p.book.Held(o.Context(), o.lot(p).Ref)
	o.must(err)
	l, err := o.contracts.ReadLot(u, o.terms)
	if err != nil || !ok {
		o.Fatalf("the lot's output: %v, %v", ok, err)
	}
	return l
}

// closing is what a provider makes of a transaction that should close its lot.
func (o *opened) closing(p *party, tx *chain.Tx) (plutus.Split, error) {
	o.Helper()
	known := append(o.ledger.UTxOs(o.requester.Address), o.ledger.UTxOs(o.contracts.Address)...)
	return escrow.CheckClosing(o.contracts, o.lot(p), tx, known, chaintest.Params(), chaintest.Clock())
}

// A closing gives each side what both signed, in every state of a lot, and its provider sees that before it signs.
func TestClosing(t *testing.T) {
	for name, bring := range map[string]func(*opened, *party){
		"open":     func(*opened, *party) {},
		"disputed": func(o *opened, p *party) { o.disputed(p) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			p := w.providers[0]
			o := w.contest(p)
			bring(o, p)
			l := o.held(p)
			const award = 7_000_000
			d, err := w.contracts.Close(l, o.terms, award, plutus.Frame{From: w.ledger.Slot(), Until: w.ledger.Slot() + 100})
			w.must(err)
			tx, err := w.requester.purse.Pay(w.Context(), d, "close")
			w.must(err)
			s, err := o.closing(p, tx)
			if want := (plutus.Split{ProviderUNTX: award, RequesterUNTX: price + bond + l.DisputeBondUNTX - award}); err != nil || s != want {
				t.Fatalf("%+v %v", s, err)
			}
			before := p.ntx(w)
			w.must(p.Sign(tx))
			w.must(w.ledger.Submit(tx.Bytes()))
			w.block(1)
			o.is(p, escrow.Closed)
			if got := p.ntx(w) - before; got != award {
				t.Errorf("the provider got %d", got)
			}
		})
	}
}

// What looks like a closing and is not, or takes more of the provider than its lot, is not signed.
func TestUnsafeClosing(t *testing.T) {
	w := newWorld(t, 2)
	p, other := w.providers[0], w.providers[1]
	o := w.open(p, other)
	frame := plutus.Frame{From: w.ledger.Slot(), Until: w.ledger.Slot() + 100}
	closing := func(of *party) chain.Draft {
		d, err := w.contracts.Close(o.held(of), o.terms, 1, frame)
		w.must(err)
		return d
	}
	with := func(d chain.Draft, collateral *party) *chain.Tx {
		t.Helper()
		plain := func(u chain.UTxO) bool { return u.Value.Of(ntx) == 0 }
		coins, apart := w.ledger.UTxOs(w.requester.Address), w.ledger.UTxOs(collateral.Address)
		i := slices.IndexFunc(apart, plain)
		coins = slices.DeleteFunc(coins, plain)
		tx, err := chain.Balance(d, coins, w.requester.Address, apart[i:i+1], chaintest.Params(), chaintest.Clock(), chaintest.Network())
		w.must(err)
		return tx
	}
	stolen := closing(p)
	stolen.Inputs = append(stolen.Inputs, chain.Input{UTxO: w.coin(p)})
	declined, err := w.contracts.Decline(o.held(p), o.terms, frame)
	w.must(err)
	for check, tx := range map[string]*chain.Tx{
		"inputs: " + w.coin(p).Ref.String():     with(stolen, w.requester),
		"inputs: " + o.lot(other).Ref.String():  with(closing(other), w.requester),
		"is not an output of the requester's":   with(closing(p), p),
		"redeemers: the redeemer is of decline": with(declined, w.requester),
	} {
		var no *plutus.Unsafe
		if _, err := o.closing(p, tx); !errors.As(err, &no) || !strings.Contains(err.Error(), check) {
			t.Errorf("%s: %v", check, err)
		}
	}
	if _, err := escrow.CheckClosing(w.contracts, o.lot(p), with(closing(p), w.requester), nil, chaintest.Params(), chaintest.Clock()); err == nil {
		t.Error("nothing is known of its inputs, and it passes")
	}
}
