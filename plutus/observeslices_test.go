package plutus

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// inBlock is a draft as a block has it, and what its inputs hold.
func inBlock(d chain.Draft, n byte) (chain.BlockTx, func(chain.OutRef) (chain.UTxO, bool)) {
	tx := chain.BlockTx{ID: chain.TxID{n}, Mint: map[chain.AssetID]int64{}, MintRedeemers: map[chain.ScriptHash][]byte{}, Witnesses: d.Signers}
	held := map[chain.OutRef]chain.UTxO{}
	for _, in := range d.Inputs {
		tx.Inputs = append(tx.Inputs, in.Ref)
		held[in.Ref] = in.UTxO
	}
	for i, o := range d.Outputs {
		tx.Outputs = append(tx.Outputs, chain.UTxO{Ref: chain.OutRef{Tx: tx.ID, Index: uint32(i)}, Output: o})
	}
	for _, m := range d.Mint {
		tx.MintRedeemers[m.Policy] = m.Redeemer
		for name, q := range m.Assets {
			tx.Mint[chain.AssetID{Policy: m.Policy, Name: name}] = q
		}
	}
	return tx, func(r chain.OutRef) (chain.UTxO, bool) { u, ok := held[r]; return u, ok }
}

// seenIn is what a draft does to shares: for each, by its provider's number, in short.
func (w *world) seenIn(t *testing.T, d chain.Draft) (seen []string) {
	t.Helper()
	tx, held := inBlock(d, 7)
	events, err := w.ObserveSlices(tx, held)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		how := fmt.Sprintf("paid %d, back %d", e.ToProviderUNTX, e.ToRequesterUNTX)
		switch {
		case e.Place.Of > 0:
			how = fmt.Sprintf("%d of %d", e.Place.Index, e.Place.Of)
		case e.Lot.Ref != e.Spent:
			how = map[State]string{Open: "open", Committed: "committed"}[e.Lot.State]
		case e.ToProviderUNTX+e.ToRequesterUNTX != e.Lot.PriceUNTX+e.Lot.BondUNTX:
			t.Errorf("%+v", e)
		case e.ToRequesterUNTX == 0:
			how = "paid"
		case e.ToRequesterUNTX == e.Lot.PriceUNTX+PenaltyOf(e.Lot.PriceUNTX, e.Terms.PenaltyBps):
			how = "refunded"
		}
		if out := e.Lot.Ref; e.Lot.Ref != e.Spent && !tx.Outputs[out.Index].Value.Equal(chain.Value{}) && out.Tx != tx.ID {
			t.Errorf("%s is in %s", how, out)
		}
		seen = append(seen, fmt.Sprintf("%d %s", slices.Index(w.addresses, e.Lot.Provider), how))
	}
	return seen
}

// TestObserveSlices: of every transition of slices it is seen what became of each share.
func TestObserveSlices(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	order := func(all ...string) string { slices.Sort(all); return fmt.Sprint(all) }
	for name, c := range map[string]struct {
		draft func(testing.TB) chain.Draft
		want  []string
	}{
		"start":      {w.startSlices, []string{"0 0 of 2", "1 1 of 2", "2 0 of 1"}},
		"settle":     {w.settle, []string{"0 paid", "1 paid", "2 paid", "0 paid"}},
		"leave":      {w.leave, []string{"0 open", "2 committed", "1 0 of 1"}},
		"leave last": {w.leaveLast, []string{"0 committed", "1 committed"}},
		"finish":     {w.finish, []string{"0 paid", "1 open", "2 paid"}},
		"dissolve":   {w.dissolve, []string{"0 refunded", "1 refunded", "2 refunded"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := order(w.seenIn(t, c.draft(t))...); got != order(c.want...) {
				t.Errorf("%s, not %s", got, order(c.want...))
			}
		})
	}
}

// TestObserveForeign: a slice that names other lots is none of ours, whatever it is together with; its requester chooses
// what it names. A slice beside it is seen in full, from its start to its end.
func TestObserveForeign(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	foreign := func(o *chain.Output) {
		f, _ := fieldsOf(o.Datum, 0)
		o.Datum = raw(data.NewConstr(0, f[0], data.NewByteString(make([]byte, 28))))
	}
	d := w.startSlices(t)
	foreign(&d.Outputs[0])
	if got := fmt.Sprint(w.seenIn(t, d)); got != "[2 0 of 1]" {
		t.Errorf("start: %s", got)
	}
	d = w.settle(t)
	foreign(&d.Inputs[0].Output) // of shares 0 and 1
	if got := fmt.Sprint(w.seenIn(t, d)); got != "[2 paid 0 paid]" {
		t.Errorf("settle: %s", got)
	}
	for _, draft := range []func(testing.TB) chain.Draft{w.leave, w.finish, w.dissolve} {
		d = draft(t)
		foreign(&d.Inputs[0].Output)
		if got := w.seenIn(t, d); len(got) != 0 {
			t.Errorf("%s", got)
		}
	}
	tx, _ := inBlock(w.leave(t), 7)
	if _, err := w.ObserveSlices(tx, func(chain.OutRef) (chain.UTxO, bool) { return chain.UTxO{}, false }); !errors.Is(err, ErrUnknownLot) {
		t.Errorf("a slice nobody saw: %v", err)
	}
	tx.Invalid = true
	if events, err := w.ObserveSlices(tx, nil); err != nil || len(events) > 0 {
		t.Errorf("an invalid transaction: %v, %v", events, err)
	}
}

// FuzzObserveSlices: no redeemer makes the index stop or invent a share.
func FuzzObserveSlices(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	for _, draft := range []func(testing.TB) chain.Draft{w.startSlices, w.settle, w.leave, w.leaveLast, w.finish, w.dissolve} {
		d := draft(f)
		f.Add(minted(&d, w.Slices.Policy).Redeemer)
	}
	d := w.leave(f)
	f.Fuzz(func(t *testing.T, said []byte) {
		tx, held := inBlock(d, 7)
		tx.MintRedeemers[w.Slices.Policy] = said
		events, err := w.ObserveSlices(tx, held)
		if err != nil {
			return
		}
		for _, e := range events {
			if e.Lot.Job != w.slicedJob() {
				t.Fatalf("%+v", e)
			}
		}
	})
}
