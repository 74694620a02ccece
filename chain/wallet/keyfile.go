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

func readKey(file []byte, role string) ([]byte, error) {
	what := strings.ToLower(role) + " signing key"
	var e chain.TextEnvelope
	if len(file) > maxFile || json.Unmarshal(file, &e) != nil {
		return nil, fmt.Errorf("this is no key file of cardano-cli: %w", ErrSecret)
	}
	types := []string{role + typeSigning, role + typeExtSigning}
	if role == "Payment" {
		types = append(types, typeGenesis)
	}
	if strings.Contains(e.Type, "VerificationKey") {
		return nil, fmt.Errorf("a file of type %q holds a public key, and this takes a %s (.skey): %w", e.Type, what, ErrSecret)
	}
	if !slices.Contains(types, e.Type) {
		return nil, fmt.Errorf("a file of type %q is no %s: %w", e.Type, what, ErrSecret)
	}
	b, err := hex.DecodeString(e.CBORHex)
	if err != nil || len(b) < 2 || b[0] != 0x58 || int(b[1]) != len(b)-2 {
		return nil, fmt.Errorf("a key file of type %q that holds no byte string: %w", e.Type, ErrSecret)
	}
	key := b[2:]
	if e.Type != role+typeExtSigning {
		if len(key) != ed25519.SeedSize {
			return nil, fmt.Errorf("a key file of type %q with %d bytes: %w", e.Type, len(key), ErrSecret)
		}
		return key, nil
	}
	if len(key) != 128 {
		return nil, fmt.Errorf("a key file of type %q with %d bytes: %w", e.Type, len(key), ErrSecret)
	}
	x := bip32.XPrv(slices.Concat(key[:64], key[96:]))
	if !bytes.Equal(x.PublicKey(), key[64:96]) {
		return nil, fmt.Errorf("a key file whose public key is not its private key's: %w", ErrSecret)
	}
	return x, nil
}

// KeyFiles are the secret's keys as cardano-cli keeps them, by file name: payment.skey, payment.vkey and, if there is
// a stake key, stake.skey and stake.vkey. Of derived keys the files are extended ones.
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
	files[name+".skey"] = keyEnvelope(signing, role+" Signing Key", private)
	files[name+".vkey"] = keyEnvelope(verify, role+" Verification Key", public)
}

func keyEnvelope(kind, description string, key []byte) chain.TextEnvelope {
	return chain.TextEnvelope{Type: kind, Description: description, CBORHex: fmt.Sprintf("58%02x%x", len(key), key)}
}
