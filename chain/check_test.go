package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// lockedTx is a signed transaction with every part that Check looks at: it spends a script's output and a key's,
// mints, has a datum, a reference script, a required signer, collateral with a return, and a message.
func lockedTx(t *testing.T) (*chain.Tx, []chaintest.Actor) {
	t.Helper()
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	lock, policy := chaintest.Accepts(2), chaintest.Accepts(1)
	locked, ref := alice.Coin(5, chain.Coins(4_000_000)), bob.Coin(6, chain.Coins(9_000_000))
	locked.Address, locked.Datum, ref.Script = script(lock), unit, lock
	id := chain.HashScript(policy)
	tx := balance(t, chain.Draft{
		Inputs:     []chain.Input{{UTxO: locked, Redeemer: unit}},
		References: []chain.UTxO{ref},
		Outputs:    []chain.Output{{Address: script(lock), Value: chain.Value{}.With(chain.AssetID{Policy: id, Name: "x"}, 2), Datum: unit}},
		Mint:       []chain.Mint{{Policy: id, Assets: map[string]int64{"x": 2}, Redeemer: unit}},
		Signers:    []chain.KeyHash{bob.Hash}, Scripts: [][]byte{policy}, From: 10, Until: 20, Message: []string{"hello"},
	}, []chain.UTxO{alice.Coin(0, chain.Coins(50_000_000))}, alice.Address, alice.Coin(9, chain.Coins(5_000_000)))
	return tx, []chaintest.Actor{alice, bob}
}

func check(tx *chain.Tx, resolved []chain.UTxO, slot chain.Slot, by []chaintest.Actor) error {
	for _, a := range by {
		if err := a.Sign(tx); err != nil {
			return err
		}
	}
	return chain.Check(tx, resolved, chaintest.Params(), chaintest.Clock(), chaintest.Network(), slot)
}

