package chain_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// TestGolden: the same draft, coins and parameters give the same bytes for ever. This transaction was accepted by the
// ledger emulator of scalus 0.17.0, which also counted the same execution units; cardano-serialization-lib 15.0.3
// computed the same id and script data hash.
func TestGolden(t *testing.T) {
	tx, actors := lockedTx(t)
	for _, a := range actors {
		if err := a.Sign(tx); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("testdata/lock.tx.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got := tx.Bytes(); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	used, err := chain.Evaluate(tx, tx.Resolved(), chaintest.Params(), chaintest.Clock())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []chain.RedeemerKey{{Purpose: chain.PurposeSpend}, {Purpose: chain.PurposeMint}} {
		if used[k] != (chain.ExUnits{Mem: 800, Steps: 112100}) {
			t.Errorf("%s used %+v", k, used[k])
		}
	}
}
