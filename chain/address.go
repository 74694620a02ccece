package chain

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/btcsuite/btcd/btcutil/bech32"
)

// Address is a Shelley address in its raw form (CIP-19). It is comparable; the zero Address is invalid.
type Address struct{ raw string }

// Address kinds used here, as the header's high nibble (CIP-19).
const (
	kindBaseKeyKey       = 0x0
	kindEnterpriseKey    = 0x6
	kindEnterpriseScript = 0x7
)

// Enterprise is the address of a payment key without a stake part.
func Enterprise(n Network, k KeyHash) Address { return newAddress(kindEnterpriseKey, n, k[:]) }

// Base is the address of a payment key with a stake key.
func Base(n Network, k, stake KeyHash) Address { return newAddress(kindBaseKeyKey, n, k[:], stake[:]) }

// ScriptAddress is the address of a script without a stake part.
func ScriptAddress(n Network, s ScriptHash) Address { return newAddress(kindEnterpriseScript, n, s[:]) }

func newAddress(kind byte, n Network, parts ...[]byte) Address {
	return Address{string(append([]byte{kind<<4 | n.ID}, bytes.Join(parts, nil)...))}
}

// AddressFromBytes reads a raw address: a key with or without a stake key, or a script without a stake part or
// with any; pointer, Byron and reward addresses are refused.
func AddressFromBytes(b []byte) (Address, error) {
	if len(b) == 0 {
		return Address{}, fmt.Errorf("empty address: %w", ErrMalformed)
	}
	want := 0
	switch b[0] >> 4 {
	case 0, 1, 2, 3:
		want = 57
	case 6, 7:
		want = 29
	default:
		return Address{}, fmt.Errorf("%s cannot be used here: %w", kindName(b[0]>>4), ErrMalformed)
	}
	if len(b) != want || b[0]&0xf > 1 {
		return Address{}, fmt.Errorf("address of %d bytes with header %#x: %w", len(b), b[0], ErrMalformed)
	}
	return Address{string(b)}, nil
}

// kindName is what an address is whose kind is refused (CIP-19).
func kindName(kind byte) string {
	switch kind {
	case 4, 5:
		return "a pointer address"
	case 8:
		return "an address of the Byron era"
	case 14, 15:
		return "a stake address, which holds rewards and cannot be paid,"
	}
	return fmt.Sprintf("an address of the unknown type %d", kind)
}

// maxAddressText bounds what is looked at as an address: the longest one has 108 characters.
const maxAddressText = 200

// ParseAddress reads bech32 (CIP-5: addr, addr_test).
func ParseAddress(s string) (Address, error) {
	if len(s) > maxAddressText {
		return Address{}, fmt.Errorf("address of %d characters: %w", len(s), ErrMalformed)
	}
	if raw := base58.Decode(s); len(raw) > 2 && raw[0] == 0x82 && raw[1] == 0xd8 { // [#6.24(bytes), checksum]
		return Address{}, fmt.Errorf("address %q: %s cannot be used here: %w", s, kindName(8), ErrMalformed)
	}
	hrp, data, err := bech32.DecodeNoLimit(s)
	if sum := (bech32.ErrInvalidChecksum{}); errors.As(err, &sum) {
		return Address{}, fmt.Errorf("address %q: its checksum does not hold, so some character is wrong: %w", s, ErrMalformed)
	}
	if err != nil {
		return Address{}, fmt.Errorf("address %q is not bech32: %w", s, ErrMalformed)
	}
	b, err := bech32.ConvertBits(data, 5, 8, false)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, ErrMalformed)
	}
	a, err := AddressFromBytes(b)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	if hrp != a.hrp() {
		return Address{}, fmt.Errorf("address %q: prefix %s, but its network id is %d: %w", s, hrp, a.NetworkID(), ErrMalformed)
	}
	return a, nil
}

// Bytes is the raw form.
func (a Address) Bytes() []byte { return []byte(a.raw) }

// IsZero says whether a is no address.
func (a Address) IsZero() bool { return a.raw == "" }

// NetworkID is 1 on mainnet, else 0.
func (a Address) NetworkID() uint8 { return a.raw[0] & 0xf }

// Key is the payment key's hash, if the payment part is a key.
func (a Address) Key() (h KeyHash, ok bool) {
	if a.raw == "" || a.raw[0]>>4&1 != 0 {
		return h, false
	}
	copy(h[:], a.raw[1:29])
	return h, true
}

// Script is the payment script's hash, if the payment part is a script.
func (a Address) Script() (h ScriptHash, ok bool) {
	if a.raw == "" || a.raw[0]>>4&1 == 0 {
		return h, false
	}
	copy(h[:], a.raw[1:29])
	return h, true
}

// StakeKey is the stake key's hash, if there is one.
func (a Address) StakeKey() (h KeyHash, ok bool) {
	if a.raw == "" || a.raw[0]>>4 > 1 {
		return h, false
	}
	copy(h[:], a.raw[29:57])
	return h, true
}

// HasStake says whether there is a stake part of any kind.
func (a Address) HasStake() bool { return a.raw != "" && a.raw[0]>>4 < 4 }

// String is bech32.
func (a Address) String() string {
	if a.raw == "" {
		return ""
	}
	d, err := bech32.ConvertBits([]byte(a.raw), 8, 5, true)
	if err != nil {
		return fmt.Sprintf("%x", a.raw)
	}
	s, err := bech32.Encode(a.hrp(), d)
	if err != nil {
		return fmt.Sprintf("%x", a.raw)
	}
	return s
}

// MarshalText writes bech32.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads bech32; empty text is the zero Address.
func (a *Address) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	*a, err = ParseAddress(string(b))
	return err
}

func (a Address) hrp() string {
	if a.NetworkID() == 1 {
		return "addr"
	}
	return "addr_test"
}

// Compare orders assets by policy, then by name.
func (a AssetID) Compare(b AssetID) int {
	return cmp.Or(bytes.Compare(a.Policy[:], b.Policy[:]), cmp.Compare(a.Name, b.Name))
}
