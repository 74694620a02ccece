package wallet

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

const (
	words12 = "test walk nut penalty hip pave soap entry language right filter choice"
	words24 = "excess behave track soul table wear ocean cash stay nature item turtle palm soccer lunch horror start stumble month panic right must lock dress"
)

// TestDerivation uses the addresses that cardano-serialization-lib's tests publish for these words
// (Emurgo/cardano-serialization-lib, rust/src/tests/address.rs: bip32_12_base, bip32_24_base, bip32_12_enterprise,
// bip32_24_enterprise); the first key hash is also the one of CIP-19's vectors.
func TestDerivation(t *testing.T) {
	for _, v := range []struct {
		words   string
		network uint8
		opts    []Option
		want    string
	}{
		{words12, 0, nil, "addr_test1qz2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer3jcu5d8ps7zex2k2xt3uqxgjqnnj83ws8lhrn648jjxtwq2ytjqp"},
		{words12, 0, []Option{Enterprise()}, "addr_test1vz2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzerspjrlsz"},
		{words12, 1, []Option{Enterprise()}, "addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8"},
		{words24, 0, nil, "addr_test1qqy6nhfyks7wdu3dudslys37v252w2nwhv0fw2nfawemmn8k8ttq8f3gag0h89aepvx3xf69g0l9pf80tqv7cve0l33sw96paj"},
		{words24, 1, nil, "addr1qyy6nhfyks7wdu3dudslys37v252w2nwhv0fw2nfawemmn8k8ttq8f3gag0h89aepvx3xf69g0l9pf80tqv7cve0l33sdn8p3d"},
	} {
		w, err := New(Secret{Mnemonic: v.words}, chain.Network{ID: v.network}, v.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Address().String(); got != v.want {
			t.Errorf("got  %s\nwant %s", got, v.want)
		}
	}
	w, err := New(Secret{Mnemonic: words12}, chaintest.Network())
	if err != nil || w.PaymentKey().String() != "9493315cd92eb5d8c4304e67b7e16ae36d61d34502694657811a2c8e" {
		t.Errorf("CIP-19's payment key hash: %v, %v", w.PaymentKey(), err)
	}
}

// TestGuessesAreDear: the file says itself what each guess at its passphrase costs, right or wrong; a file whose author
// asks for more than a reader should pay is refused.
func TestGuessesAreDear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.age")
	pass := func() (string, error) { return "correct horse", nil }
	if err := Save(path, Secret{Mnemonic: words24}, pass, 0); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(b), "\n--- ")
	if m := regexp.MustCompile(`\n-> scrypt \S+ (\d+)\n`).FindStringSubmatch(head); m == nil || m[1] != "18" {
		t.Errorf("%q", head)
	}
	dear := filepath.Join(t.TempDir(), "dear.age")
	if err := os.WriteFile(dear, []byte(strings.Replace(string(b), " 18\n", " 40\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dear, pass); !errors.Is(err, ErrSecret) {
		t.Errorf("a file that asks for 2^40 rounds: %v", err)
	}
	if err := Save(path+"2", Secret{Mnemonic: words24}, func() (string, error) { return "", nil }, 0); !errors.Is(err, ErrSecret) {
		t.Errorf("an empty passphrase: %v", err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "wallet.age")
	pass := func() (string, error) { return "correct horse", nil }
	s := Secret{Mnemonic: words24, Password: "more"}
	if err := Save(path, s, pass, 10); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v: %v", p, info.Mode(), want, err)
		}
	}
	if err := Save(path, s, pass, 10); !errors.Is(err, ErrExists) {
		t.Errorf("overwrote a wallet: %v", err)
	}
	if got, err := Load(path, pass); err != nil || got.Mnemonic != words24 || got.Password != "more" {
		t.Errorf("loaded %+v: %v", got, err)
	}
	if _, err := Load(path, func() (string, error) { return "wrong", nil }); !errors.Is(err, ErrSecret) {
		t.Errorf("wrong passphrase: %v", err)
	}
	t.Setenv(PassphraseEnv, "correct horse")
	if _, err := Load(path, FromEnv(func() (string, error) { return "", errors.New("asked") })); err != nil {
		t.Errorf("passphrase from the environment: %v", err)
	}
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("correct horse\r\nrest\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, FromFile(file)); err != nil {
		t.Errorf("passphrase from a file: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, pass); !errors.Is(err, ErrExposed) {
		t.Errorf("a file open to others: %v", err)
	}
}
