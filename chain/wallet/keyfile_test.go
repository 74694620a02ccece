package wallet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// An extended key as cardano-cli keeps it, with its public one (Python-Cardano/pycardano, test/pycardano/test_key.py).
const (
	extendedKeyHex = "e8428867ab9cc9304379a3ce0c238a592bd6d2349d2ebaf8a6ed2c6d2974a15ad59c74b6d8fa3edd032c6261a73998b7deafe983b6eeaff8b6fb3fab06bdf801" + extendedPubHex
	extendedPubHex = "9b693a62bce7a3cad1b9c02d22125767201c65db27484bb67d3cee7df7288d62c099ac0ce4a215355b149fd3114a2a7ef0438f01f8872c4487a61b469e26aae4"
)

func keyFile(kind, hexKey string) string {
	return fmt.Sprintf(`{"type": %q, "description": "Payment Signing Key", "cborHex": %q}`, kind, hexKey)
}

func TestKeyFiles(t *testing.T) {
	alice := chaintest.NewActor("alice")
	seed := "5820" + hex.EncodeToString(alice.Key.Seed())
	for _, kind := range []string{"PaymentSigningKeyShelley_ed25519", "GenesisUTxOSigningKey_ed25519"} {
		s, err := ReadPaymentKey([]byte(keyFile(kind, seed)))
		if err != nil {
			t.Fatal(err)
		}
		w, err := New(s, chaintest.Network())
		if err != nil || w.Address() != alice.Address {
			t.Fatalf("%v, want %v: %v", w.Address(), alice.Address, err)
		}
		if _, derived := s.Path(); derived {
			t.Error("an imported key has a path")
		}
	}
	s, err := ReadPaymentKey([]byte(keyFile("PaymentExtendedSigningKeyShelley_ed25519_bip32", "5880"+extendedKeyHex)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.KeyFiles()
	if err != nil || len(files) != 2 || files["payment.skey"].CBORHex != "5880"+extendedKeyHex || files["payment.vkey"].CBORHex != "5840"+extendedPubHex {
		t.Fatalf("files %v: %v", files, err)
	}
	w, err := New(s, chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	msg := []byte("tally/bind/1 and more")
	if vkey, sig, err := w.SignMessage(msg); err != nil || !ed25519.Verify(vkey, msg, sig) {
		t.Errorf("an extended signature does not verify: %v", err)
	}
}

// TestExportImport: what is exported can be imported, and is the same wallet then.
func TestExportImport(t *testing.T) {
	from, err := New(Secret{Mnemonic: words24, Account: 3, Index: 5}, chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	files, err := Secret{Mnemonic: words24, Account: 3, Index: 5}.KeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{}
	for name, e := range files {
		if texts[name], err = json.Marshal(e); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ReadPaymentKey(texts["payment.skey"])
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.ReadStakeKey(texts["stake.skey"]); err != nil {
		t.Fatal(err)
	}
	if w, err := New(s, chaintest.Network()); err != nil || w.Address() != from.Address() {
		t.Fatalf("%v, want %v: %v", w, from, err)
	}
	again, err := s.KeyFiles()
	if err != nil || fmt.Sprint(again) != fmt.Sprint(files) {
		t.Errorf("%v, want %v: %v", again, files, err)
	}
	for name, says := range map[string]string{"payment.vkey": "is no payment signing key", "stake.skey": `"StakeExtendedSigningKeyShelley_ed25519_bip32" is no payment signing key`} {
		if _, err := ReadPaymentKey(texts[name]); !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s as a payment key: %v", name, err)
		}
	}
	if _, err := s.ReadStakeKey(texts["payment.skey"]); !errors.Is(err, ErrSecret) {
		t.Errorf("a payment key as a stake key: %v", err)
	}
}

func TestWrongKeyFiles(t *testing.T) {
	const plain, long = "PaymentSigningKeyShelley_ed25519", "PaymentExtendedSigningKeyShelley_ed25519_bip32"
	for name, bad := range map[string]string{
		"empty":            ``,
		"no key":           `{}`,
		"short":            keyFile(plain, "5801aa"),
		"not hex":          keyFile(plain, "58zz"),
		"two keys":         keyFile(plain, "5880"+extendedKeyHex),
		"half a key":       keyFile(long, "5840"+extendedPubHex),
		"other public key": keyFile(long, "5880"+extendedKeyHex[:128]+strings.Repeat("00", 32)+extendedKeyHex[192:]),
		"another tool's":   keyFile("VrfSigningKey_PraosVRF", "5840"+extendedPubHex),
		"huge":             keyFile(plain, strings.Repeat("00", maxFile)),
	} {
		if _, err := ReadPaymentKey([]byte(bad)); !errors.Is(err, ErrSecret) || len(err.Error()) > 200 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadKey(f *testing.F) {
	f.Add([]byte(keyFile("PaymentExtendedSigningKeyShelley_ed25519_bip32", "5880"+extendedKeyHex)))
	f.Add([]byte(keyFile("PaymentSigningKeyShelley_ed25519", "5820"+extendedPubHex[:64])))
	f.Add([]byte(`{"type":"","cborHex":"58"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := ReadPaymentKey(file)
		if err != nil {
			return
		}
		if _, err := s.KeyFiles(); err != nil {
			t.Errorf("read, but of no use: %v", err)
		}
	})
}

// TestWatching: a wallet of public keys has the address, and signs nothing.
func TestWatching(t *testing.T) {
	from := Secret{Mnemonic: words24, Index: 2}
	w, err := New(from, chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	files, err := from.KeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	text := func(name string) []byte {
		b, err := json.Marshal(files[name])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s, err := ReadPaymentVKey(text("payment.vkey"))
	if err == nil {
		s, err = s.ReadStakeVKey(text("stake.vkey"))
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ReadPaymentVKey([]byte(keyFile("PaymentVerificationKeyShelley_ed25519", "5820"+hex.EncodeToString(s.PaymentVKey))))
	if err != nil || !bytes.Equal(plain.PaymentVKey, s.PaymentVKey) {
		t.Errorf("not the same key: %v", err)
	}
	watch, err := New(s, chaintest.Network())
	if err != nil || watch.Address() != w.Address() || !watch.Watching() || w.Watching() {
		t.Fatalf("%v, want %v: %v", watch, w, err)
	}
	if again, err := s.KeyFiles(); err != nil || len(again) != 2 || again["payment.skey"].CBORHex != "" {
		t.Errorf("%v %v", again, err)
	}
	tx, err := chain.Balance(chain.Draft{Until: 9}, []chain.UTxO{coin(w, 0, chain.Coins(9_000_000))}, w.Address(), nil, chaintest.Params(), chaintest.Clock(), w.Network())
	if err != nil {
		t.Fatal(err)
	}
	_, _, checked := watch.SignChecked(tx.Body(), func(chain.TxBody) error { return nil })
	_, _, message := watch.SignMessage([]byte("tally/bind/1"))
	_, reviewed := watch.SignReviewed(tx, nil, func(Review) error { return nil })
	for _, err := range []error{watch.SignBuilt(tx), checked, message, reviewed} {
		if !errors.Is(err, ErrWatching) {
			t.Errorf("signed: %v", err)
		}
	}
	for _, name := range []string{"payment.skey", "stake.vkey"} {
		if _, err := ReadPaymentVKey(text(name)); !errors.Is(err, ErrSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Secret{PaymentVKey: make([]byte, 31)}, chaintest.Network()); !errors.Is(err, ErrSecret) {
		t.Error(err)
	}
}
