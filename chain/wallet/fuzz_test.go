package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"filippo.io/age"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

const fuzzPassphrase = "correct horse"

func seal(t testing.TB, plain []byte) []byte {
	t.Helper()
	to, err := age.NewScryptRecipient(fuzzPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(1)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var workFactor = regexp.MustCompile(`-> scrypt \S+ (\d+)`)

// FuzzLoad: a wallet file that is damaged, or whose contents are, gives an error of this package or a secret whose
// wallet can be made, or not, without a panic.
func FuzzLoad(f *testing.F) {
	path := filepath.Join(f.TempDir(), "wallet.age")
	pass := func() (string, error) { return fuzzPassphrase, nil }
	if err := Save(path, Secret{Mnemonic: words12, Password: "x"}, pass, 1); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, true)
	f.Add(whole[:len(whole)-1], true)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 AAAA\n"), true)
	for _, s := range []Secret{{Mnemonic: words24}, {PaymentKey: bytes.Repeat([]byte{1}, 96), StakeKey: bytes.Repeat([]byte{2}, 32)}} {
		plain, err := json.Marshal(secretFile{1, openSecret(s)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if !sealed {
			b = seal(t, b)
		}
		if m := workFactor.FindSubmatch(b); m != nil {
			if n, err := strconv.Atoi(string(m[1])); err != nil || n > 8 {
				return // dear by design
			}
		}
		s, err := unseal(bytes.NewReader(b), fuzzPassphrase)
		if err == nil {
			_, err = New(s, chaintest.Network())
		}
		if err != nil && !errors.Is(err, ErrSecret) {
			t.Fatal(err)
		}
	})
}

// FuzzStored: a reservation whose row is damaged is an error of the store, and none is invented.
func FuzzStored(f *testing.F) {
	f.Add(chain.OutRef{Tx: chain.TxID{1}, Index: 2}.String(), "job", int64(5))
	f.Add("x#y", "", int64(-1))
	r := open(f, filepath.Join(f.TempDir(), "wallet.db"))
	f.Fuzz(func(t *testing.T, ref, purpose string, until int64) {
		if _, err := r.db.ExecContext(t.Context(), `DELETE FROM reservations`); err != nil {
			t.Fatal(err)
		}
		if _, err := r.db.ExecContext(t.Context(), `INSERT INTO reservations (ref, purpose, until) VALUES (?,?,?)`, ref, purpose, until); err != nil {
			t.Fatal(err)
		}
		got, err := r.All(t.Context())
		if err != nil && !errors.Is(err, ErrStore) || err == nil && (len(got) != 1 || got[0].Until != chain.Time(until)) {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}
