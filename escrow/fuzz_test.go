package escrow_test

import (
	"bytes"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// FuzzDecodeEvent: an event that a damaged disk gives back is an error, or is written again as it was read; a lot takes
// it or not, without a panic.
func FuzzDecodeEvent(f *testing.F) {
	alice := chaintest.NewActor("alice")
	terms := plutus.Terms{Requester: alice.Address, BondBps: 1000, Rest: [32]byte{1}}
	for _, e := range []escrow.Event{
		{Kind: escrow.KindOpen, Terms: terms, Address: alice.Address, PriceUNTX: 5, BondUNTX: 1},
		{Kind: escrow.KindCommit, Root: [32]byte{2}, ClaimAt: 7},
		{Kind: escrow.KindApprove, AwardUNTX: 5, ToProviderUNTX: 6},
	} {
		b, err := escrow.EncodeEvent(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := escrow.DecodeEvent(b)
		if err != nil {
			return
		}
		out, err := escrow.EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := escrow.DecodeEvent(out)
		if err != nil {
			t.Fatalf("%s becomes %s: %v", b, out, err)
		}
		if twice, err := escrow.EncodeEvent(again); err != nil || !bytes.Equal(twice, out) {
			t.Fatalf("%s becomes %s: %v", out, twice, err)
		}
		for _, before := range [][]escrow.Event{nil, {{Kind: escrow.KindOpen, Terms: terms}}, {{Kind: escrow.KindOpen, Terms: terms}, {Kind: escrow.KindCommit}}} {
			if l, err := escrow.Fold(escrow.Key{}, append(before, e)); err == nil && l.Txs[e.Kind] != e.Tx {
				t.Fatalf("%+v", l)
			}
		}
	})
}

// FuzzParseKey: the name of a lot that is read is written the same way.
func FuzzParseKey(f *testing.F) {
	f.Add(escrow.Key{Job: plutus.JobID{1}, Provider: chain.KeyHash{2}}.String())
	f.Add("/")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := escrow.ParseKey(s)
		if err != nil {
			return
		}
		if again, err := escrow.ParseKey(k.String()); err != nil || again != k {
			t.Fatalf("%q becomes %q: %v", s, k, err)
		}
	})
}
