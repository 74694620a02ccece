package wallet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/blinklabs-io/bursa/bip32"

	"github.com/tallycompute/tally/chain"
)

// Endings of cardano-cli's types of key files: "Payment" or "Stake" stands before them.
const (
	typeSigning    = "SigningKeyShelley_ed25519"
	typeExtSigning = "ExtendedSigningKeyShelley_ed25519_bip32"
	typeVerify     = "VerificationKeyShelley_ed25519"
	typeExtVerify  = "ExtendedVerificationKeyShelley_ed25519_bip32"
	typeGenesis    = "GenesisUTxOSigningKey_ed25519" // pays like a payment key
)

// ReadPaymentKey reads a payment signing key as cardano-cli keeps it: a plain key of 32 bytes, or an extended one of
// 128 (key, public key, chain code). ErrSecret says what the file is instead.
func ReadPaymentKey(file []byte) (Secret, error) {
	key, err := readKey(file, "Payment")
	return Secret{PaymentKey: key}, err
}

// ReadStakeKey reads a stake signing key for a secret with an imported payment key.
func (s Secret) ReadStakeKey(file []byte) (_ Secret, err error) {
	s.StakeKey, err = readKey(file, "Stake")
	return s, err
}

// ReadPaymentVKey reads a payment verification key as cardano-cli keeps it (.vkey), for a wallet that only looks.
func ReadPaymentVKey(file []byte) (Secret, error) {
	key, err := readVKey(file, "Payment")
	return Secret{PaymentVKey: key}, err
}

// ReadStakeVKey reads a stake verification key for a secret with a payment verification key.
func (s Secret) ReadStakeVKey(file []byte) (_ Secret, err error) {
	s.StakeVKey, err = readVKey(file, "Stake")
	return s, err
}

func readVKey(file []byte, role string) ([]byte, error) {
	kind, key, err := readEnvelope(file, strings.ToLower(role)+" verification key (.vkey)", map[string]int{role + typeVerify: 32, role + typeExtVerify: 64})
	if err != nil {
		return nil, err
	}
	if kind == role+typeExtVerify {
		key = key[:ed25519.PublicKeySize] // the rest is its chain code
	}
	return key, nil
}

// readEnvelope reads a key file of one of the types, each with its key's length in bytes.
func readEnvelope(file []byte, what string, types map[string]int) (kind string, key []byte, err error) {
	var e chain.TextEnvelope
	if len(file) > maxFile || json.Unmarshal(file, &e) != nil {
		return "", nil, fmt.Errorf("this is no key file of cardano-cli: %w", ErrSecret)
	}
	size, ok := types[e.Type]
	if !ok {
		return "", nil, fmt.Errorf("a file of type %.80q is no %s: %w", e.Type, what, ErrSecret)
	}
	b, err := hex.DecodeString(e.CBORHex)
	if err != nil || len(b) != 2+size || b[0] != 0x58 || int(b[1]) != size {
		return "", nil, fmt.Errorf("a key file of type %q that does not hold %d bytes: %w", e.Type, size, ErrSecret)
	}
	return e.Type, b[2:], nil
}

func readKey(file []byte, role string) ([]byte, error) {
	types := map[string]int{role + typeSigning: 32, role + typeExtSigning: 128}
	if role == "Payment" {
		types[typeGenesis] = 32
	}
	kind, key, err := readEnvelope(file, strings.ToLower(role)+" signing key (.skey)", types)
	if err != nil || kind != role+typeExtSigning {
		return key, err
	}
	x := bip32.XPrv(slices.Concat(key[:64], key[96:]))
	if !bytes.Equal(x.PublicKey(), key[64:96]) {
		return nil, fmt.Errorf("a key file whose public key is not its private key's: %w", ErrSecret)
	}
	return x, nil
}

// KeyFiles are the secret's keys as cardano-cli keeps them, by file name: payment.skey, payment.vkey and, if there is
// a stake key, stake.skey and stake.vkey; no .skey of keys that are elsewhere. Of derived keys the files are extended
// ones.
func (s Secret) KeyFiles() (map[string]chain.TextEnvelope, error) {
	payment, stake, err := s.keys()
	if err != nil {
		return nil, err
	}
	files := map[string]chain.TextEnvelope{}
	addKeyFiles(files, "Payment", payment)
	if stake != nil {
		addKeyFiles(files, "Stake", stake)
	}
	return files, nil
}

func addKeyFiles(files map[string]chain.TextEnvelope, role string, k signer) {
	name := strings.ToLower(role)
	signing, verify := role+typeSigning, role+typeVerify
	private, public := k.private(), k.vkey()
	if x, ok := k.(extendedKey); ok {
		signing, verify = role+typeExtSigning, role+typeExtVerify
		private = slices.Concat(private[:64], public, x.ChainCode())
		public = slices.Concat(public, x.ChainCode())
	}
	if private != nil {
		files[name+".skey"] = keyEnvelope(signing, role+" Signing Key", private)
	}
	files[name+".vkey"] = keyEnvelope(verify, role+" Verification Key", public)
}

func keyEnvelope(kind, description string, key []byte) chain.TextEnvelope {
	return chain.TextEnvelope{Type: kind, Description: description, CBORHex: fmt.Sprintf("58%02x%x", len(key), key)}
}
