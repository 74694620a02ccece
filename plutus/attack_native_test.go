package plutus

import (
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// nativeLots makes the slice of a draft one that names a native script as its lots' policy, which runs without a
// redeemer: so there is one left for another's slice.
func nativeLots(w *world, d *chain.Draft) {
	native := chain.ScriptHash{1, 2, 3}
	lotsBy(w, d, native, nil)
	names := func(o *chain.Output) {
		if f, ok := fieldsOf(o.Datum, 0); ok && len(f) == 2 {
			o.Datum = raw(data.NewConstr(0, f[0], data.NewByteString(native[:])))
		}
	}
	for i, in := range d.Inputs {
		if in.Address == w.Slices.Address {
			names(&d.Inputs[i].Output)
		}
	}
	for i, o := range d.Outputs {
		if o.Address == w.Slices.Address {
			names(&d.Outputs[i])
		}
	}
}

// TestNativeLots: whoever starts a slice chooses what it names as the lots' policy. A native script there has no
// redeemer, and must not make room for another slice, of which nothing would be looked at.
func TestNativeLots(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for _, kind := range []string{"leave", "finish"} {
		as := everything()[kind]
		d := as.draft(w, t)
		nativeLots(w, &d)
		w.spend(&d, w.sliceIn(0xef, w.otherContested(1), 0, 1), w.Slices.StubScript)
		payer := as.payer(w)
		r := chaintest.Raw{Draft: d, Paying: purse(payer), Change: payer.Address, Collateral: collateral(payer)}
		tx, err := r.Encode(w.ledger, w.Network)
		if err != nil {
			t.Fatal(err)
		}
		_, err = chain.Evaluate(tx, tx.Resolved(), w.ledger, w.clock)
		if got := label(w.Explain(err)); got != "tx.redeemer" {
			t.Errorf("%s: check %q: %v", kind, got, err)
		}
	}
}
