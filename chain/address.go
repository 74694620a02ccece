package chain

import (
	"bytes"
	"cmp"
	"fmt"

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
		return Address{}, fmt.Errorf("address type %d is not used here: %w", b[0]>>4, ErrMalformed)
	}
	if len(b) != want || b[0]&0xf > 1 {
		return Address{}, fmt.Errorf("address of %d bytes with header %#x: %w", len(b), b[0], ErrMalformed)
	}
	return Address{string(b)}, nil
}

// ParseAddress reads bech32 (CIP-5: addr, addr_test).
func ParseAddress(s string) (Address, error) {
	hrp, data, err := bech32.DecodeNoLimit(s)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, ErrMalformed)
	}
	b, err := bech32.ConvertBits(data, 5, 8, false)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, ErrMalformed)
	}
	a, err := AddressFromBytes(b)
	if err != nil {
		return Address{}, err
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
