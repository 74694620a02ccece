package plutus

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// TestLookalikes: what only looks like a lot is not read as one.
func TestLookalikes(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	token := w.Token(w.job, Open)
	for name, f := range map[string]func(*chain.UTxO){
		"at a key's address":   func(u *chain.UTxO) { u.Address = w.requester.Address },
		"with a stake part":    func(u *chain.UTxO) { u.Address = w.staked() },
		"without a token":      func(u *chain.UTxO) { u.Value = chain.Coins(ada).With(ntx, price+bond) },
		"with a foreign token": func(u *chain.UTxO) { u.Value = chain.Coins(ada).With(ntx, 1).With(chain.AssetID{Name: token.Name}, 1) },
		"with two tokens":      func(u *chain.UTxO) { u.Value = u.Value.With(token, 1) },
		"with two names":       func(u *chain.UTxO) { u.Value = chain.Coins(ada).With(token, 1).With(w.Token(w.job, Committed), 1) },
		"with a long name": func(u *chain.UTxO) {
			u.Value = chain.Coins(ada).With(ntx, 1).With(chain.AssetID{Policy: w.Policy, Name: token.Name + "x"}, 1)
		},
		"of a fourth state": func(u *chain.UTxO) { u.Value = chain.Coins(ada).With(ntx, 1).With(w.Token(w.job, 3), 1) },
		"disputed, without a dispute bond": func(u *chain.UTxO) {
			*u = w.lotIn(1, 0, Disputed, w.contested)
			u.Value = chain.Coins(ada).With(ntx, disputeBond).With(w.Token(w.contestedJob(), Disputed), 1)
		},
		"disputed, with more lovelace of the provider's than it holds": func(u *chain.UTxO) {
			*u = w.lotIn(1, 0, Disputed, w.contested)
			u.Value.Coin = ada - 1
		},
		"without NTX":        func(u *chain.UTxO) { u.Value = chain.Coins(ada).With(token, 1) },
		"with another asset": func(u *chain.UTxO) { u.Value = u.Value.With(chain.AssetID{Name: "x"}, 1) },
		"with a script":      func(u *chain.UTxO) { u.Script = chaintest.Accepts(1) },
		"without a datum":    func(u *chain.UTxO) { u.Datum = nil },
		"with a long datum":  func(u *chain.UTxO) { u.Datum = raw(data.NewList(data.NewByteString(make([]byte, maxDatum)))) },
		"with another state": func(u *chain.UTxO) { u.Datum = w.lotIn(1, 0, Committed, w.terms).Datum },
		"with a script provider": func(u *chain.UTxO) {
			u.Datum = raw(data.NewConstr(0, data.NewConstr(0, data.NewConstr(1, data.NewByteString(make([]byte, 28))), data.NewConstr(1))))
		},
	} {
		u := w.lotIn(1, 0, Open, w.terms)
		f(&u)
		if _, err := w.ReadLot(u, w.contested); !errors.Is(err, ErrLot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLotLovelaceCoversEveryState(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	p := chaintest.Params()
	least, err := w.LotLovelace(p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.providers {
		for _, s := range []State{Open, Committed, Disputed} {
			u := w.lotIn(1, i, s, w.contested)
			holds := least
			if s == Disputed {
				holds *= 2 // each side's
			}
			if need := p.MinCoin(u.Output); need > holds {
				t.Errorf("provider %d, state %d: the ledger demands %d, it would hold %d", i, s, need, holds)
			}
		}
	}
	t.Logf("%d lovelace", least)
}

// TestImpossibleDrafts: what cannot pass is refused before it is built.
func TestImpossibleDrafts(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	f := frame(workFrom)
	open, committed, other := w.lot(t, 1, 0, Open), w.lot(t, 2, 1, Committed), w.lotOf(t, 3, 0, Open, w.otherJob(1))
	contested, disputed := w.lotOf(t, 4, 0, Committed, w.contested), w.disputedLot(t)
	neighbour := w.lotOf(t, 6, 1, Committed, w.contested)
	theirs := w.SignVoucher(signer("voucher"), disputed.Job, w.providers[1].Hash, 1)
	dear := w.contested
	dear.Disputes.CostUNTX, dear.Disputes.BondUNTX = bond, bond
	draft := func(_ chain.Draft, err error) error { return err }
	part := func(f func(*Part)) []Part {
		ps := w.parts()
		f(&ps[0])
		return ps
	}
	for name, err := range map[string]error{
		"approve nothing":             draft(w.Approve(nil, w.terms, f)),
		"approve another job's":       draft(w.Approve([]Lot{open, other}, w.terms, f)),
		"approve twice":               draft(w.Approve([]Lot{open, open}, w.terms, f)),
		"approve in no time":          draft(w.Approve([]Lot{open}, w.terms, Frame{From: 5, Until: 5})),
		"claim nothing":               draft(w.Claim(nil, f)),
		"claim an open lot":           draft(w.Claim([]Lot{open}, f)),
		"claim of two providers":      draft(w.Claim([]Lot{committed, w.lot(t, 4, 2, Committed)}, f)),
		"refund a committed lot":      draft(w.Refund([]Lot{committed}, w.terms, f)),
		"decline a committed lot":     draft(w.Decline(committed, w.terms, f)),
		"commit a committed lot":      draft(w.Commit(committed, w.terms, [32]byte{}, 1, f)),
		"open without parts":          draft(w.Open(w.terms, nil, w.seed(), f)),
		"open with another seed":      draft(w.Open(w.terms, w.parts(), w.requester.Coin(5, chain.Coins(1)), f)),
		"open twice for one":          draft(w.Open(w.terms, append(w.parts(), w.parts()[0]), w.seed(), f)),
		"open for a script":           draft(w.Open(w.terms, part(func(p *Part) { p.Provider = w.Address }), w.seed(), f)),
		"open with another's input":   draft(w.Open(w.terms, part(func(p *Part) { p.BondInput = w.stranger.Coin(1, p.BondInput.Value) }), w.seed(), f)),
		"open for nothing":            draft(w.Open(w.terms, part(func(p *Part) { p.PriceUNTX = 0 }), w.seed(), f)),
		"open for too much":           draft(w.Open(w.terms, part(func(p *Part) { p.PriceUNTX = maxQuantity }), w.seed(), f)),
		"close for more than all":     draft(w.Close(disputed, w.contested, price+bond+disputeBond+1, f)),
		"close another job's":         draft(w.Close(open, w.contested, 1, f)),
		"redeem nothing":              draft(w.Redeem(nil, f)),
		"redeem a disputed lot":       draft(w.Redeem([]Earned{{disputed, w.contested, w.voucher(disputed.Job, 1)}}, f)),
		"redeem of two providers":     draft(w.Redeem([]Earned{{contested, w.contested, w.voucher(disputed.Job, 1)}, {neighbour, w.contested, theirs}}, f)),
		"dispute an open lot":         draft(w.Dispute(w.lotOf(t, 5, 0, Open, w.contested), w.contested, 1, f)),
		"dispute without terms":       draft(w.Dispute(committed, w.terms, 1, f)),
		"decide on a committed lot":   draft(w.Verdict(contested, w.contested, w.decided(contested, 1, 0, attesterNames...), f)),
		"award more than the price":   draft(w.Verdict(disputed, w.contested, w.decided(disputed, price+1, 0, attesterNames...), f)),
		"slash a winner":              draft(w.Verdict(disputed, w.contested, w.decided(disputed, price, 1, attesterNames...), f)),
		"slash too much":              draft(w.Verdict(disputed, w.contested, w.decided(disputed, 0, price/10+1, attesterNames...), f)),
		"concede a committed lot":     draft(w.Concede(contested, w.contested, f)),
		"lapse of a committed lot":    draft(w.Lapse(contested, w.contested, f)),
		"open with too small a bond":  draft(w.Open(dear, w.parts(), w.seed(), f)),
		"open without change address": draft(w.Open(w.terms, part(func(p *Part) { p.BondChange = chain.Address{} }), w.seed(), f)),
	} {
		if !errors.Is(err, ErrDraft) {
			t.Errorf("%s: %v", name, err)
		}
	}
	poor := part(func(p *Part) { p.BondInput.Value = chain.Coins(ada).With(ntx, bond-1) })
	if _, err := w.Open(w.terms, poor, w.seed(), f); !errors.Is(err, chain.ErrInsufficient) {
		t.Errorf("bond input without the bond: %v", err)
	}
}

// TestStored: what is kept in a database comes back as it was.
func TestStored(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for _, s := range []State{Open, Committed, Disputed} {
		e := Event{Kind: KindCommit, Lot: w.lotOf(t, 1, 1, s, w.contested), Terms: w.contested, ToPayeeUNTX: 5, Payers: []chain.KeyHash{{1}}, Spent: chain.OutRef{Index: 3}}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e, back) {
			t.Errorf("%s came back as %+v", b, back)
		}
	}
	var d digest
	for _, bad := range []string{"", "zz", strings.Repeat("g", 64)} {
		if err := d.UnmarshalText([]byte(bad)); !errors.Is(err, ErrTerms) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
