package market

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/blake2b"
)

// Every document is one CBOR map in core deterministic encoding (RFC 8949, section 4.2.1): text keys, which are also
// the JSON names; hashes, output references and addresses as the text people see. A document that is encoded in any
// other way is refused, so decode → encode always gives the same bytes and a hash has one meaning.
var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	eo.NilContainers = cbor.NilContainerAsEmpty
	eo.TextMarshaler = cbor.TextMarshalerTextString
	em, err := eo.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	dm, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		UTF8:              cbor.UTF8RejectInvalid,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
		MaxNestedLevels:   12,
		MaxArrayElements:  4096,
		MaxMapPairs:       1024,
	}.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return em, dm
}

// document is what is encoded and signed here: it knows its largest size in bytes and its own rules.
type document interface {
	limit() int
	Validate() error
}

// encode checks d and writes its canonical bytes.
func encode(d document) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	b, err := encMode.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w: %w", d, ErrMalformed, err)
	}
	if len(b) > d.limit() {
		return nil, fmt.Errorf("%T of %d bytes, at most %d: %w", d, len(b), d.limit(), ErrTooLarge)
	}
	return b, nil
}

// decode reads a D from its canonical bytes and checks it.
func decode[D document](data []byte) (D, error) {
	var d, none D
	if len(data) > d.limit() {
		return none, fmt.Errorf("%T of %d bytes, at most %d: %w", d, len(data), d.limit(), ErrTooLarge)
	}
	if err := decMode.Unmarshal(data, &d); err != nil {
		return none, fmt.Errorf("decode %T: %w: %w", d, ErrMalformed, err)
	}
	if err := d.Validate(); err != nil {
		return none, err
	}
	again, err := encMode.Marshal(d)
	if err != nil || !bytes.Equal(again, data) {
		return none, fmt.Errorf("%T is not canonically encoded: %w", d, ErrMalformed)
	}
	return d, nil
}

// Hash is a blake2b-256 hash. The zero Hash stands for "none".
type Hash [32]byte

// HashOf is the blake2b-256 hash of b.
func HashOf(b []byte) Hash { return blake2b.Sum256(b) }

// IsZero says whether h stands for nothing.
func (h Hash) IsZero() bool { return h == Hash{} }

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes lower-case hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hex digits.
func (h *Hash) UnmarshalText(b []byte) error { return unhex(h[:], b, "hash") }

// JobID names a job on chain: the blake2b-224 hash of its packed terms.
type JobID [28]byte

func (j JobID) String() string { return hex.EncodeToString(j[:]) }

// MarshalText writes lower-case hex.
func (j JobID) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// UnmarshalText reads 56 hex digits.
func (j *JobID) UnmarshalText(b []byte) error { return unhex(j[:], b, "job id") }

// ReservationID names a provider's promise to hold capacity for a requester.
type ReservationID [16]byte

func (r ReservationID) String() string { return hex.EncodeToString(r[:]) }

// MarshalText writes lower-case hex.
func (r ReservationID) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads 32 hex digits.
func (r *ReservationID) UnmarshalText(b []byte) error { return unhex(r[:], b, "reservation") }

func unhex(dst, src []byte, what string) error {
	if len(src) != 2*len(dst) {
		return fmt.Errorf("%s of %d digits, want %d: %w", what, len(src), 2*len(dst), ErrMalformed)
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%s %q: %w", what, src, ErrMalformed)
	}
	return nil
}
