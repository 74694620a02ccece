package chain

import (
	"bytes"
	"fmt"
)

// Encode is o in the ledger's format (Babbage's map form, canonical): what counts for its minimum and its size.
func (o Output) Encode() []byte { return o.append(nil) }

func (o Output) append(b []byte) []byte {
	n := 2
	if o.Datum != nil {
		n++
	}
	if o.Script != nil {
		n++
	}
	b = appendBytes(appendUint(appendMap(b, n), 0), o.Address.Bytes())
	b = o.Value.append(appendUint(b, 1))
	if o.Datum != nil {
		b = appendEncoded(appendUint(appendArray(appendUint(b, 2), 2), 1), o.Datum)
	}
	if o.Script != nil {
		b = appendEncoded(appendUint(b, 3), appendBytes(appendUint(appendArray(nil, 2), 3), o.Script))
	}
	return b
}

// DecodeOutput reads what Encode wrote, and nothing after it. ErrMalformed otherwise.
func DecodeOutput(b []byte) (Output, error) {
	if len(b) > MaxTxBytes {
		return Output{}, fmt.Errorf("output of %d bytes: %w", len(b), ErrMalformed)
	}
	r := reader{b: bytes.Clone(b)}
	o := r.output()
	if err := r.end(); err != nil {
		return Output{}, fmt.Errorf("output: %w", err)
	}
	return o, nil
}

// Encode is v in the ledger's format: what counts for the largest value of an output.
func (v Value) Encode() []byte { return v.append(nil) }

func (v Value) append(b []byte) []byte {
	if len(v.Assets) == 0 {
		return appendUint(b, uint64(v.Coin))
	}
	b = appendUint(appendArray(b, 2), uint64(v.Coin))
	return appendAssets(b, v.Assets, appendUint)
}

func (r *reader) value() (v Value) {
	if r.peek()>>5 == majorUint {
		v.Coin = Lovelace(r.uint())
		return v
	}
	if r.array() != 2 {
		r.fail("a value is a number or a pair")
	}
	v.Coin = Lovelace(r.uint())
	v.Assets = assets(r, r.uint)
	return v
}

func (r *reader) output() (o Output) {
	if r.free && r.peek()>>5 == majorArray {
		return r.oldOutput()
	}
	n, last, seen := r.mapLen(), -1, map[uint64]bool{}
	for range n {
		k := r.uint()
		if r.err == nil && (seen[k] || !r.free && int64(k) <= int64(last)) {
			r.fail("output fields out of order")
		}
		seen[k] = true
		switch last = int(k); k {
		case 0:
			o.Address = r.address()
		case 1:
			o.Value = r.value()
		case 2:
			o.Datum = r.datum()
		case 3:
			o.Script = r.script()
		default:
			r.fail("output field %d", k)
		}
		if r.err != nil {
			return Output{}
		}
	}
	if o.Address.IsZero() || !seen[1] {
		r.fail("output without address or value")
	}
	return o
}

// maxAddressBytes bounds every address: those of the Byron era are the longest.
const maxAddressBytes = 128

func (r *reader) address() (a Address) {
	raw := r.bytes(maxAddressBytes)
	if r.err == nil {
		a, r.err = AddressFromBytes(raw)
	}
	return a
}

// datum reads an inline datum. One that is only named by its hash is noted, if the reading is free.
func (r *reader) datum() []byte {
	n, kind := r.array(), r.uint()
	if r.free && n == 2 && kind == 0 {
		r.datumHash()
		return nil
	}
	if n != 2 || kind != 1 {
		r.fail("only inline datums are read")
	}
	d := r.encoded(MaxTxBytes)
	if _, err := DecodeData(d); r.err == nil && err != nil {
		r.err = err
	}
	return d
}

func (r *reader) datumHash() {
	var h Hash256
	r.fixed(h[:])
	r.notes = append(r.notes, fmt.Sprintf("%s names its datum by the hash %x", r.what, h))
}

// script reads a reference script. One that is not Plutus V3 is noted, if the reading is free.
func (r *reader) script() []byte {
	s := reader{b: r.encoded(MaxTxBytes)}
	if r.err == nil && r.free {
		w, err := parseWire(s.b, MaxTxBytes)
		s.b, r.err = w.plain(nil), err
	}
	if r.err != nil {
		return nil
	}
	n, kind := s.array(), s.uint()
	if r.free && n == 2 && kind < 3 {
		r.notes = append(r.notes, fmt.Sprintf("%s publishes a script, %s", r.what, []string{"a native one", "Plutus V1", "Plutus V2"}[kind]))
		return nil
	}
	if n != 2 || kind != 3 {
		s.fail("only Plutus V3 reference scripts are read")
	}
	script := s.bytes(MaxTxBytes)
	r.err = s.end()
	return script
}

// oldOutput reads the form of a list: address, value, and since Alonzo a datum's hash.
func (r *reader) oldOutput() (o Output) {
	n := r.array()
	o.Address, o.Value = r.address(), r.value()
	switch {
	case n == 3:
		r.datumHash()
	case n != 2:
		r.fail("output of %d parts", n)
	}
	return o
}
