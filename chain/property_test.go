package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// drawValue draws an amount with up to four assets of three policies, names of any length.
func drawValue(t *rapid.T, least, most uint64) chain.Value {
	v := chain.Coins(chain.Lovelace(rapid.Uint64Range(least, most).Draw(t, "coin")))
	for range rapid.IntRange(0, 4).Draw(t, "assets") {
		var id chain.AssetID
		id.Policy[0] = rapid.ByteRange(1, 3).Draw(t, "policy")
		id.Name = rapid.SampledFrom([]string{"", "a", "b", "aa", "NTX", string(make([]byte, 32))}).Draw(t, "name")
		v = v.With(id, rapid.Uint64Range(1, 1<<40).Draw(t, "quantity"))
	}
	return v
}

// TestBalanceProperties: whatever the draft and the coins, Balance says that they do not suffice, or makes a
// transaction that passes every rule with the least fee, pays what was asked, and comes out the same however the
// coins are ordered.
func TestBalanceProperties(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	p, clk, net := chaintest.Params(), chaintest.Clock(), chaintest.Network()
	lock, policy := chaintest.Accepts(2), chaintest.Accepts(1)
	coll := alice.Coin(1000, chain.Coins(8_000_000))
	rapid.Check(t, func(t *rapid.T) {
		var have []chain.UTxO
		for i := range rapid.IntRange(0, 12).Draw(t, "coins") {
			have = append(have, alice.Coin(uint32(i), drawValue(t, 1_500_000, 40_000_000)))
		}
		d := chain.Draft{From: chain.Slot(rapid.Uint64Range(0, 5).Draw(t, "from")), Until: 100}
		for range rapid.IntRange(0, 3).Draw(t, "outputs") {
			o := chain.Output{Address: bob.Address, Value: drawValue(t, 2_000_000, 20_000_000)}
			if rapid.Bool().Draw(t, "minimum") {
				o.Value.Coin = 0
			}
			if rapid.Bool().Draw(t, "datum") {
				o.Datum = unit
			}
			d.Outputs = append(d.Outputs, o)
		}
		if rapid.Bool().Draw(t, "bond") {
			d.Inputs = append(d.Inputs, chain.Input{UTxO: bob.Coin(0, drawValue(t, 2_000_000, 9_000_000))})
		}
		if rapid.Bool().Draw(t, "script") {
			u := bob.Coin(1, drawValue(t, 2_000_000, 9_000_000))
			u.Address, u.Datum = script(lock), unit
			d.Inputs, d.Scripts = append(d.Inputs, chain.Input{UTxO: u, Redeemer: unit}), append(d.Scripts, lock)
		}
		if rapid.Bool().Draw(t, "mint") {
			d.Scripts = append(d.Scripts, policy)
			d.Mint = []chain.Mint{{Policy: chain.HashScript(policy), Redeemer: unit, Assets: map[string]int64{"x": rapid.Int64Range(1, 99).Draw(t, "minted")}}}
		}
		tx, err := chain.Balance(d, have, alice.Address, []chain.UTxO{coll}, p, clk, net)
		if errors.Is(err, chain.ErrInsufficient) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []chaintest.Actor{alice, bob} {
			for _, k := range tx.MissingWitnesses() {
				if k == a.Hash {
					if err := a.Sign(tx); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if err := chain.Check(tx, tx.Resolved(), p, clk, net, 50); err != nil {
			t.Fatal(err)
		}
		body, err := tx.Inspect()
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range d.Outputs {
			got := body.Outputs[i]
			want := o
			if want.Value.Coin == 0 {
				want.Value.Coin = p.MinCoin(o)
			}
			if got.Address != want.Address || !got.Value.Equal(want.Value) || !bytes.Equal(got.Datum, want.Datum) {
				t.Fatalf("output %d: %v, want %v", i, got, want)
			}
		}
		for _, o := range body.Outputs[len(d.Outputs):] {
			if o.Address != alice.Address {
				t.Fatalf("change to %s", o.Address)
			}
		}
		if least := p.MinFee(len(tx.Bytes())-1, tx.Units(), 0); body.Fee < least || body.Fee > least+88 {
			t.Fatalf("fee %d, least %d", body.Fee, least)
		}
		again, err := chain.DecodeTx(tx.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), tx.Bytes()) || !bytes.Equal(again.Body(), tx.Body()) {
			t.Fatalf("decoded and encoded it is another: %v", err)
		}
		rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed"))).Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
		other, err := chain.Balance(d, have, alice.Address, []chain.UTxO{coll}, p, clk, net)
		if err != nil || other.ID() != tx.ID() {
			t.Fatalf("shuffled coins give another transaction: %v", err)
		}
	})
}

// TestChangeSplits: a wallet of very many assets gets its change in outputs that the ledger takes.
func TestChangeSplits(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	var have []chain.UTxO
	want := chain.Value{}
	for i := range uint32(3) {
		v := chain.Coins(90_000_000)
		for j := range 100 {
			id := chain.AssetID{Policy: chain.ScriptHash{byte(i), byte(j)}, Name: fmt.Sprintf("a long name of asset %d", j)}
			v, want = v.With(id, 1<<40), want.With(id, 1<<40)
		}
		have = append(have, alice.Coin(i, v))
	}
	tx := balance(t, chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(100_000_000)}}}, have, alice.Address)
	body, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	got := chain.Value{}
	for _, o := range body.Outputs[1:] {
		o.Value.Coin = 0
		if got, err = got.Add(o.Value); err != nil {
			t.Fatal(err)
		}
	}
	for _, in := range body.Inputs { // at least the inputs' assets come back
		for id := range have[in.Index].Value.Assets {
			if got.Of(id) != want.Of(id) {
				t.Fatalf("%d of %s came back", got.Of(id), id)
			}
		}
	}
	if len(body.Outputs) < 3 {
		t.Errorf("%d outputs", len(body.Outputs))
	}
	if err := check(tx, tx.Resolved(), 5, []chaintest.Actor{alice}); err != nil {
		t.Error(err)
	}
}

