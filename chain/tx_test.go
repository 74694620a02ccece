package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger/conway"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// TestDecodeTxRefuses: a transaction that says the same in other bytes, or something else, is not one of ours.
func TestDecodeTxRefuses(t *testing.T) {
	tx, actors := lockedTx(t)
	if err := actors[0].Sign(tx); err != nil {
		t.Fatal(err)
	}
	b := tx.Bytes()
	got, err := chain.DecodeTx(b)
	if err != nil || got.ID() != tx.ID() || got.Built() || !tx.Built() || len(got.Witnesses()) != 1 {
		t.Fatalf("%+v: %v", got, err)
	}
	if err := got.Require(tx.Resolved()); err != nil || len(got.MissingWitnesses()) != 1 {
		t.Errorf("missing %v: %v", got.MissingWitnesses(), err)
	}
	if err := got.Require(tx.Resolved()[1:]); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("an unknown input: %v", err)
	}
	set := func(at int, v byte) []byte { c := bytes.Clone(b); c[at] = v; return c }
	valid := bytes.LastIndexByte(b[:len(b)-11], 0xf5)
	for name, bad := range map[string][]byte{
		"nothing":       nil,
		"trailing byte": append(bytes.Clone(b), 0),
		"cut":           b[:len(b)-1],
		"isValid false": set(valid, 0xf4),
		"three parts":   set(0, 0x83),
		"signature":     set(bytes.Index(b, witnessSig(t, tx, actors[0]))+3, 0xff),
		"too long":      make([]byte, chain.MaxTxBytes+1),
	} {
		if _, err := chain.DecodeTx(bad); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func witnessSig(t *testing.T, tx *chain.Tx, a chaintest.Actor) []byte {
	t.Helper()
	_, sig, ok := tx.Witness(a.Hash)
	if !ok {
		t.Fatal("not signed")
	}
	return sig
}

// TestInspectRefuses: only the canonical encoding is read.
func TestInspectRefuses(t *testing.T) {
	tx := balance(t, chain.Draft{Until: 9}, []chain.UTxO{chaintest.NewActor("a").Coin(0, chain.Coins(9_000_000))}, chaintest.NewActor("a").Address)
	body := tx.Body() // {0: inputs, 1: [change], 2: fee, 3: 9, 8: 1, 15: 0}
	if body[0] != 0xa6 || !bytes.HasSuffix(body, []byte{3, 9, 8, 1, 15, 0}) {
		t.Fatalf("body %x", body)
	}
	n := len(body)
	for name, bad := range map[string][]byte{
		"long number":    append(bytes.Clone(body[:n-1]), 0x18, 0),
		"keys unsorted":  append(bytes.Clone(body[:n-6]), 8, 1, 3, 9, 15, 0),
		"key twice":      append(bytes.Clone(body[:n-6]), 3, 9, 3, 9, 15, 0),
		"zero bound":     append(bytes.Clone(body[:n-4]), 8, 0, 15, 0),
		"indefinite map": append(append([]byte{0xbf}, body[1:]...), 0xff),
		"empty mint":     append(append([]byte{0xa7}, body[1:n-2]...), 9, 0xa0, 15, 0),
		"untagged set":   bytes.Replace(body, []byte{0xd9, 0x01, 0x02}, nil, 1),
	} {
		if b, err := chain.Inspect(bad); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}

// TestBlockTxFrom: what the ledger library decodes and what we built agree.
func TestBlockTxFrom(t *testing.T) {
	tx, actors := lockedTx(t)
	for _, a := range actors {
		if err := a.Sign(tx); err != nil {
			t.Fatal(err)
		}
	}
	ct, err := conway.NewConwayTransactionFromCbor(tx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	b, err := chain.BlockTxFrom(ct)
	if err != nil {
		t.Fatal(err)
	}
	body, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	if b.ID != body.ID || b.Fee != body.Fee || b.From != 10 || b.Until != 20 || b.Invalid || len(b.Witnesses) != 2 || len(b.Signers) != 1 || b.Signers[0] != actors[1].Hash {
		t.Errorf("%+v", b)
	}
	for i, in := range b.Inputs {
		if in != body.Inputs[i] {
			t.Errorf("input %d: %s, want %s", i, in, body.Inputs[i])
		}
	}
	for i, o := range b.Outputs {
		if !bytes.Equal(o.Encode(), body.Outputs[i].Encode()) || o.Ref != body.Outputs[i].Ref {
			t.Errorf("output %d: %+v, want %+v", i, o, body.Outputs[i])
		}
	}
	if len(b.SpendRedeemers) != 1 || len(b.MintRedeemers) != 1 || len(b.Mint) != 1 || len(b.References) != 1 {
		t.Errorf("%+v", b)
	}
}

func FuzzDecodeTx(f *testing.F) {
	seedTxs(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := chain.DecodeTx(b)
		if err != nil {
			return
		}
		if !bytes.Equal(tx.Bytes(), b) {
			t.Fatalf("%x becomes %x", b, tx.Bytes())
		}
	})
}

func FuzzInspect(f *testing.F) {
	seedTxs(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := chain.Inspect(b)
		if err != nil {
			return
		}
		for _, o := range body.Outputs { // what was read can be written
			_ = o.Encode()
		}
	})
}

func seedTxs(f *testing.F) {
	alice := chaintest.NewActor("alice")
	tx, err := chain.Balance(chain.Draft{Until: 9, Message: []string{"x"}}, []chain.UTxO{alice.Coin(0, chain.Coins(9_000_000))}, alice.Address, nil,
		chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tx.Body())
	f.Add(tx.Bytes())
	if err := alice.Sign(tx); err != nil {
		f.Fatal(err)
	}
	f.Add(tx.Bytes())
}
