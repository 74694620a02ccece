package wallet

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/blinklabs-io/bursa"
	"github.com/blinklabs-io/bursa/bip32"
)

// signer is one private key.
type signer interface {
	vkey() []byte
	sign(msg []byte) []byte
}

// seedKey is a plain Ed25519 key (RFC 8032).
type seedKey struct{ ed25519.PrivateKey }

func (k seedKey) vkey() []byte           { return k.Public().(ed25519.PublicKey) }
func (k seedKey) sign(msg []byte) []byte { return ed25519.Sign(k.PrivateKey, msg) }

// extendedKey is a BIP32-Ed25519 key (CIP-1852); its signatures verify like plain ones.
type extendedKey struct{ bip32.XPrv }

func (k extendedKey) vkey() []byte           { return k.PublicKey() }
func (k extendedKey) sign(msg []byte) []byte { return k.Sign(msg) }

// NewMnemonic makes 24 words of fresh entropy (BIP-39).
func NewMnemonic() (string, error) {
	m, err := bursa.GenerateMnemonic()
	if err != nil {
		return "", fmt.Errorf("make a mnemonic: %w", err)
	}
	return m, nil
}

// Secret is what a wallet's keys come from: words, or an imported payment key. The zero Secret is none.
type Secret struct {
	Mnemonic   string `json:"mnemonic,omitempty"`
	Password   string `json:"bip39_password,omitempty"` // BIP-39's optional passphrase
	PaymentKey []byte `json:"payment_key,omitempty"`    // 32 bytes: a seed; 96: an extended key with its chain code
}

// keys derives m/1852'/1815'/0'/0/0 and, from words, the stake key m/1852'/1815'/0'/2/0 (CIP-1852, CIP-11).
func (s Secret) keys() (payment, stake signer, err error) {
	switch len(s.PaymentKey) {
	case 0:
	case ed25519.SeedSize:
		return seedKey{ed25519.NewKeyFromSeed(s.PaymentKey)}, nil, nil
	case 96:
		return extendedKey{bip32.XPrv(s.PaymentKey)}, nil, nil
	default:
		return nil, nil, fmt.Errorf("payment key of %d bytes: %w", len(s.PaymentKey), ErrSecret)
	}
	root, err := bursa.GetRootKeyFromMnemonic(s.Mnemonic, s.Password)
	if err != nil {
		return nil, nil, fmt.Errorf("mnemonic: %w: %w", err, ErrSecret)
	}
	account, err := bursa.GetAccountKey(root, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("derive account: %w", err)
	}
	p, err := bursa.GetPaymentKey(account, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("derive payment key: %w", err)
	}
	t, err := bursa.GetStakeKey(account, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("derive stake key: %w", err)
	}
	return extendedKey{p}, extendedKey{t}, nil
}

// SigningKey reads a payment signing key as cardano-cli writes it (a text envelope): a plain key of 32 bytes, or an
// extended one of 128: key, public key, chain code.
func SigningKey(envelope []byte) (Secret, error) {
	var e struct {
		Type    string `json:"type"`
		CBORHex string `json:"cborHex"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		return Secret{}, fmt.Errorf("signing key file is not JSON: %w", ErrSecret)
	}
	b, err := hex.DecodeString(e.CBORHex)
	if err != nil || len(b) < 2 || b[0] != 0x58 || int(b[1]) != len(b)-2 {
		return Secret{}, fmt.Errorf("signing key file of type %q holds no byte string: %w", e.Type, ErrSecret)
	}
	key := b[2:]
	switch e.Type {
	case "PaymentSigningKeyShelley_ed25519", "GenesisUTxOSigningKey_ed25519":
		if len(key) == ed25519.SeedSize {
			return Secret{PaymentKey: key}, nil
		}
	case "PaymentExtendedSigningKeyShelley_ed25519_bip32":
		if len(key) == 128 {
			x := bip32.XPrv(append(append([]byte{}, key[:64]...), key[96:]...))
			if string(x.PublicKey()) == string(key[64:96]) {
				return Secret{PaymentKey: x}, nil
			}
		}
	}
	return Secret{}, fmt.Errorf("signing key file of type %q with %d bytes: %w", e.Type, len(key), ErrSecret)
}
