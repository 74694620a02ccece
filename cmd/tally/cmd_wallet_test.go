package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
)

// writeUnsigned writes a payment of the scripts' wallet to bob that nobody has signed.
func writeUnsigned(path string) error {
	w, err := wallet.New(wallet.Secret{Mnemonic: "test walk nut penalty hip pave soap entry language right filter choice"}, chaintest.Network())
	if err != nil {
		return err
	}
	has := chain.UTxO{Ref: chain.OutRef{Index: 1}, Output: chain.Output{Address: w.Address(), Value: chain.Coins(20_000_000)}}
	d := chain.Draft{Until: 90, Outputs: []chain.Output{{Address: chaintest.NewActor("bob").Address, Value: chain.Coins(8_000_000)}}}
	tx, err := chain.Balance(d, []chain.UTxO{has}, w.Address(), nil, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if err != nil {
		return err
	}
	b, err := json.Marshal(tx.Envelope())
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

// sameBody FILE FILE checks that two files hold the same body.
func sameBody(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samebody FILE FILE")
	}
	var bodies [2][]byte
	for i, name := range args {
		tx, err := chain.ReadTx([]byte(ts.ReadFile(name)))
		ts.Check(err)
		bodies[i] = tx.Body()
	}
	if !bytes.Equal(bodies[0], bodies[1]) {
		ts.Fatalf("bodies differ:\n%x\n%x", bodies[0], bodies[1])
	}
}

func TestParseAmounts(t *testing.T) {
	ntx := chain.AssetID{Policy: chain.ScriptHash{1}, Name: "NTX"}
	other := chain.AssetID{Policy: chain.ScriptHash{2}, Name: "x"}
	for text, want := range map[string]chain.Value{
		"5 NTX":                           chain.Value{}.With(ntx, 5_000_000),
		"5NTX 2.5ada":                     chain.Coins(2_500_000).With(ntx, 5_000_000),
		"0.000001 NTX 1 lovelace":         chain.Coins(1).With(ntx, 1),
		"3 " + other.String():             chain.Value{}.With(other, 3),
		"1 ADA 2 NTX 3 " + other.String(): chain.Coins(1_000_000).With(ntx, 2_000_000).With(other, 3),
		"45000000000 ADA":                 chain.Coins(45_000_000_000_000_000),
	} {
		if v, err := parseAmounts(strings.Fields(text), ntx); err != nil || !v.Equal(want) {
			t.Errorf("%q: %v, want %v: %v", text, v, want, err)
		}
	}
	for text, says := range map[string]string{
		"5":                     "5 of what?",
		"NTX":                   "no amount",
		"5 BTC":                 "units are NTX, ADA",
		"5 NTX 6 ntx":           "twice",
		"0 ADA":                 "is nothing",
		"-5 ADA":                "units are",
		"1.5 lovelace":          "a whole number",
		"0.0000001 ADA":         "at most six",
		"1,5 NTX":               "units are",
		"1.2.3 NTX":             "no amount",
		"99999999999999999 ADA": "no amount",
		"45000000001 ADA":       "more ADA than there is",
		"45000000000 ADA 18446744073709551615 lovelace": "more ADA than there is",
		"5 " + other.String()[:40]:                      "units are",
	} {
		_, err := parseAmounts(strings.Fields(text), ntx)
		var f *failure
		if !errors.As(err, &f) || f.code != exitUsage || f.hint == "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	if got := worth(chain.Coins(1_500_000).With(ntx, 7).With(other, 2), ntx); got != "0.000007 NTX, 1.5 ADA, 2 "+other.String() {
		t.Error(got)
	}
	if got := worth(chain.Value{}, ntx); got != "0 ADA" {
		t.Error(got)
	}
}