// TestCoinsChosen: few inputs, and the smallest that suffices.
func TestCoinsChosen(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	ntx := chain.AssetID{Policy: chain.ScriptHash{7}, Name: "NTX"}
	have := []chain.UTxO{
		alice.Coin(0, chain.Coins(500_000_000)), alice.Coin(1, chain.Coins(30_000_000)), alice.Coin(2, chain.Coins(3_000_000)),
		alice.Coin(3, chain.Coins(2_000_000).With(ntx, 50)), alice.Coin(4, chain.Coins(2_000_000).With(ntx, 900)), alice.Coin(5, chain.Coins(2_000_000).With(ntx, 120)),
	}
	for _, c := range []struct {
		pay  chain.Value
		want []uint32
	}{
		{chain.Coins(10_000_000), []uint32{1}},
		{chain.Coins(100_000_000), []uint32{0}},
		{chain.Coins(10_000_000).With(ntx, 100), []uint32{1, 5}},
		{chain.Coins(10_000_000).With(ntx, 950), []uint32{1, 3, 4}},
		{chain.Coins(520_000_000), []uint32{0, 1}},
	} {
		tx := balance(t, chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: c.pay}}}, have, alice.Address)
		body, err := tx.Inspect()
		if err != nil {
			t.Fatal(err)
		}
		var got []uint32
		for _, in := range body.Inputs {
			got = append(got, in.Index)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("to pay %v: %v, want %v", c.pay, got, c.want)
		}
	}
	_, err := chain.Balance(chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Value{}.With(ntx, 1071)}}},
		have, alice.Address, nil, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if !errors.Is(err, chain.ErrInsufficient) {
		t.Errorf("more than there is: %v", err)
	}
}
