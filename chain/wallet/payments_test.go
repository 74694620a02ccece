package wallet

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// TestPayments: a payment and what it spends are stored together or not at all, outlive the process, have one owner at a
// time, and are forgotten once they have ended and can never come back.
func TestPayments(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "wallet.db")
	r := open(t, path)
	x := Payment{
		Tx: chain.TxID{7}, Raw: []byte{1, 2}, Order: "send something", Owner: "one",
		Since: chain.Point{Slot: 5, Hash: chain.BlockHash{6}}, Height: 4, Until: 1000,
	}
	if err := r.Reserve(ctx, refs(3), "job", 5000); err != nil {
		t.Fatal(err)
	}
	if err := r.Pay(ctx, x, refs(2, 3), "send 7"); !errors.Is(err, ErrReserved) {
		t.Fatalf("what it spends is another's: %v", err)
	}
	if all, err := r.Payments(ctx); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	if kept, err := r.All(ctx); err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	if err := r.Reserve(ctx, refs(1), "send 7", 10); err != nil { // while it is shown
		t.Fatal(err)
	}
	if err := r.Pay(ctx, x, refs(1, 2), "send 7"); err != nil {
		t.Fatal(err)
	}
	if err := r.Pay(ctx, x, refs(1, 2), "send 7"); !errors.Is(err, ErrStore) {
		t.Errorf("the same twice: %v", err)
	}

	r = open(t, path)
	all, err := r.Payments(ctx)
	if err != nil || len(all) != 1 || all[0].Tx != x.Tx || !slices.Equal(all[0].Raw, x.Raw) || all[0].Since != x.Since || all[0].Height != 4 || all[0].Order != x.Order || all[0].Until != 1000 || all[0].Ended {
		t.Fatalf("%+v, %v", all, err)
	}
	if kept, err := r.All(ctx); err != nil || len(kept) != 3 || kept[0].Until != 1000 {
		t.Errorf("%v, %v", kept, err)
	}
	for _, try := range []struct {
		from, to string
		want     bool
	}{{"two", "three", false}, {"one", "two", true}, {"one", "three", false}} {
		if ok, err := r.Adopt(ctx, x.Tx, try.from, try.to); err != nil || ok != try.want {
			t.Errorf("%+v: %v, %v", try, ok, err)
		}
	}
	if err := r.Expire(ctx, 9000, 100); err != nil {
		t.Fatal(err)
	}
	if all, err := r.Payments(ctx); err != nil || len(all) != 1 {
		t.Errorf("forgotten before anybody was told: %v, %v", all, err)
	}
	if err := r.End(ctx, x.Tx); err != nil {
		t.Fatal(err)
	}
	if ok, err := r.Adopt(ctx, x.Tx, "two", "three"); ok || err != nil {
		t.Errorf("adopted after its end: %v, %v", ok, err)
	}
	if err := r.Expire(ctx, 1100, 100); err != nil {
		t.Fatal(err)
	}
	if all, err := r.Payments(ctx); err != nil || len(all) != 1 {
		t.Errorf("forgotten while it can come back: %v, %v", all, err)
	}
	if err := r.Expire(ctx, 1101, 100); err != nil {
		t.Fatal(err)
	}
	if all, err := r.Payments(ctx); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestVoid: what is refused for good has ended, and what it wanted to spend is free at once.
func TestVoid(t *testing.T) {
	ctx := t.Context()
	r := open(t, filepath.Join(t.TempDir(), "wallet.db"))
	for i, purpose := range []string{"send 0", "send 1"} {
		if err := r.Pay(ctx, Payment{Tx: chain.TxID{byte(i)}, Raw: []byte{1}, Until: 1000}, refs(uint32(i)), purpose); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Void(ctx, chain.TxID{1}, "send 1"); err != nil {
		t.Fatal(err)
	}
	all, err := r.Payments(ctx)
	if err != nil || len(all) != 2 || all[0].Ended || !all[1].Ended {
		t.Errorf("%+v, %v", all, err)
	}
	if kept, err := r.All(ctx); err != nil || len(kept) != 1 || kept[0].Purpose != "send 0" {
		t.Errorf("%v, %v", kept, err)
	}
	again := Payment{Tx: chain.TxID{1}, Raw: []byte{1}, Owner: "another", Until: 1000}
	if err := r.Pay(ctx, again, refs(1), "send 1"); err != nil {
		t.Errorf("the same transaction anew: %v", err)
	}
	if all, err := r.Payments(ctx); err != nil || len(all) != 2 || all[1].Ended || all[1].Owner != "another" {
		t.Errorf("%+v, %v", all, err)
	}
}
