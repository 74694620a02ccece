package wallet

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func open(t testing.TB, path string) *Reservations {
	t.Helper()
	r, err := OpenReservations(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func refs(ns ...uint32) (out []chain.OutRef) {
	for _, n := range ns {
		out = append(out, chain.OutRef{Index: n})
	}
	return out
}

func TestReserve(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "a b?", "reservations.db")
	r := open(t, path)
	if err := r.Reserve(ctx, refs(1, 2), "job a", 1000); err != nil {
		t.Fatal(err)
	}
	if err := r.Reserve(ctx, refs(3, 2), "job b", 1000); !errors.Is(err, ErrReserved) {
		t.Fatalf("reserved twice: %v", err)
	}
	after := open(t, path) // what a restarted process sees
	got, err := after.All(ctx)
	if err != nil || len(got) != 2 || got[1] != (Reservation{refs(2)[0], "job a", 1000}) {
		t.Fatalf("after a restart: %v, %v", got, err)
	}
	if err := after.Reserve(ctx, refs(1, 2), "job a", 2000); err != nil {
		t.Errorf("the same purpose again: %v", err)
	}
	if err := r.Expire(ctx, 2500, 500); err != nil {
		t.Fatal(err)
	}
	if got, err := r.All(ctx); err != nil || len(got) != 2 {
		t.Errorf("expired too early: %v, %v", got, err)
	}
	if err := r.Expire(ctx, 2501, 500); err != nil {
		t.Fatal(err)
	}
	if got, err := r.All(ctx); err != nil || len(got) != 0 {
		t.Errorf("did not expire: %v, %v", got, err)
	}
	if err := errors.Join(r.Reserve(ctx, refs(1), "x", 1), r.Reserve(ctx, refs(2, 4), "y", 1), r.Spent(ctx, refs(4)), r.Release(ctx, "x")); err != nil {
		t.Fatal(err)
	}
	if got, err := r.All(ctx); err != nil || len(got) != 1 || got[0].Ref.Index != 2 {
		t.Errorf("after spending and releasing: %v, %v", got, err)
	}
}

// TestReserveRace: of many that want the same output, through two connections to the file, one gets it.
func TestReserveRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reservations.db")
	stores := []*Reservations{open(t, path), open(t, path)}
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			errs[i] = stores[i%2].Reserve(t.Context(), refs(uint32(i+10), 7), fmt.Sprint("job ", i), 1)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, ErrReserved):
			t.Error(err)
		}
	}
	if got, err := stores[0].All(t.Context()); won != 1 || err != nil || len(got) != 2 {
		t.Errorf("%d won; reserved %v, %v", won, got, err)
	}
}

func TestCoins(t *testing.T) {
	w, ctx := testWallet(t), t.Context()
	r := open(t, filepath.Join(t.TempDir(), "reservations.db"))
	token := chain.AssetID{Name: "t"}
	all := []chain.UTxO{
		coin(w, 0, chain.Coins(90_000_000)), coin(w, 1, chain.Coins(6_000_000)), coin(w, 2, chain.Coins(5_500_000).With(token, 3)),
		coin(w, 3, chain.Coins(2_000_000)), coin(w, 4, chain.Coins(5_000_000)),
	}
	if err := r.Reserve(ctx, refs(4), "job", 1); err != nil {
		t.Fatal(err)
	}
	coins, coll, err := r.Coins(ctx, all)
	if err != nil || len(coins) != 3 || len(coll) != 1 || coll[0].Ref.Index != 1 {
		t.Errorf("coins %v, collateral %v: %v", coins, coll, err)
	}
	for _, c := range coins {
		if c.Ref.Index == 1 || c.Ref.Index == 4 {
			t.Errorf("%v may pay", c.Ref)
		}
	}
	if _, need := w.CollateralDraft(all, 1, 9); need {
		t.Error("a wallet with collateral wants more")
	}
	for name, free := range map[string][]chain.UTxO{"one output": all[:1], "outputs with tokens": {all[2], coin(w, 7, chain.Coins(60_000_000).With(token, 9))}} {
		d, need := w.CollateralDraft(free, 1, 9)
		if !need {
			t.Errorf("%s: no collateral is made", name)
			continue
		}
		tx, err := chain.Balance(d, nil, w.Address(), nil, chaintest.Params(), chaintest.Clock(), w.Network())
		if err != nil {
			t.Fatal(err)
		}
		body, err := tx.Inspect()
		if err != nil || len(body.Inputs) != 1 || len(body.Outputs) != 2 || !isCollateral(body.Outputs[0]) || body.Outputs[1].Address != w.Address() {
			t.Errorf("%s: %+v %v", name, body, err)
		}
		if _, again := w.CollateralDraft(body.Outputs, 1, 9); again {
			t.Errorf("%s: and again", name)
		}
	}
	for name, free := range map[string][]chain.UTxO{"nothing": nil, "too little": {coin(w, 8, chain.Coins(6_900_000).With(token, 9))}} {
		if d, need := w.CollateralDraft(free, 1, 9); need {
			t.Errorf("%s: %v", name, d)
		}
	}
	if coins, coll, err := r.Coins(ctx, all[2:4]); err != nil || coll != nil || len(coins) != 2 {
		t.Errorf("no collateral: %v %v %v", coins, coll, err)
	}
}

