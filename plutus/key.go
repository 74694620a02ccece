package plutus

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"filippo.io/edwards25519"
)

// PublicKey is an Ed25519 key (RFC 8032) whose signatures scripts verify: a job's voucher key, or an attester's.
type PublicKey [ed25519.PublicKeySize]byte

// Signature is an Ed25519 signature.
type Signature [ed25519.SignatureSize]byte

// KeyOf is the public part of a private key.
func KeyOf(k ed25519.PrivateKey) PublicKey {
	return PublicKey(k[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

func sign(k ed25519.PrivateKey, message []byte) Signature { return Signature(ed25519.Sign(k, message)) }

// verifies says whether the ledger takes s as a signature of k. It verifies with libsodium, which is stricter than
// RFC 8032 and Go: a key must be in its only encoding, and neither it nor a signature's R may be of small order.
func (k PublicKey) verifies(message []byte, s Signature) bool {
	return k.sound() && sound(s[:32]) && ed25519.Verify(k[:], message, s[:])
}

func (k PublicKey) sound() bool { return sound(k[:]) }

// sound says whether b is the encoding of a point that is not of small order.
func sound(b []byte) bool {
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil || !bytes.Equal(p.Bytes(), b) {
		return false
	}
	return new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 0
}

func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText writes lower-case hex.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads 64 hex digits.
func (k *PublicKey) UnmarshalText(b []byte) error { return unhex(k[:], b, "public key") }

// MarshalText writes lower-case hex.
func (s Signature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads 128 hex digits.
func (s *Signature) UnmarshalText(b []byte) error { return unhex(s[:], b, "signature") }

// Keys are public keys in ascending order, one after another, so that what holds them can be compared with ==.
type Keys string

// NewKeys puts keys in order.
func NewKeys(keys ...PublicKey) Keys {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b PublicKey) int { return bytes.Compare(a[:], b[:]) })
	var b []byte
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	return Keys(b)
}

// List are the keys one by one.
func (k Keys) List() []PublicKey {
	var all []PublicKey
	for b := []byte(k); len(b) >= len(PublicKey{}); b = b[len(PublicKey{}):] {
		all = append(all, PublicKey(b))
	}
	return all
}

// MarshalJSON writes an array of keys in hex.
func (k Keys) MarshalJSON() ([]byte, error) { return json.Marshal(k.List()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (k *Keys) UnmarshalJSON(b []byte) error {
	var list []PublicKey
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	*k = NewKeys(list...)
	return nil
}
