package chain

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Sentinel kinds of this package's errors.
var (
	// ErrMalformed is input that does not have the form it should.
	ErrMalformed = errors.New("malformed")
	// ErrInsufficient is a wallet that cannot cover what a transaction needs.
	ErrInsufficient = errors.New("insufficient funds")
	// ErrCollateral is a wallet without an output that can be collateral for a script; it is an ErrInsufficient.
	ErrCollateral = fmt.Errorf("no collateral: %w", ErrInsufficient)
	// ErrFragmented is a wallet that has enough, but in more outputs than a transaction can take: join them first.
	ErrFragmented = errors.New("too many small outputs")
	// ErrScript is a script that refused the transaction in local evaluation.
	ErrScript = errors.New("script refused")
	// ErrLedgerRule is a transaction that the ledger's rules would refuse.
	ErrLedgerRule = errors.New("ledger rule")
)

// Lovelace is a millionth of an ADA.
type Lovelace uint64

// Slot is a slot number since the network's genesis.
type Slot uint64

// Time is POSIX time in milliseconds, as Plutus scripts see it.
type Time int64

// TxID is the blake2b-256 hash of a transaction body's original bytes.
type TxID [32]byte

// BlockHash is the blake2b-256 hash of a block header.
type BlockHash [32]byte

// KeyHash is the blake2b-224 hash of an Ed25519 verification key.
type KeyHash [28]byte

// ScriptHash is the blake2b-224 hash of a script with its language tag; a minting policy's id is one.
type ScriptHash [28]byte

func (h TxID) String() string       { return hex.EncodeToString(h[:]) }
func (h BlockHash) String() string  { return hex.EncodeToString(h[:]) }
func (h KeyHash) String() string    { return hex.EncodeToString(h[:]) }
func (h ScriptHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes lower-case hex.
func (h TxID) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hex digits.
func (h *TxID) UnmarshalText(b []byte) error { return unhex(h[:], b, "transaction id") }

// MarshalText writes lower-case hex.
func (h BlockHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hex digits.
func (h *BlockHash) UnmarshalText(b []byte) error { return unhex(h[:], b, "block hash") }

// MarshalText writes lower-case hex.
func (h KeyHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 56 hex digits.
func (h *KeyHash) UnmarshalText(b []byte) error { return unhex(h[:], b, "key hash") }

// MarshalText writes lower-case hex.
func (h ScriptHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 56 hex digits.
func (h *ScriptHash) UnmarshalText(b []byte) error { return unhex(h[:], b, "script hash") }

func unhex(dst, src []byte, what string) error {
	if hex.DecodedLen(len(src)) != len(dst) || len(src)%2 != 0 {
		return fmt.Errorf("%s of %d digits, want %d: %w", what, len(src), 2*len(dst), ErrMalformed)
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%s %q: %w", what, src, ErrMalformed)
	}
	return nil
}

// OutRef names a transaction output: its transaction and its index there.
type OutRef struct {
	Tx    TxID
	Index uint32
}

// String is "txid#index".
func (r OutRef) String() string { return r.Tx.String() + "#" + strconv.FormatUint(uint64(r.Index), 10) }

// Compare orders references as the ledger orders inputs: by transaction id, then by index.
func (r OutRef) Compare(o OutRef) int {
	return cmp.Or(bytes.Compare(r.Tx[:], o.Tx[:]), cmp.Compare(r.Index, o.Index))
}

// MarshalText writes "txid#index".
func (r OutRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "txid#index".
func (r *OutRef) UnmarshalText(b []byte) error {
	id, ix, ok := strings.Cut(string(b), "#")
	if !ok {
		return fmt.Errorf("output reference %q has no #: %w", b, ErrMalformed)
	}
	n, err := strconv.ParseUint(ix, 10, 32)
	if err != nil {
		return fmt.Errorf("output reference %q: %w", b, ErrMalformed)
	}
	r.Index = uint32(n)
	return r.Tx.UnmarshalText([]byte(id))
}

// AssetID names a native asset: its policy and its name (raw bytes, at most 32).
type AssetID struct {
	Policy ScriptHash
	Name   string
}

// String is "policyhex.namehex".
func (a AssetID) String() string { return a.Policy.String() + "." + hex.EncodeToString([]byte(a.Name)) }

// MarshalText writes "policyhex.namehex".
func (a AssetID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads "policyhex.namehex".
func (a *AssetID) UnmarshalText(b []byte) error {
	p, n, ok := strings.Cut(string(b), ".")
	if !ok {
		return fmt.Errorf("asset %q has no dot: %w", b, ErrMalformed)
	}
	name, err := hex.DecodeString(n)
	if err != nil || len(name) > 32 {
		return fmt.Errorf("asset name %q: %w", n, ErrMalformed)
	}
	a.Name = string(name)
	return a.Policy.UnmarshalText([]byte(p))
}

// Network is a Cardano network: its protocol magic and the network id its addresses carry (1 on mainnet, else 0).
type Network struct {
	Magic uint32 `json:"magic"`
	ID    uint8  `json:"id"`
}

// Output is a transaction output. Only inline datums and Plutus V3 reference scripts are used here.
type Output struct {
	Address Address
	Value   Value
	Datum   []byte // inline Plutus Data, CBOR; nil: none
	Script  []byte // reference script, Plutus V3, as its bytes are hashed (one CBOR byte-string layer); nil: none
}

// UTxO is an unspent output with its reference.
type UTxO struct {
	Ref OutRef
	Output
}

// Point is a place on a chain.
type Point struct {
	Slot Slot      `json:"slot"`
	Hash BlockHash `json:"hash"`
}

// Block is what a handler of blocks gets to see.
type Block struct {
	Point
	Height uint64
	Txs    []BlockTx
}

// BlockTx is a transaction in a block, reduced to what the market's fold looks at.
type BlockTx struct {
	ID             TxID
	Inputs         []OutRef // spent, in ledger order (collateral only, if Invalid)
	References     []OutRef
	Outputs        []UTxO // made, in order
	Mint           map[AssetID]int64
	Signers        []KeyHash         // required signers of the body
	Witnesses      []KeyHash         // hashes of the keys that signed
	From, Until    Slot              // validity range [From, Until); 0: open on that side
	SpendRedeemers map[OutRef][]byte // Plutus Data, CBOR
	MintRedeemers  map[ScriptHash][]byte
	Fee            Lovelace
	Invalid        bool // phase-2 failure: only collateral moved
}
