package chain

import (
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// RawTx is a transaction of any era since Shelley in its parts, byte for byte as somebody encoded them.
type RawTx struct {
	Body      []byte // what the id is the hash of
	Witnesses []byte // a witness set
	Valid     bool   // false: a script failed, and only its collateral moved
	Aux       []byte // auxiliary data; nil: none

	frame  wire // the array around the parts, without them
	phases bool // it says whether it is valid: since Alonzo
}

// DecodeRawTx takes a transaction of at most MaxTxBytes apart, in whatever encoding the ledger takes. Bytes puts it
// together again, the same. What is in the parts is not judged.
func DecodeRawTx(b []byte) (RawTx, error) {
	w, err := parseWire(b, MaxTxBytes)
	if err != nil {
		return RawTx{}, fmt.Errorf("transaction: %w", err)
	}
	n := len(w.of)
	if w.major() != majorArray || n < 3 || n > 4 || w.of[0].major() != majorMap || w.of[1].major() != majorMap {
		return RawTx{}, fmt.Errorf("a transaction is a body, witnesses, and what goes with them: %w", ErrMalformed)
	}
	t := RawTx{Body: w.of[0].bytes(), Witnesses: w.of[1].bytes(), Valid: true, frame: wire{first: w.first, arg: w.arg}, phases: n == 4}
	if t.phases {
		t.Valid = w.of[2].first == cborTrue
		if !t.Valid && w.of[2].first != cborFalse {
			return RawTx{}, fmt.Errorf("transaction %s: whether it is valid is neither true nor false: %w", t.ID(), ErrMalformed)
		}
	}
	if aux := w.of[n-1]; aux.first != cborNull {
		t.Aux = aux.bytes()
	}
	return t, nil
}

// ID is the hash of the body.
func (t RawTx) ID() TxID { return blake2b.Sum256(t.Body) }

// Bytes is the whole transaction. One that was taken out of a block is put together as it is submitted.
func (t RawTx) Bytes() []byte {
	parts := [][]byte{t.Body, t.Witnesses}
	if t.phases {
		valid := byte(cborFalse)
		if t.Valid {
			valid = cborTrue
		}
		parts = append(parts, []byte{valid})
	}
	if t.Aux == nil {
		return t.frame.around(append(parts, []byte{cborNull})...)
	}
	return t.frame.around(append(parts, t.Aux)...)
}

// Inspect is the decoded view of the body, as InspectAny gives it.
func (t RawTx) Inspect() (TxBody, error) { return InspectAny(t.Body) }

// Redeemers lists the redeemers in the order they are in, as a list or as a map.
func (t RawTx) Redeemers() ([]Redeemer, error) {
	w, err := parseWire(t.Witnesses, MaxTxBytes)
	if err != nil {
		return nil, fmt.Errorf("witness set: %w", err)
	}
	field, ok := w.field(witnessRedeemers)
	if !ok {
		return nil, nil
	}
	var out []Redeemer
	for i := 0; i < len(field.of); i++ {
		parts := field.of[i].of
		if field.major() == majorMap {
			i++
			parts = append(append([]wire{}, parts...), field.of[i].of...)
		}
		x, ok := redeemer(parts)
		if !ok {
			return nil, fmt.Errorf("transaction %s: redeemer that is none: %w", t.ID(), ErrMalformed)
		}
		out = append(out, x)
	}
	return out, nil
}

// redeemer is made of purpose, index, data and [mem, steps].
func redeemer(parts []wire) (x Redeemer, ok bool) {
	if len(parts) != 4 || len(parts[3].of) != 2 {
		return x, false
	}
	var n [4]uint64
	for i, w := range []wire{parts[0], parts[1], parts[3].of[0], parts[3].of[1]} {
		if n[i], ok = w.number(); !ok {
			return x, false
		}
	}
	if n[0] > 255 || n[1] > 1<<32-1 || n[2] > 1<<62 || n[3] > 1<<62 {
		return x, false
	}
	return Redeemer{RedeemerKey{Purpose(n[0]), uint32(n[1])}, parts[2].bytes(), ExUnits{n[2], n[3]}}, true
}
