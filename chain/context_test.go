package chain_test

import (
	"encoding/hex"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// hashesContext is a script that loops as often as the first byte of blake2b_256(serialiseData(context)) says: what
// it takes shows whether two evaluators build the same context to the byte.
func hashesContext(t *testing.T, n string) []byte {
	t.Helper()
	s, err := chaintest.Script(`(program 1.1.0 (lam ctx [(lam id [(lam f [f f
		[(builtin indexByteString) [(builtin blake2b_256) [(builtin serialiseData) ctx]] (con integer 0)]])
		(lam self (lam i (force [(force (builtin ifThenElse)) [(builtin equalsInteger) i (con integer 0)]
			(delay (con unit ())) (delay [self self [(builtin subtractInteger) i (con integer 1)]])])))]) (con integer ` + n + `)]))`)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// contextTx has all that a context of ours can have: assets of several policies and names of several lengths, minted
// and burned, base and enterprise and script addresses, datums in encodings that are not canonical, reference scripts,
// required signers, both bounds.
func contextTx(t *testing.T) (*chain.Tx, []chaintest.Actor) {
	t.Helper()
	alice, bob, carol := chaintest.NewActor("alice"), chaintest.NewActor("bob"), chaintest.NewActor("carol")
	lock, one, two := hashesContext(t, "1"), hashesContext(t, "2"), hashesContext(t, "3")
	p1, p2 := chain.HashScript(one), chain.HashScript(two)
	value := func(coin chain.Lovelace) chain.Value {
		v := chain.Coins(coin)
		for i, name := range []string{"b", "aa", "", "NTX", "a"} {
			v = v.With(chain.AssetID{Policy: p1, Name: name}, uint64(i)+1).With(chain.AssetID{Policy: p2, Name: name}, 1<<(12*i))
		}
		return v
	}
	oddDatum := unhex(t, "d87a838101bf01029f00ff80ff5f4101ff") // definite list of fields, indefinite map, a chunk alone
	locked, locked2 := alice.Coin(5, value(4_000_000)), bob.Coin(3, chain.Coins(3_000_000))
	locked.Address, locked.Datum = script(lock), oddDatum
	locked2.Address = script(lock)
	ref, ref2 := bob.Coin(6, chain.Coins(9_000_000)), carol.Coin(1, value(5_000_000))
	ref.Script, ref2.Datum = lock, unhex(t, "182a")
	pay := chain.Base(chaintest.Network(), carol.Hash, bob.Hash)
	have := []chain.UTxO{alice.Coin(0, value(50_000_000)), alice.Coin(7, value(9_000_000))}
	tx := balance(t, chain.Draft{
		Inputs:     []chain.Input{{UTxO: locked, Redeemer: unhex(t, "d87a8101")}, {UTxO: locked2, Redeemer: unhex(t, "a10102")}, {UTxO: carol.Coin(2, chain.Coins(2_000_000))}},
		References: []chain.UTxO{ref, ref2},
		Outputs: []chain.Output{
			{Address: script(lock), Value: value(0), Datum: oddDatum},
			{Address: pay, Value: value(0), Datum: unhex(t, "9f01ff")},
			{Address: carol.Address, Value: chain.Coins(7_000_000), Script: one},
		},
		Mint: []chain.Mint{
			{Policy: p1, Assets: map[string]int64{"b": 2, "aa": -1, "": 5}, Redeemer: unhex(t, "8101")},
			{Policy: p2, Assets: map[string]int64{"NTX": -3, "zz": 1}, Redeemer: unhex(t, "40")},
		},
		Signers: []chain.KeyHash{carol.Hash, alice.Hash}, Scripts: [][]byte{one, two}, From: 1234, Until: 5678, Message: []string{"hello", "there"},
	}, have, alice.Address, alice.Coin(9, chain.Coins(5_000_000)))
	return tx, []chaintest.Actor{alice, carol}
}

// TestContext: the evaluator of scalus 0.17.0 took the same units for the same bytes, so it built the same contexts; its
// ledger emulator accepted the transaction.
func TestContext(t *testing.T) {
	tx, actors := contextTx(t)
	if err := check(tx, tx.Resolved(), 2000, actors); err != nil {
		t.Fatal(err)
	}
	used, err := chain.Evaluate(tx, tx.Resolved(), chaintest.Params(), chaintest.Clock())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[chain.RedeemerKey]chain.ExUnits{
		{Purpose: chain.PurposeSpend, Index: 0}: {Mem: 74844, Steps: 471602380},
		{Purpose: chain.PurposeSpend, Index: 2}: {Mem: 337580, Steps: 548285188},
		{Purpose: chain.PurposeMint, Index: 0}:  {Mem: 353584, Steps: 539209550},
		{Purpose: chain.PurposeMint, Index: 1}:  {Mem: 383544, Steps: 547831468},
	} {
		if used[key] != want {
			t.Errorf("%s took %+v, want %+v", key, used[key], want)
		}
	}
}