func TestConsolidationOfADA(t *testing.T) {
	w := testWallet(t)
	free := []chain.UTxO{coin(w, 90, chain.Coins(CollateralLovelace)), coin(w, 91, chain.Coins(1_500_000).With(chain.AssetID{Name: "ntx"}, 1))}
	for i := range uint32(7) {
		free = append(free, coin(w, i, chain.Coins(1_000_000)))
	}
	d, worth := w.ConsolidationDraft(free, chain.AssetID{}, 3, 9)
	if !worth || len(d.Inputs) != 7 {
		t.Fatalf("%d are joined: %v", len(d.Inputs), worth)
	}
	tx, err := chain.Balance(d, nil, w.Address(), nil, chaintest.Params(), chaintest.Clock(), w.Network())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := tx.Inspect(); err != nil || len(b.Outputs) != 1 || b.Outputs[0].Value.Coin+b.Fee != 7_000_000 {
		t.Errorf("%+v %v", b, err)
	}
}

func TestConsolidation(t *testing.T) {
	w := testWallet(t)
	ntx, junk := chain.AssetID{Name: "ntx"}, chain.AssetID{Name: "junk"}
	small := chain.Coins(1_500_000).With(ntx, 7)
	stranger := coin(w, 90, small)
	stranger.Address = chain.Enterprise(w.Network(), chain.KeyHash{1})
	dated := coin(w, 91, small)
	dated.Datum = []byte{0xd8, 0x79, 0x80}
	apart := []chain.UTxO{
		stranger, dated, coin(w, 92, small.With(junk, 1)), coin(w, 93, chain.Coins(1_500_000)),
		coin(w, 94, chain.Coins(CollateralLovelace).With(ntx, 7)), coin(w, 95, chain.Coins(1_500_000).With(junk, 7)),
	}
	for n, want := range map[int]int{0: 0, 5: 0, 6: 6, 60: 60, 70: 60} {
		free := slices.Clone(apart)
		for i := range n {
			free = append(free, coin(w, uint32(i), small))
		}
		d, worth := w.ConsolidationDraft(free, ntx, 3, 9)
		if worth != (want > 0) || worth && len(d.Inputs) != want {
			t.Errorf("of %d outputs %d are joined (%v), not %d", n, len(d.Inputs), worth, want)
		}
		for _, in := range d.Inputs {
			if in.Ref.Index >= 90 {
				t.Errorf("output %d is joined", in.Ref.Index)
			}
		}
		if !worth {
			continue
		}
		tx, err := chain.Balance(d, nil, w.Address(), nil, chaintest.Params(), chaintest.Clock(), w.Network())
		if err != nil {
			t.Fatalf("%d outputs: %v", n, err)
		}
		body, err := tx.Inspect()
		if err != nil || len(body.Outputs) != 1 || body.Outputs[0].Address != w.Address() || body.Outputs[0].Value.Of(ntx) != 7*uint64(want) {
			t.Errorf("%d outputs: %+v %v", n, body.Outputs, err)
		}
	}
}
