package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger/conway"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// FuzzDecodeOutput: an output that is read is written in the same bytes.
func FuzzDecodeOutput(f *testing.F) {
	a := chaintest.NewActor("alice")
	v := chain.Coins(2_000_000).With(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "x"}, 7)
	f.Add(chain.Output{Address: a.Address, Value: chain.Coins(1)}.Encode())
	f.Add(chain.Output{Address: a.Address, Value: v, Datum: unit, Script: chaintest.Accepts(1)}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := chain.DecodeOutput(b)
		if err != nil {
			if !errors.Is(err, chain.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again, err := chain.DecodeOutput(o.Encode()); err != nil || !bytes.Equal(again.Encode(), o.Encode()) {
			t.Fatalf("%x becomes %x: %v", b, o.Encode(), err)
		}
	})
}

// FuzzAddress: what a person types is an address that is written the same way, or an error.
func FuzzAddress(f *testing.F) {
	f.Add(chaintest.NewActor("alice").Address.String())
	f.Add(chain.ScriptAddress(chain.Network{ID: 1}, chain.ScriptHash{2}).String())
	f.Fuzz(func(t *testing.T, s string) {
		a, err := chain.ParseAddress(s)
		if err != nil {
			return
		}
		again, err := chain.ParseAddress(a.String())
		raw, rawErr := chain.AddressFromBytes(a.Bytes())
		if err != nil || rawErr != nil || again != a || raw != a {
			t.Fatalf("%q becomes %q: %v, %v", s, a, err, rawErr)
		}
	})
}

// FuzzText: references and assets that are read are written the same way.
func FuzzText(f *testing.F) {
	f.Add(chain.OutRef{Tx: chain.TxID{1}, Index: 2}.String())
	f.Add(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "x"}.String())
	f.Fuzz(func(t *testing.T, s string) {
		var ref, ref2 chain.OutRef
		if ref.UnmarshalText([]byte(s)) == nil {
			if err := ref2.UnmarshalText([]byte(ref.String())); err != nil || ref != ref2 {
				t.Fatalf("%q becomes %s: %v", s, ref, err)
			}
		}
		var id, id2 chain.AssetID
		if id.UnmarshalText([]byte(s)) == nil {
			if err := id2.UnmarshalText([]byte(id.String())); err != nil || id != id2 {
				t.Fatalf("%q becomes %s: %v", s, id, err)
			}
		}
	})
}

// FuzzMetadata: metadata that a stranger's transaction carries is judged without a panic.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte{0xa1, 0x01, 0x81, 0x61, 'x'})
	f.Add([]byte{0xa2, 0x01, 0xa1, 0x20, 0x40, 0x02, 0x80})
	f.Fuzz(func(t *testing.T, aux []byte) {
		if err := chain.CheckMetadata(aux); err != nil && !errors.Is(err, chain.ErrMalformed) && !errors.Is(err, chain.ErrLedgerRule) {
			t.Fatal(err)
		}
	})
}

// FuzzDecodeAnyTx: what others encoded is written as it was read, signed it differs in its witnesses alone, and what is
// in the canonical encoding reads the same both ways.
func FuzzDecodeAnyTx(f *testing.F) {
	seedTxs(f)
	for name := range realTxs {
		f.Add(readHex(f, name+".tx.hex"))
	}
	signer := chaintest.NewActor("fuzz")
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, rawErr := chain.DecodeRawTx(b)
		if rawErr == nil && !bytes.Equal(raw.Bytes(), b) {
			t.Fatalf("%x becomes %x", b, raw.Bytes())
		}
		tx, err := chain.DecodeAnyTx(b)
		if err != nil {
			if !errors.Is(err, chain.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if rawErr != nil || !bytes.Equal(tx.Bytes(), b) {
			t.Fatalf("%x becomes %x: %v", b, tx.Bytes(), rawErr)
		}
		body, err := tx.Inspect()
		if err != nil {
			t.Fatal(err)
		}
		if strict, err := chain.Inspect(raw.Body); err == nil && !chain.SameView(strict, body) {
			t.Fatalf("%+v, or %+v", strict, body)
		}
		if err := signer.Sign(tx); err != nil {
			t.Fatal(err)
		}
		again, err := chain.DecodeAnyTx(tx.Bytes())
		if err != nil || !bytes.Equal(again.Body(), raw.Body) || len(again.Witnesses()) != len(tx.Witnesses()) {
			t.Fatalf("signed %x becomes %x: %v", b, tx.Bytes(), err)
		}
	})
}

// FuzzDecodeRawBlock: a block that is taken apart is put together to the same bytes.
func FuzzDecodeRawBlock(f *testing.F) {
	for name := range realBlocks {
		if b := readHex(f, name+".block.hex"); len(b) < 5_000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		block, err := chain.DecodeRawBlock(b)
		if err != nil {
			if !errors.Is(err, chain.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(block.Bytes(), b) {
			t.Fatalf("%x becomes %x", b, block.Bytes())
		}
		for _, tx := range block.Txs {
			if again, err := chain.DecodeRawTx(tx.Bytes()); err == nil && again.ID() != tx.ID() {
				t.Fatalf("transaction %s becomes %s", tx.ID(), again.ID())
			}
			_, _ = tx.Redeemers()
		}
	})
}

// FuzzBlockTx: a transaction of a block, as the node's library reads it, becomes ours without a panic, and its outputs
// can be written.
func FuzzBlockTx(f *testing.F) {
	seedTxs(f)
	for name := range realTxs {
		f.Add(readHex(f, name+".tx.hex"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > chain.MaxTxBytes {
			return
		}
		tx, err := conway.NewConwayTransactionFromCbor(b)
		if err != nil {
			return
		}
		btx, err := chain.BlockTxFrom(tx)
		if err != nil {
			return
		}
		for _, u := range btx.Outputs {
			_ = u.Encode()
		}
	})
}
