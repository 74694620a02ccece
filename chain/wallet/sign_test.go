package wallet

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func testWallet(t *testing.T) *Wallet {
	t.Helper()
	w, err := New(Secret{Mnemonic: words24}, chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func coin(w *Wallet, n uint32, v chain.Value) chain.UTxO {
	return chain.UTxO{Ref: chain.OutRef{Index: n}, Output: chain.Output{Address: w.Address(), Value: v}}
}

// TestSign pays from a wallet with an extended key, by every rule of the ledger.
func TestSign(t *testing.T) {
	w, bob := testWallet(t), chaintest.NewActor("bob")
	have := []chain.UTxO{coin(w, 0, chain.Coins(20_000_000))}
	l := chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), have)
	d := chain.Draft{Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(7_000_000)}}, Until: 50}
	tx, err := chain.Balance(d, have, w.Address(), nil, l.Params(), l.Clock(), l.Network())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := chain.DecodeTx(tx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SignBuilt(foreign); !errors.Is(err, ErrNotApproved) {
		t.Errorf("signed what was not built here: %v", err)
	}
	refused := errors.New("too dear")
	if _, _, err := w.SignChecked(foreign.Body(), func(chain.TxBody) error { return refused }); !errors.Is(err, refused) || !errors.Is(err, ErrNotApproved) {
		t.Errorf("signed what was refused: %v", err)
	}
	if _, _, err := w.SignChecked(foreign.Body(), nil); !errors.Is(err, ErrNotApproved) {
		t.Errorf("signed what nobody checked: %v", err)
	}
	vkey, sig, err := w.SignChecked(foreign.Body(), func(b chain.TxBody) error {
		if b.ID != tx.ID() || len(b.Outputs) != 2 {
			return refused
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := foreign.AddWitness(vkey, sig); err != nil {
		t.Fatal(err)
	}
	if err := w.SignBuilt(tx); err != nil {
		t.Fatal(err)
	}
	if string(tx.Bytes()) != string(foreign.Bytes()) {
		t.Error("the two ways of signing give different bytes")
	}
	if err := l.Submit(tx.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Forge(1); err != nil || len(l.UTxOs(bob.Address)) != 1 {
		t.Fatalf("not paid: %v", err)
	}
}

func TestSignNotNeeded(t *testing.T) {
	w, bob := testWallet(t), chaintest.NewActor("bob")
	tx, err := chain.Balance(chain.Draft{Until: 9, Outputs: []chain.Output{{Address: w.Address()}}},
		[]chain.UTxO{bob.Coin(0, chain.Coins(9_000_000))}, bob.Address, nil, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SignBuilt(tx); !errors.Is(err, ErrNotApproved) {
		t.Errorf("signed a transaction that does not need it: %v", err)
	}
}

// TestSignMessage: nothing that could be a transaction's hash is signed as a message.
func TestSignMessage(t *testing.T) {
	w := testWallet(t)
	for _, bad := range [][]byte{nil, make([]byte, 32), []byte("tally/567890123456789012345678901")[:32], []byte("tall")} {
		if _, _, err := w.SignMessage(bad); !errors.Is(err, ErrNotApproved) {
			t.Errorf("signed %q: %v", bad, err)
		}
	}
	vkey, sig, err := w.SignMessage([]byte("tally/bind/1"))
	if err != nil || !ed25519.Verify(vkey, []byte("tally/bind/1"), sig) || chain.HashKey(vkey) != w.PaymentKey() {
		t.Errorf("message: %v", err)
	}
}
