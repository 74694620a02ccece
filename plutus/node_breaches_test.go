//go:build onnode

package plutus

import (
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// breach changes what a draft cannot say. want is a check of the contracts, or the ledger's rule, named as cardano-ledger
// names it.
type breach struct {
	name, want string
	do         func(*arena, *chaintest.Raw)
	unsigned   bool // a key that must sign does not
	mints      bool // it is of a transaction that mints
}

// breaches is what is tried on every transition beside its attacks.
func breaches() []breach {
	field := func(k uint64, v any) func(*arena, *chaintest.Raw) {
		return func(_ *arena, r *chaintest.Raw) { r.Fields = map[uint64]any{k: v} }
	}
	all := []breach{
		{name: "a signature is missing", want: "MissingVKeyWitnessesUTXOW", unsigned: true, do: func(*arena, *chaintest.Raw) {}},
		{name: "a lovelace from nowhere", want: "ValueNotConservedUTxO", do: field(2, chaintest.RawFee-1)},
		{name: "not valid yet", want: "OutsideValidityIntervalUTxO", do: func(a *arena, r *chaintest.Raw) { r.From = r.Until - 2 }},
		{name: "another network", want: "WrongNetworkInTxBody", do: field(15, 1)},
		{name: "other redeemers than signed", want: "PPViewHashesDontMatch", do: field(11, make([]byte, 32))},
		{name: "an output below the minimum", want: "BabbageOutputTooSmallUTxO", do: func(_ *arena, r *chaintest.Raw) {
			r.Outputs = append(slices.Clone(r.Outputs), chain.Output{Address: r.Change, Value: chain.Coins(1)})
		}},
		{name: "another sum of collateral", want: "IncorrectTotalCollateralField", do: field(17, 1)},
		{name: "a reference to nothing", want: "BadInputsUTxO", do: func(_ *arena, r *chaintest.Raw) {
			r.References = append(slices.Clone(r.References), chaintest.NewActor("stranger").Coin(7, chain.Coins(5_000_000)))
		}},
		{name: "the mint's redeemer is missing", want: "MissingRedeemers", mints: true, do: func(_ *arena, r *chaintest.Raw) {
			r.Mint = slices.Clone(r.Mint)
			r.Mint[0].Redeemer = nil
		}},
	}
	for _, b := range besides() {
		if b.onNode {
			all = append(all, breach{name: b.name, want: b.want, mints: true, do: func(a *arena, r *chaintest.Raw) {
				paying := r.Paying
				if b.do(r); r.Deposit > keyDeposit {
					r.Paying = append(slices.Clone(paying), a.coin) // the bank's
				}
			}})
		}
	}
	return all
}

// register registers the stake key from which nothing is to be withdrawn, its vote with whoever abstains always.
func (f *field) register(t *testing.T) {
	t.Helper()
	fr := f.frame(t)
	k := chaintest.NewActor("stake").Hash
	tx, err := f.send(chaintest.Raw{
		Draft: chain.Draft{From: fr.From, Until: fr.Until}, Paying: []chain.UTxO{f.coin}, Change: f.bank.Address,
		Deposit: keyDeposit, Fields: map[uint64]any{4: []any{[]any{12, []any{0, k[:]}, []any{2}, keyDeposit}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	f.coin = b.Outputs[0]
	f.settled(t, f.coin)
}

// breach submits the unbroken transaction with one thing changed beside its draft.
func (f *field) breach(t *testing.T, r *report, kind string, as attacks, b breach, a *arena) {
	t.Helper()
	if kind == "terms" || kind == "contested" || free(kind) && b.mints { // as open; stakes mint nothing
		return
	}
	draft := as.draft(a.world, t)
	f.reach(t, draft.From)
	x := row{section: "ledger", kind: kind, name: b.name, want: b.want}
	raw := a.raw(t, a.realise(draft), as.payer(a.world))
	b.do(a, &raw)
	var without []chain.KeyHash
	if b.unsigned {
		without = []chain.KeyHash{missing(raw)}
	}
	tx, err := a.encode(raw, without...)
	if err != nil {
		x.why = err.Error()
		r.add(t, x)
		return
	}
	f.judge(t, r, x, tx)
}

// missing is a key whose signature a transaction cannot do without: of a party, or of an input.
func missing(r chaintest.Raw) chain.KeyHash {
	if len(r.Signers) > 0 {
		return r.Signers[0]
	}
	for _, in := range r.Inputs {
		if k, ok := in.Address.Key(); ok && in.Address != r.Change {
			return k
		}
	}
	k, _ := r.Paying[0].Address.Key()
	return k
}