// TestCheckRefuses changes one thing at a time, signs again, and expects the ledger's rule.
func TestCheckRefuses(t *testing.T) {
	good, actors := lockedTx(t)
	resolved := good.Resolved()
	if err := check(good, resolved, 10, actors); err != nil {
		t.Fatal(err)
	}
	p := chaintest.Params()
	var spare []chain.UTxO
	for i := range p.MaxCollateralInputs {
		spare = append(spare, actors[0].Coin(uint32(20+i), chain.Coins(5_000_000)))
	}
	resolved = append(resolved, spare...)
	body := func(f func(*chain.TxBody)) *chain.Tx { return chain.Mutate(good, f) }
	redeem := func(f func([]chain.Redeemer) []chain.Redeemer) *chain.Tx {
		return chain.MutateRedeemers(good, p, true, f)
	}
	for _, c := range []struct {
		rule string
		tx   *chain.Tx
	}{
		{"FeeTooSmallUTxO", body(func(b *chain.TxBody) { b.Fee--; b.Outputs[1].Value.Coin++ })},
		{"ValueNotConservedUTxO", body(func(b *chain.TxBody) { b.Outputs[1].Value.Coin++ })},
		{"ValueNotConservedUTxO", body(func(b *chain.TxBody) { b.Mint = map[chain.AssetID]int64{b.Outputs[0].Value.IDs()[0]: 1} })},
		{"BabbageOutputTooSmallUTxO", body(func(b *chain.TxBody) {
			b.Outputs[1].Value.Coin += b.Outputs[0].Value.Coin - 500_000
			b.Outputs[0].Value.Coin = 500_000
		})},
		{"BadInputsUTxO", body(func(b *chain.TxBody) { b.Inputs[0].Index += 100 })},
		{"BadInputsUTxO", body(func(b *chain.TxBody) { b.References[0].Index += 100 })},
		{"BabbageNonDisjointRefInputs", body(func(b *chain.TxBody) { b.References = append(b.References, b.Inputs[0]) })},
		{"WrongNetworkInTxBody", body(func(b *chain.TxBody) { *b.NetworkID = 1 })},
		{"WrongNetwork", body(func(b *chain.TxBody) {
			b.Outputs[1].Address = chain.Enterprise(chain.Network{ID: 1}, actors[0].Hash)
		})},
		{"ConflictingMetadataHash", body(func(b *chain.TxBody) { b.AuxDataHash[0]++ })},
		{"MissingTxBodyMetadataHash", body(func(b *chain.TxBody) { b.AuxDataHash = nil })},
		{"MissingTxMetadata", chain.MutateMetadata(good, nil, false)},
		{"InvalidMetadata", chain.MutateMetadata(good, append([]byte{0xa1, 0x01, 0x78, 65}, bytes.Repeat([]byte{'x'}, 65)...), true)},
		{"InvalidMetadata", chain.MutateMetadata(good, append([]byte{0xa1, 0x01, 0x81, 0x58, 65}, make([]byte, 65)...), true)},
		{"MalformedReferenceScripts", body(func(b *chain.TxBody) { b.Outputs[1].Script = []byte{0x43, 1, 2, 3} })},
		{"MalformedScriptWitnesses", chain.MutateScripts(good, append(good.Scripts(), []byte{0x43, 1, 2, 3}))},
		{"TooManyCollateralInputs", body(func(b *chain.TxBody) {
			for _, u := range spare {
				b.Collateral = append(b.Collateral, u.Ref)
			}
		})},
		{"PPViewHashesDontMatch", body(func(b *chain.TxBody) { b.ScriptDataHash[0]++ })},
		{"PPViewHashesDontMatch", body(func(b *chain.TxBody) { b.ScriptDataHash = nil })},
		{"NoCollateralInputs", body(func(b *chain.TxBody) { b.Collateral = nil })},
		{"ScriptsNotPaidUTxO", body(func(b *chain.TxBody) { b.Collateral = append(b.Collateral, resolved[1].Ref, resolved[0].Ref) })},
		{"InsufficientCollateral", body(func(b *chain.TxBody) { b.CollateralReturn.Value.Coin++; *b.TotalCollateral-- })},
		{"InsufficientCollateral", body(func(b *chain.TxBody) { b.CollateralReturn.Value.Coin = 60_000_000 })},
		{"IncorrectTotalCollateralField", body(func(b *chain.TxBody) { *b.TotalCollateral++ })},
		{"BabbageOutputTooSmallUTxO", body(func(b *chain.TxBody) {
			*b.TotalCollateral += b.CollateralReturn.Value.Coin - 800_000
			b.CollateralReturn.Value.Coin = 800_000
		})},
		{"MissingVKeyWitnessesUTXOW", body(func(b *chain.TxBody) { b.Signers = append(b.Signers, chaintest.NewActor("carol").Hash) })},
		{"MissingRedeemers", redeem(func(r []chain.Redeemer) []chain.Redeemer { return r[:1] })},
		{"ExtraRedeemers", redeem(func(r []chain.Redeemer) []chain.Redeemer {
			x := r[1]
			x.Index++
			return append(r, x)
		})},
		{"ExUnitsTooBigUTxO", redeem(func(r []chain.Redeemer) []chain.Redeemer { r[0].Units.Mem = p.MaxTxUnits.Mem + 1; return r })},
		{"ValidationTagMismatch", redeem(func(r []chain.Redeemer) []chain.Redeemer { r[0].Units.Mem = 1; return r })},
		{"MissingScriptWitnessesUTXOW", chain.MutateScripts(good, nil)},
		{"ExtraneousScriptWitnessesUTXOW", chain.MutateScripts(good, append(good.Scripts(), chaintest.Accepts(2)))},
		{"ExtraneousScriptWitnessesUTXOW", chain.MutateScripts(good, append(good.Scripts(), chaintest.Accepts(3)))},
	} {
		t.Run(c.rule, func(t *testing.T) {
			// The fee is checked before scripts: what only changed those must not fail for its size first.
			var rule *chain.RuleError
			err := check(c.tx, resolved, 10, actors)
			if errors.As(err, &rule) && rule.Rule == "FeeTooSmallUTxO" && c.rule != rule.Rule {
				rich := chain.Mutate(c.tx, func(b *chain.TxBody) {
					b.Fee += 1_300_000
					b.Outputs[1].Value.Coin -= 1_300_000
					b.CollateralReturn.Value.Coin -= 2_000_000
					*b.TotalCollateral += 2_000_000
				})
				err = check(rich, resolved, 10, actors)
			}
			if !errors.Is(err, chain.ErrLedgerRule) || !errors.As(err, &rule) || rule.Rule != c.rule {
				t.Errorf("want %s, got %v", c.rule, err)
			}
		})
	}
	for _, slot := range []chain.Slot{9, 20, 21} {
		var rule *chain.RuleError
		if err := check(good, resolved, slot, actors); !errors.As(err, &rule) || rule.Rule != "OutsideValidityIntervalUTxO" {
			t.Errorf("slot %d: %v", slot, err)
		}
	}
	for name, key := range map[string]uint64{"certificates": 4, "withdrawals": 5, "votes": 19, "proposals": 20, "treasury": 21, "donation": 22} {
		tx := body(func(b *chain.TxBody) { chain.RawField(b, key, []byte{0xa0}) })
		if err := check(tx, resolved, 10, actors); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown := body(func(b *chain.TxBody) { chain.RawField(b, 23, []byte{0xa0}) })
	if _, err := unknown.Inspect(); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("unknown field: %v", err)
	}
}

