package chain_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

var unit = []byte{0xd8, 0x79, 0x80} // Constr 0 []

func script(code []byte) chain.Address {
	return chain.ScriptAddress(chaintest.Network(), chain.HashScript(code))
}

func balance(t *testing.T, d chain.Draft, have []chain.UTxO, change chain.Address, coll ...chain.UTxO) *chain.Tx {
	t.Helper()
	tx, err := chain.Balance(d, have, change, coll, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// TestLockAndSpend mints a token, locks it in a script with a datum, and spends it again, by every rule.
func TestLockAndSpend(t *testing.T) {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	coll := alice.Coin(9, chain.Coins(5_000_000))
	have := []chain.UTxO{alice.Coin(0, chain.Coins(100_000_000)), alice.Coin(1, chain.Coins(3_000_000))}
	bond := bob.Coin(0, chain.Coins(50_000_000))
	l := chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), append(have, coll, bond))

	policy, lock := chaintest.Accepts(1), chaintest.Accepts(2)
	token := chain.AssetID{Policy: chain.HashScript(policy), Name: "token"}
	tx := balance(t, chain.Draft{
		Inputs: []chain.Input{{UTxO: bond}},
		Outputs: []chain.Output{
			{Address: script(lock), Value: chain.Value{}.With(token, 7), Datum: unit},
			{Address: bob.Address, Value: chain.Coins(50_000_000), Script: lock},
		},
		Mint:    []chain.Mint{{Policy: token.Policy, Assets: map[string]int64{token.Name: 7}, Redeemer: unit}},
		Signers: []chain.KeyHash{alice.Hash}, Scripts: [][]byte{policy, lock}, Until: 100, Message: []string{"locked"},
	}, have, alice.Address, coll)
	if got := tx.MissingWitnesses(); len(got) != 2 || len(tx.Scripts()) != 1 {
		t.Fatalf("missing %v, %d scripts attached", got, len(tx.Scripts()))
	}
	if err := alice.Sign(tx); err != nil {
		t.Fatal(err)
	}
	var rule *chain.RuleError
	if err := l.Submit(tx.Bytes()); !errors.As(err, &rule) || rule.Rule != "MissingVKeyWitnessesUTXOW" {
		t.Fatalf("without bob's signature: %v", err)
	}
	if err := bob.Sign(tx); err != nil {
		t.Fatal(err)
	}
	if err := l.Submit(tx.Bytes()); err != nil {
		t.Fatal(err)
	}
	b, err := l.Forge(5)
	if err != nil || len(b.Txs) != 1 || b.Txs[0].ID != tx.ID() {
		t.Fatalf("block %v: %v", b, err)
	}
	if got := b.Txs[0].MintRedeemers[token.Policy]; !slices.Equal(got, unit) || b.Txs[0].Mint[token] != 7 {
		t.Errorf("mint %v with redeemer %x", b.Txs[0].Mint, got)
	}

	locked, ref := l.UTxOs(script(lock))[0], l.UTxOs(bob.Address)[0]
	spend := balance(t, chain.Draft{
		Inputs:     []chain.Input{{UTxO: locked, Redeemer: unit}},
		References: []chain.UTxO{ref}, From: 5, Until: 100,
	}, l.UTxOs(alice.Address), alice.Address, coll)
	if err := alice.Sign(spend); err != nil {
		t.Fatal(err)
	}
	if err := l.Submit(spend.Bytes()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Forge(1); err != nil || !slices.Equal(b.Txs[0].SpendRedeemers[locked.Ref], unit) {
		t.Fatalf("block %v: %v", b, err)
	}
	if got := l.UTxOs(script(lock)); len(got) != 0 {
		t.Errorf("still locked: %v", got)
	}
}

func TestScriptRefuses(t *testing.T) {
	alice := chaintest.NewActor("alice")
	code := chaintest.Refuses("too early")
	u := alice.Coin(3, chain.Coins(5_000_000))
	u.Address, u.Datum = script(code), unit
	_, err := chain.Balance(chain.Draft{Inputs: []chain.Input{{UTxO: u, Redeemer: unit}}, Scripts: [][]byte{code}, Until: 9},
		[]chain.UTxO{alice.Coin(0, chain.Coins(9_000_000))}, alice.Address, []chain.UTxO{alice.Coin(1, chain.Coins(9_000_000))},
		chaintest.Params(), chaintest.Clock(), chaintest.Network())
	var refused *chain.ScriptError
	if !errors.Is(err, chain.ErrScript) || !errors.As(err, &refused) || !slices.Equal(refused.Logs, []string{"too early"}) {
		t.Fatalf("got %v", err)
	}
}
