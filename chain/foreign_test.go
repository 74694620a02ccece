package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// encodings are ways in which others write the same.
var encodings = map[string]func(*chain.Item){
	"indefinite lengths": (*chain.Item).Endless,
	"strings in pieces":  (*chain.Item).Pieces,
	"long numbers":       (*chain.Item).Wide,
	"sets without tag":   (*chain.Item).Untag,
	"another order":      (*chain.Item).Backwards,
	"outputs as lists":   (*chain.Item).OldOutput,
	"all at once": func(i *chain.Item) {
		i.OldOutput()
		i.Backwards()
		i.Untag()
		i.Wide()
		i.Endless()
	},
}

// TestForeignForms: however others write a transaction, it reads the same; it is signed as it is, and neither checked
// nor evaluated here.
func TestForeignForms(t *testing.T) {
	tx, actors := lockedTx(t)
	want, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range encodings {
		b := chain.Reencode(tx.Bytes(), change)
		if _, err := chain.DecodeTx(b); bytes.Equal(b, tx.Bytes()) || !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: read as ours: %v", name, err)
		}
		got, err := chain.DecodeAnyTx(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := got.Inspect()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		body.ID = want.ID
		for i := range body.Outputs {
			body.Outputs[i].Ref.Tx = want.ID
		}
		if !chain.SameView(body, want) {
			t.Errorf("%s: %+v, want %+v", name, body, want)
		}
		if len(got.Redeemers()) != len(tx.Redeemers()) || got.Units() != tx.Units() || len(got.Scripts()) != len(tx.Scripts()) {
			t.Errorf("%s: redeemers %v", name, got.Redeemers())
		}
		if err := chain.Check(got, tx.Resolved(), chaintest.Params(), chaintest.Clock(), chaintest.Network(), 15); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: checked: %v", name, err)
		}
		if _, err := chain.Evaluate(got, tx.Resolved(), chaintest.Params(), chaintest.Clock()); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: evaluated: %v", name, err)
		}
		for _, a := range actors {
			if err := a.Sign(got); err != nil {
				t.Fatal(err)
			}
			if got, err = chain.DecodeAnyTx(got.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := chain.DecodeRawTx(b)
		if err != nil || !bytes.Equal(got.Body(), raw.Body) || len(got.Witnesses()) != len(actors) {
			t.Errorf("%s: signed by %v: %v", name, got.Witnesses(), err)
		}
	}
}

// TestForeignMessage: a message is read in the form that cardano-cli gives auxiliary data.
func TestForeignMessage(t *testing.T) {
	tx, _ := payment(t)
	for form, other := range map[string]bool{
		"d90103a100a11902a2a1636d736781676279206c697374":   false,
		"d90103a200a11902a2a1636d736781676279206c69737401": true,
	} {
		aux, err := hex.DecodeString(form)
		if err != nil {
			t.Fatal(err)
		}
		if other {
			aux = append(aux, 0x80)
		}
		lines, more, err := chain.MutateMetadata(tx, aux, true).Message()
		if err != nil || more != other || !other && (len(lines) != 1 || lines[0] != "by list") {
			t.Errorf("%s: %q, %v, %v", form, lines, more, err)
		}
	}
}

// TestForeignRefuses: what could be read in two ways, or is not known, is not read.
func TestForeignRefuses(t *testing.T) {
	alice := chaintest.NewActor("alice")
	id := strings.Repeat("ab", 32)
	in := "8258" + "20" + id + "00"
	addr := "581d" + hex.EncodeToString(alice.Address.Bytes())
	policy := "581c" + strings.Repeat("cd", 28)
	plain := "0081" + in + "018182" + addr + "0a" + "0205"
	body := func(fields, n string) string { return "84a" + n + fields + "a0f5f6" }
	for _, c := range []struct{ name, tx, says string }{
		{"nothing wrong", body(plain, "3"), ""},
		{"a field twice", body(plain+"0205", "4"), "field 2 after field 2"},
		{"an input twice", body("0082"+in+in+"018182"+addr+"0a0205", "3"), "an input twice"},
		{"an unknown field", body(plain+"186300", "4"), "unknown body field 99"},
		{"a parameter update", body(plain+"0600", "4"), "unknown body field 6"},
		{"valid before the start", body(plain+"0300", "4"), "valid before slot 0"},
		{"a signer twice", body(plain+"0e82"+policy+policy, "4"), "a required signer twice"},
		{"a policy twice", body("0081"+in+"018182"+addr+"820aa2"+policy+"a14101"+"01"+policy+"a14102"+"010205", "3"), "twice"},
		{"an asset twice", body("0081"+in+"018182"+addr+"820aa1"+policy+"a24101"+"014101"+"010205", "3"), "one twice"},
		{"an output's field twice", body("0081"+in+"0181a300"+addr+"010a010b0205", "3"), "output fields"},
		{"an output without value", body("0081"+in+"0181a200"+addr+"0281000205", "3"), "datum"},
		{"no inputs", body("0080"+"018182"+addr+"0a0205", "3"), "without inputs"},
		{"an old era", "83a3" + plain + "a0f6", "isValid is not true"},
		{"isValid false", "84a3" + plain + "a0f4f6", "isValid is not true"},
		{"isValid neither", "84a3" + plain + "a000f6", "neither true nor false"},
		{"a body that is a list", "8480a0f5f6", "a transaction is"},
		{"a witness field twice", "84a3" + plain + "a200800080f5f6", "twice"},
		{"a signature of something else", "84a3" + plain + "a10081825820" + id + "5840" + id + id + "f5f6", "does not verify"},
		{"a redeemer that is none", "84a3" + plain + "a10581830000d87980f5f6", "redeemer"},
		{"more", body(plain, "3") + "00", "bytes too many"},
		{"a key without a value", "84bf00ffa0f5f6", "a key without a value"},
		{"pieces of another kind", "84a3" + strings.Replace(plain, "5820", "5f6161ff5820", 1) + "a0f5f6", "pieces"},
		{"a break alone", "84ffa0f5f6", "head"},
		{"deep", strings.Repeat("81", 500), "nested"},
	} {
		b, err := hex.DecodeString(c.tx)
		if err != nil {
			t.Fatal(c.name, err)
		}
		_, err = chain.DecodeAnyTx(b)
		if c.says == "" && err == nil {
			continue
		}
		if c.says == "" || !errors.Is(err, chain.ErrMalformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