func TestHorizon(t *testing.T) {
	tx, actors := lockedTx(t)
	clk := chaintest.Clock()
	clk.Horizon = 19
	for _, a := range actors {
		if err := a.Sign(tx); err != nil {
			t.Fatal(err)
		}
	}
	err := chain.Check(tx, tx.Resolved(), chaintest.Params(), clk, chaintest.Network(), 10)
	var rule *chain.RuleError
	if !errors.As(err, &rule) || rule.Rule != "OutsideForecast" {
		t.Errorf("past the horizon: %v", err)
	}
}

// TestRefScriptsTooBig: reference scripts are counted as often as they are referred to.
func TestRefScriptsTooBig(t *testing.T) {
	good, actors := lockedTx(t)
	resolved := good.Resolved()
	tx := chain.Mutate(good, func(b *chain.TxBody) {
		for i := range uint32(4) {
			u := actors[0].Coin(30+i, chain.Coins(300_000_000))
			u.Script = make([]byte, 51<<10)
			resolved = append(resolved, u)
			b.References = append(b.References, u.Ref)
		}
	})
	var rule *chain.RuleError
	if err := check(tx, resolved, 10, actors); !errors.As(err, &rule) || rule.Rule != "ConwayTxRefScriptsSizeTooBig" {
		t.Errorf("204 KiB: %v", err)
	}
}

// TestMetadataForms: only metadata in its canonical form is read; the rest is malformed, never let through.
func TestMetadataForms(t *testing.T) {
	good, actors := lockedTx(t)
	for name, aux := range map[string][]byte{
		"scripts too":       {0xd9, 0x01, 0x03, 0xa0},
		"a list":            {0x82, 0xa0, 0x80},
		"labels unsorted":   {0xa2, 0x02, 0x00, 0x01, 0x00},
		"a label twice":     {0xa2, 0x02, 0x00, 0x02, 0x00},
		"negative label":    {0xa1, 0x20, 0x00},
		"text not UTF-8":    {0xa1, 0x01, 0x61, 0xff},
		"a float":           {0xa1, 0x01, 0xf9, 0x00, 0x00},
		"indefinite list":   {0xa1, 0x01, 0x9f, 0xff},
		"more after it":     {0xa0, 0x00},
		"text without end":  {0xa1, 0x01, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"nested too deeply": append([]byte{0xa1, 0x01}, append(bytes.Repeat([]byte{0x81}, 200), 0)...),
	} {
		if err := check(chain.MutateMetadata(good, aux, true), good.Resolved(), 10, actors); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWitness: only signatures that verify get in, and only for the very body.
func TestWitness(t *testing.T) {
	tx, actors := lockedTx(t)
	other := chain.Mutate(tx, func(b *chain.TxBody) { b.Until++ })
	if err := actors[0].Sign(other); err != nil {
		t.Fatal(err)
	}
	vkey, sig, _ := other.Witness(actors[0].Hash)
	if err := tx.AddWitness(vkey, sig); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("a signature of another body: %v", err)
	}
	if err := tx.AddWitness(vkey[:31], sig); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("a short key: %v", err)
	}
	if len(tx.Witnesses()) != 0 || len(tx.MissingWitnesses()) != 2 {
		t.Errorf("witnesses %v, missing %v", tx.Witnesses(), tx.MissingWitnesses())
	}
}
