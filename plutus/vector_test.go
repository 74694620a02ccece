package plutus

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// vectorTerms are the contested terms of the contracts' own tests (contracts/lib/contested.ak).
func vectorTerms() Terms {
	fill := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	t := contest(Terms{
		Seed:      chain.OutRef{Tx: chain.TxID(fill(0x11))},
		Requester: chain.Enterprise(chain.Network{}, chain.KeyHash(fill(0x44))),
		DeclineBy: 2_000_000, CommitBy: 5_000_000, ReviewMS: 600_000, BondBps: 2000, PenaltyBps: 1000, LotLovelace: 2_000_000,
		Rest: [32]byte(fill(0x99)),
	}, 600_000)
	t.Disputes.BondUNTX, t.Disputes.CostUNTX, t.Disputes.AtRiskUNTX, t.Disputes.Payee = 150_000, 50_000, 500_000, chain.KeyHash(fill(0xbb))
	return t
}

// TestVectors: terms, voucher and verdict are in the contracts' own tests byte for byte, where Aiken's evaluator reads
// and verifies them.
func TestVectors(t *testing.T) {
	contested, err := os.ReadFile("contracts/lib/contested.ak")
	if err != nil {
		t.Fatal(err)
	}
	fill := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	c := &Contracts{Network: chain.Network{Magic: 42}, Policy: chain.ScriptHash(fill(0x22))}
	terms := vectorTerms()
	id, err := terms.JobID()
	if err != nil {
		t.Fatal(err)
	}
	voucher := c.SignVoucher(signer("voucher"), id, chain.KeyHash(fill(0x55)), 400_000)
	l := Lot{Ref: chain.OutRef{Tx: chain.TxID(fill(0x11)), Index: 1}, Root: [32]byte(fill(0x88))}
	for what, b := range map[string][]byte{
		"terms": terms.pack(), "voucher": voucher.Signature[:],
	} {
		if !bytes.Contains(contested, []byte(hex.EncodeToString(b))) {
			t.Errorf("%s: %x", what, b)
		}
	}
	for _, k := range terms.Disputes.Attesters.List() {
		for _, n := range attesterNames {
			if a := c.Attest(signer(n), l, 300_000, 100_000, 0); a.Attester == k && !bytes.Contains(contested, []byte(hex.EncodeToString(a.Signature[:]))) {
				t.Errorf("verdict by %s: %x", k, a.Signature)
			}
		}
	}
}
