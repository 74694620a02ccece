package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// payment is a transaction of alice and bob together, not signed yet.
func payment(t testing.TB) (*chain.Tx, []chaintest.Actor) {
	t.Helper()
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	tx, err := chain.Balance(chain.Draft{
		Inputs:  []chain.Input{{UTxO: bob.Coin(0, chain.Coins(2_000_000))}},
		Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(7_000_000)}}, Until: 90, Message: []string{"by file"},
	}, []chain.UTxO{alice.Coin(0, chain.Coins(30_000_000))}, alice.Address, nil, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	return tx, []chaintest.Actor{alice, bob}
}

func file(t testing.TB, e chain.TextEnvelope) []byte {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// witnessSets are the forms in which CIP-30 wallets give the signatures: with the tag of a set, and without.
func witnessSets(vkey, sig []byte) [][]byte {
	pair := "825820" + hex.EncodeToString(vkey) + "5840" + hex.EncodeToString(sig)
	return [][]byte{[]byte("a10081" + pair), []byte(chain.WitnessSet([]chain.Signature{{VKey: vkey, Sig: sig}}) + "\n")}
}

// TestSignedElsewhere: a transaction goes out as a file, the signatures come back as files in every form, and not a
// byte of the body changes.
func TestSignedElsewhere(t *testing.T) {
	tx, actors := payment(t)
	out := file(t, tx.Envelope())
	if !bytes.Contains(out, []byte(`"Unwitnessed Tx ConwayEra"`)) {
		t.Errorf("%s", out)
	}
	for _, unsigned := range [][]byte{out, bytes.Replace(out, []byte("Unwitnessed "), nil, 1), []byte(hex.EncodeToString(tx.Bytes()) + "\n")} {
		for form := range 3 {
			here, err := chain.ReadTx(unsigned)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range actors {
				there, err := chain.ReadTx(unsigned)
				if err == nil {
					err = a.Sign(there)
				}
				if err != nil {
					t.Fatal(err)
				}
				vkey, sig, _ := there.Witness(a.Hash)
				files := append(witnessSets(vkey, sig), file(t, chain.Signature{VKey: vkey, Sig: sig}.Envelope()))
				if err := here.AddWitnesses(files[form]); err != nil {
					t.Fatalf("form %d: %v", form, err)
				}
			}
			if !bytes.Equal(here.Body(), tx.Body()) || here.ID() != tx.ID() {
				t.Error("another body")
			}
			if err := chain.Check(here, tx.Resolved(), chaintest.Params(), chaintest.Clock(), chaintest.Network(), 5); err != nil {
				t.Error(err)
			}
			signed, err := chain.ReadTx(file(t, here.Envelope()))
			if err != nil || !bytes.Equal(signed.Bytes(), here.Bytes()) || here.Envelope().Type != "Witnessed Tx ConwayEra" {
				t.Errorf("signed, written and read it is another: %v", err)
			}
		}
	}
}

func TestWrongWitnesses(t *testing.T) {
	tx, actors := payment(t)
	other, err := chain.DecodeTx(tx.Bytes())
	if err == nil {
		err = actors[0].Sign(other)
	}
	if err != nil {
		t.Fatal(err)
	}
	vkey, sig, _ := other.Witness(actors[0].Hash)
	good := string(file(t, chain.Signature{VKey: vkey, Sig: sig}.Envelope()))
	broken := bytes.Clone(sig)
	broken[9] ^= 1
	for name, text := range map[string]string{
		"nothing":             "",
		"no hex":              "hello",
		"a transaction":       string(file(t, tx.Envelope())),
		"a bootstrap witness": strings.Replace(good, "82008258", "82018258", 1),
		"an empty set":        "a10080",
		"an empty map":        "a0",
		"another's":           string(file(t, chain.Signature{VKey: vkey, Sig: broken}.Envelope())),
		"and more":            strings.Replace(good, `"}`, `00"}`, 1),
		"with a script too":   "a2" + string(witnessSets(vkey, sig)[0][2:]) + "078101",
		"huge":                strings.Repeat("00", chain.MaxEnvelope),
	} {
		if err := tx.AddWitnesses([]byte(text)); !errors.Is(err, chain.ErrMalformed) || len(tx.Witnesses()) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"a witness": good, "no JSON": "{", "nothing": "", "a key": `{"type":"PaymentSigningKeyShelley_ed25519","cborHex":"5820"}`} {
		if _, err := chain.ReadTx([]byte(text)); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s as a transaction: %v", name, err)
		}
	}
}

func FuzzWitnessFile(f *testing.F) {
	tx, actors := payment(f)
	if err := actors[0].Sign(tx); err != nil {
		f.Fatal(err)
	}
	vkey, sig, _ := tx.Witness(actors[0].Hash)
	f.Add(file(f, chain.Signature{VKey: vkey, Sig: sig}.Envelope()))
	for _, b := range witnessSets(vkey, sig) {
		f.Add(b)
	}
	f.Add(file(f, tx.Envelope()))
	f.Fuzz(func(t *testing.T, text []byte) {
		bare, _ := payment(t)
		if err := bare.AddWitnesses(text); err == nil && !bytes.Equal(bare.Body(), tx.Body()) {
			t.Error("another body")
		}
		if other, err := chain.ReadTx(text); err == nil {
			if again, err := chain.ReadTx(file(t, other.Envelope())); err != nil || again.ID() != other.ID() {
				t.Errorf("read, written and read again: %v", err)
			}
		}
	})
}
