package chain_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// drawPurse draws a wallet: outputs from hardly more than the ledger's minimum to large, some with assets, a few with very
// many.
func drawPurse(t *rapid.T, owner chaintest.Actor) (have []chain.UTxO) {
	p := chaintest.Params()
	for i := range rapid.IntRange(1, 20).Draw(t, "coins") {
		var v chain.Value
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5, 40}).Draw(t, "assets") {
			var id chain.AssetID
			id.Policy[0] = rapid.ByteRange(1, 30).Draw(t, "policy")
			id.Name = rapid.SampledFrom([]string{"", "NTX", string(make([]byte, 32))}).Draw(t, "name")
			v = v.With(id, rapid.Uint64Range(1, 1<<40).Draw(t, "quantity"))
		}
		v.Coin = p.MinCoin(chain.Output{Address: owner.Address, Value: v}) + chain.Lovelace(rapid.SampledFrom([]uint64{0, 1, 50_000, 700_000, 4_000_000, 90_000_000}).Draw(t, "above"))
		have = append(have, owner.Coin(uint32(i), v))
	}
	return have
}

// TestLeastCoins: take any coin away that was chosen, and the others do not pay for it, in ADA or in anything else; and what
// comes back is sound and lean.
func TestLeastCoins(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	p, clk, net := chaintest.Params(), chaintest.Clock(), chaintest.Network()
	paid, several := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		have := drawPurse(t, alice)
		pay := chain.Coins(chain.Lovelace(rapid.Uint64Range(1_000_000, 60_000_000).Draw(t, "ada")))
		if ids := have[0].Value.IDs(); len(ids) > 0 && rapid.Bool().Draw(t, "an asset") {
			pay = pay.With(ids[0], rapid.Uint64Range(1, have[0].Value.Of(ids[0])).Draw(t, "of it"))
		}
		d := chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: pay}}}
		tx, err := chain.Balance(d, have, alice.Address, nil, p, clk, net)
		if errors.Is(err, chain.ErrInsufficient) || errors.Is(err, chain.ErrLedgerRule) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		paid++
		chosen := tx.Resolved()
		if len(chosen) > 1 {
			several++
		}
		for i, u := range chosen {
			others := slices.Delete(slices.Clone(chosen), i, i+1)
			if _, err := chain.Balance(d, others, alice.Address, nil, p, clk, net); !errors.Is(err, chain.ErrInsufficient) {
				t.Fatalf("without %s of %v the others do: %v", u.Ref, u.Value, err)
			}
		}
		sound(t, tx, d, alice.Address)
	})
	if paid < 10 || several < 2 {
		t.Errorf("of all that was drawn %d paid, %d with several coins", paid, several)
	}
}

// sound checks a transaction's sums and its change without the rules of this package.
func sound(t *rapid.T, tx *chain.Tx, d chain.Draft, change chain.Address) {
	p := chaintest.Params()
	body, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	in, out := map[chain.AssetID]uint64{}, map[chain.AssetID]uint64{}
	coin := -int64(body.Fee)
	for _, u := range tx.Resolved() {
		coin += int64(u.Value.Coin)
		for id, q := range u.Value.Assets {
			in[id] += q
		}
	}
	bytes := 0
	for i, o := range body.Outputs {
		coin -= int64(o.Value.Coin)
		for id, q := range o.Value.Assets {
			out[id] += q
		}
		if least := p.MinCoin(o.Output); o.Value.Coin < least {
			t.Fatalf("output %d has %d lovelace, at least %d", i, o.Value.Coin, least)
		}
		if n := len(o.Value.Encode()); n > int(p.MaxValueSize) {
			t.Fatalf("output %d has a value of %d bytes", i, n)
		}
		if i < len(d.Outputs) {
			continue
		}
		if o.Address != change {
			t.Fatalf("output %d goes to %s", i, o.Address)
		}
		bytes += len(o.Value.Encode())
	}
	if coin != 0 {
		t.Fatalf("%d lovelace come from nowhere", -coin)
	}
	for id := range in {
		if in[id] != out[id] {
			t.Fatalf("%d of %s come in, %d go out", in[id], id, out[id])
		}
	}
	if len(out) != len(in) {
		t.Fatalf("%d assets come in, %d go out", len(in), len(out))
	}
	// One output for what the draft names, one for other assets, and one more for each value that is full but for an asset.
	const largestAsset = 80
	if n := len(body.Outputs) - len(d.Outputs); n > 2+bytes/(int(p.MaxValueSize)-largestAsset) {
		t.Fatalf("change in %d outputs for %d bytes", n, bytes)
	}
}
