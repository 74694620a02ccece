package chain_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

var coinAssets = []chain.AssetID{
	{Policy: chain.ScriptHash{1}, Name: "NTX"}, {Policy: chain.ScriptHash{2}, Name: "b"}, {Policy: chain.ScriptHash{2}, Name: "c"},
}

// TestNoCoinTooMany: for what a payment asks of assets, no coin is taken that the others do without; and Balance says
// that there is too little only if there is.
func TestNoCoinTooMany(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	rapid.Check(t, func(t *rapid.T) {
		var have []chain.UTxO
		var all chain.Value
		for i := range rapid.IntRange(0, 25).Draw(t, "coins") {
			v := chain.Coins(10_000_000) // enough for the payment and change: ADA is not the question
			for _, id := range coinAssets {
				v = v.With(id, rapid.Uint64Range(0, 50).Draw(t, "quantity"))
			}
			have = append(have, alice.Coin(uint32(i), v))
			sum, err := all.Add(v)
			if err != nil {
				t.Fatal(err)
			}
			all = sum
		}
		var pay chain.Value
		for _, id := range coinAssets {
			pay = pay.With(id, rapid.Uint64Range(0, 300).Draw(t, "paid"))
		}
		enough := all.Covers(pay) && len(have) > 0
		tx, err := chain.Balance(chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: pay}}}, have, alice.Address, nil,
			chaintest.Params(), chaintest.Clock(), chaintest.Network())
		if !enough {
			if !errors.Is(err, chain.ErrInsufficient) {
				t.Fatalf("%v for %v: %v", all, pay, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, left := range tx.Resolved() {
			var others chain.Value
			for _, u := range tx.Resolved() {
				if u.Ref != left.Ref {
					if others, err = others.Add(u.Value); err != nil {
						t.Fatal(err)
					}
				}
			}
			if others.Coin > 0 && others.Covers(pay) {
				t.Fatalf("%s is one too many: %v", left.Ref, tx.Resolved())
			}
		}
	})
}

// manyCoins is a wallet of n outputs of all sizes, most with NTX, some with other assets.
func manyCoins(n int) (alice chaintest.Actor, have []chain.UTxO) {
	alice = chaintest.NewActor("alice")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		v := chain.Coins(chain.Lovelace(1_200_000 + random.Uint64N(8_000_000)))
		if i%3 > 0 {
			v = v.With(coinAssets[0], 1+random.Uint64N(2_000_000))
		}
		if i%50 == 0 {
			v = v.With(coinAssets[1], random.Uint64N(9))
		}
		have = append(have, alice.Coin(uint32(i), v))
	}
	return alice, have
}

// TestFragmented: money in so many small outputs that no transaction takes them all is said to be that.
func TestFragmented(t *testing.T) {
	alice, have := manyCoins(3000)
	bob := chaintest.NewActor("bob")
	_, err := chain.Balance(chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Value{}.With(coinAssets[0], 1_500_000_000)}}},
		have, alice.Address, nil, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if !errors.Is(err, chain.ErrFragmented) || errors.Is(err, chain.ErrInsufficient) {
		t.Error(err)
	}
}

// TestChangeStaysLean: what strangers have sent comes back in outputs of its own, so that the next payment does not
// carry it along.
func TestChangeStaysLean(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	v := chain.Coins(90_000_000).With(coinAssets[0], 700)
	for i := range 40 {
		v = v.With(chain.AssetID{Policy: chain.ScriptHash{9, byte(i)}, Name: fmt.Sprintf("a stranger's gift no. %d", i)}, 1)
	}
	tx := balance(t, chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(5_000_000).With(coinAssets[0], 100)}}},
		[]chain.UTxO{alice.Coin(0, v)}, alice.Address)
	body, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	last := body.Outputs[len(body.Outputs)-1]
	if len(last.Value.Assets) != 1 || last.Value.Of(coinAssets[0]) != 600 || last.Value.Coin < 70_000_000 {
		t.Errorf("the change to pay with is %v", last.Value)
	}
	gifts := 0
	for _, o := range body.Outputs[1 : len(body.Outputs)-1] {
		gifts += len(o.Value.Assets)
		if n := len(o.Value.Encode()); n > int(chaintest.Params().MaxValueSize) {
			t.Errorf("an output with a value of %d bytes", n)
		}
	}
	if gifts != 40 {
		t.Errorf("%d gifts came back", gifts)
	}
	if err := check(tx, tx.Resolved(), 5, []chaintest.Actor{alice}); err != nil {
		t.Error(err)
	}
	// With too little ADA for two outputs, one must do.
	v.Coin = 13_300_000
	tx = balance(t, chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(2_000_000).With(coinAssets[0], 100)}}},
		[]chain.UTxO{alice.Coin(0, v)}, alice.Address)
	if err := check(tx, tx.Resolved(), 5, []chaintest.Actor{alice}); err != nil {
		t.Error(err)
	}
}

// BenchmarkBalance pays out of wallets of many outputs: with one of them, and with some two hundred.
func BenchmarkBalance(b *testing.B) {
	bob := chaintest.NewActor("bob")
	for _, n := range []int{100, 10_000} {
		alice, have := manyCoins(n)
		for _, pay := range []uint64{1_000_000, uint64(min(n, 400)) * 400_000} {
			b.Run(fmt.Sprintf("outputs=%d/ntx=%d", n, pay/1_000_000), func(b *testing.B) {
				d := chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Value{}.With(coinAssets[0], pay)}}}
				for b.Loop() {
					if _, err := chain.Balance(d, have, alice.Address, nil, chaintest.Params(), chaintest.Clock(), chaintest.Network()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
