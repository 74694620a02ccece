package plutus

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// FuzzUnpackTerms: what is accepted packs to the same bytes.
func FuzzUnpackTerms(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	f.Add(w.terms.pack())
	t := w.terms
	t.Requester = w.addresses[1]
	f.Add(t.pack())
	f.Add(w.contested.pack())
	t.VoucherKey = w.contested.VoucherKey
	f.Add(t.pack())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := UnpackTerms(b, w.Network)
		if err != nil {
			return
		}
		if again, err := x.Pack(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x packs to %x, %v", b, again, err)
		}
	})
}

// FuzzDecodeAction: what is accepted is written as the scripts' own serialiseData would.
func FuzzDecodeAction(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	for _, k := range kinds() {
		b := raw(data.NewConstr(uint(slices.Index(kinds(), k)), says(w.action(k))...))
		f.Add(b)
		f.Add(definite(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) { serialised(t, b, w.Network, DecodeAction) })
}

// serialised wants what is accepted to be written canonically, and to read the same.
func serialised[T interface{ Encode() ([]byte, error) }](t *testing.T, b []byte, n chain.Network, decode func([]byte, chain.Network) (T, error)) {
	t.Helper()
	x, err := decode(b, n)
	if err != nil {
		return
	}
	out, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := decode(out, n); err != nil || !reflect.DeepEqual(again, x) || !chain.IsCanonicalData(out) {
		t.Fatalf("%+v, then %+v, %v", x, again, err)
	}
}

// FuzzReadLot: whatever the datum, what is accepted as a lot has an output that reads as the same lot.
func FuzzReadLot(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	f.Add(w.lotIn(1, 0, Open, w.terms).Datum, uint8(Open), uint64(price+bond))
	f.Add(w.lotIn(1, 1, Committed, w.terms).Datum, uint8(Committed), uint64(1))
	f.Add(w.lotIn(1, 1, Disputed, w.contested).Datum, uint8(Disputed), uint64(disputeBond+1))
	f.Add(definite(w.lotIn(1, 1, Open, w.terms).Datum), uint8(2), uint64(0))
	f.Fuzz(func(t *testing.T, datum []byte, state uint8, sum uint64) {
		v := chain.Coins(ada).With(ntx, sum).With(w.Token(w.job, State(state)), 1)
		u := chain.UTxO{Output: chain.Output{Address: w.Address, Value: v, Datum: datum}}
		l, err := w.ReadLot(u, w.contested)
		if err != nil {
			return
		}
		o, err := w.output(l)
		if err != nil {
			t.Fatal(err)
		}
		m, err := w.ReadLot(chain.UTxO{Output: o}, w.contested)
		if err != nil {
			t.Fatal(err)
		}
		if m.Provider != l.Provider || m.Root != l.Root || m.ClaimAt != l.ClaimAt || m.Deadline != l.Deadline || m.Own != l.Own || m.PriceUNTX != l.PriceUNTX || m.Job != l.Job || m.State != l.State {
			t.Fatalf("%+v, then %+v", l, m)
		}
	})
}

// FuzzReadStake: anybody may put anything at the stakes' address; what is accepted as a stake has an output that reads as
// the same stake.
func FuzzReadStake(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	f.Add(w.stake(1, 0, firstStake, 0).UTxO.Datum, uint64(firstStake))
	f.Add(w.stake(1, 1, secondStake, 7).UTxO.Datum, uint64(1))
	f.Add(definite(w.stake(1, 1, 1, 7).UTxO.Datum), uint64(1))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, datum []byte, untx uint64) {
		s, err := w.ReadStake(chain.UTxO{Output: chain.Output{Address: w.StakeAddress, Value: chain.Coins(ada).With(ntx, untx), Datum: datum}})
		if err != nil {
			if !errors.Is(err, ErrStake) {
				t.Fatal(err)
			}
			return
		}
		o, err := w.stakeOutput(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := w.ReadStake(chain.UTxO{Output: o})
		if err != nil || again.Owner != s.Owner || again.Since != s.Since || again.UNTX != untx {
			t.Fatalf("%+v, then %+v: %v", s, again, err)
		}
	})
}

// FuzzObserve: no redeemer makes the index stop or invent a lot.
func FuzzObserve(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	for _, k := range kinds() {
		b := raw(data.NewConstr(uint(slices.Index(kinds(), k)), says(w.action(k))...))
		f.Add(b, int64(1))
		f.Add(b, int64(-1))
	}
	known := w.lot(f, 1, 0, Open)
	f.Fuzz(func(t *testing.T, redeemer []byte, q int64) {
		events, err := w.Observe(chain.BlockTx{
			Inputs: []chain.OutRef{known.Ref}, Mint: map[chain.AssetID]int64{w.Token(w.job, Open): q},
			MintRedeemers: map[chain.ScriptHash][]byte{w.Policy: redeemer},
			Outputs:       []chain.UTxO{{Output: chain.Output{Address: chaintest.NewActor("x").Address}}},
		}, func(r chain.OutRef) (Lot, bool) { return known, r == known.Ref })
		if err == nil && len(events) > 1 {
			t.Fatalf("%d events of one lot", len(events))
		}
	})
}

// FuzzJSON: terms and lots that are read from JSON are written as JSON that reads the same.
func FuzzJSON(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	for _, v := range []any{w.terms, w.contested, Lot{Provider: w.addresses[0], PriceUNTX: 5, Root: [32]byte{1}}} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same[Terms](t, b)
		same[Lot](t, b)
		same[Keys](t, b)
	})
}

func same[T any](t *testing.T, b []byte) {
	t.Helper()
	var v, again T
	if json.Unmarshal(b, &v) != nil {
		return
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &again); err != nil || !reflect.DeepEqual(v, again) {
		t.Fatalf("%s becomes %s: %v", b, out, err)
	}
}
