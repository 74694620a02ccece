package wallet

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"

	"github.com/blinklabs-io/bursa"
	"github.com/blinklabs-io/bursa/bip32"

	"github.com/tallycompute/tally/chain"
)

// signer is one private key.
type signer interface {
	vkey() []byte
	sign(msg []byte) []byte
	private() []byte // as an imported key is kept, see Secret
}

// seedKey is a plain Ed25519 key (RFC 8032).
type seedKey struct{ ed25519.PrivateKey }

func (k seedKey) vkey() []byte           { return k.Public().(ed25519.PublicKey) }
func (k seedKey) sign(msg []byte) []byte { return ed25519.Sign(k.PrivateKey, msg) }
func (k seedKey) private() []byte        { return k.Seed() }

// extendedKey is a BIP32-Ed25519 key (CIP-1852); its signatures verify like plain ones.
type extendedKey struct{ bip32.XPrv }

func (k extendedKey) vkey() []byte           { return k.PublicKey() }
func (k extendedKey) sign(msg []byte) []byte { return k.Sign(msg) }
func (k extendedKey) private() []byte        { return k.XPrv }

// watchKey is the public half of a key that is kept elsewhere: it signs nothing.
type watchKey []byte

func (k watchKey) vkey() []byte     { return k }
func (watchKey) sign([]byte) []byte { return nil }
func (watchKey) private() []byte    { return nil }

func keyHash(k signer) chain.KeyHash { return chain.HashKey(k.vkey()) }

// Secret is what a wallet's keys come from: words, or imported keys. The zero Secret is none. It says nothing of
// itself when it is printed or logged.
type Secret struct {
	Mnemonic string `json:"mnemonic,omitempty"`
	Password string `json:"bip39_password,omitempty"` // BIP-39's optional passphrase
	Account  uint32 `json:"account,omitempty"`        // CIP-1852's account
	Index    uint32 `json:"index,omitempty"`          // of the payment key in the account

	// An imported key is a seed (32 bytes) or an extended key with its chain code (96). There may be no stake key.
	PaymentKey []byte `json:"payment_key,omitempty"`
	StakeKey   []byte `json:"stake_key,omitempty"`

	// With public keys alone (32 bytes) a wallet looks, and builds transactions, and cannot sign.
	PaymentVKey []byte `json:"payment_vkey,omitempty"`
	StakeVKey   []byte `json:"stake_vkey,omitempty"`
}

const hidden = "(secret)"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret.
func (Secret) GoString() string { return hidden }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from what is encoded along with it: only Save writes it.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Path is where the payment key is derived (CIP-1852), if it is.
func (s Secret) Path() (path string, ok bool) {
	return fmt.Sprintf("m/1852'/1815'/%d'/0/%d", s.Account, s.Index), s.Mnemonic != ""
}

// maxIndex is the largest index of a derivation step, hardened or not (BIP-32).
const maxIndex = 1<<31 - 1

// keys derives m/1852'/1815'/account'/0/index and, from words, the account's stake key m/1852'/1815'/account'/2/0
// (CIP-1852, CIP-11); stake is nil if there is none.
func (s Secret) keys() (payment, stake signer, err error) {
	if len(s.PaymentVKey) > 0 {
		return s.watched()
	}
	if len(s.PaymentKey) > 0 {
		if payment, err = imported("payment", s.PaymentKey); err == nil && len(s.StakeKey) > 0 {
			stake, err = imported("stake", s.StakeKey)
		}
		return payment, stake, err
	}
	if s.Account > maxIndex || s.Index > maxIndex {
		return nil, nil, fmt.Errorf("account %d, index %d, at most %d: %w", s.Account, s.Index, maxIndex, ErrSecret)
	}
	_, entropy, err := mnemonicEntropy(s.Mnemonic)
	if err != nil {
		return nil, nil, err
	}
	account, err := bursa.GetAccountKey(bursa.GetRootKey(entropy, []byte(s.Password)), s.Account)
	if err != nil {
		return nil, nil, fmt.Errorf("derive account: %w", err)
	}
	p, err := bursa.GetPaymentKey(account, s.Index)
	if err != nil {
		return nil, nil, fmt.Errorf("derive payment key: %w", err)
	}
	t, err := bursa.GetStakeKey(account, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("derive stake key: %w", err)
	}
	return extendedKey{p}, extendedKey{t}, nil
}

func (s Secret) watched() (payment, stake signer, err error) {
	if len(s.PaymentVKey) != ed25519.PublicKeySize || len(s.StakeVKey) != 0 && len(s.StakeVKey) != ed25519.PublicKeySize {
		return nil, nil, fmt.Errorf("public keys of %d and %d bytes: %w", len(s.PaymentVKey), len(s.StakeVKey), ErrSecret)
	}
	if len(s.StakeVKey) > 0 {
		stake = watchKey(s.StakeVKey)
	}
	return watchKey(s.PaymentVKey), stake, nil
}

func imported(what string, key []byte) (signer, error) {
	switch len(key) {
	case ed25519.SeedSize:
		return seedKey{ed25519.NewKeyFromSeed(key)}, nil
	case 96:
		return extendedKey{bip32.XPrv(key)}, nil
	}
	return nil, fmt.Errorf("%s key of %d bytes: %w", what, len(key), ErrSecret)
}
