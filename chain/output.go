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
	n, last := r.mapLen(), -1
	for range n {
		k := r.uint()
		if r.err == nil && int64(k) <= int64(last) {
			r.fail("output fields out of order")
		}
		switch last = int(k); k {
		case 0:
			raw := r.bytes(57)
			if r.err == nil {
				o.Address, r.err = AddressFromBytes(raw)
			}
		case 1:
			o.Value = r.value()
		case 2:
			if r.array() != 2 || r.uint() != 1 {
				r.fail("only inline datums are read")
			}
			o.Datum = r.encoded(MaxTxBytes)
			if _, err := DecodeData(o.Datum); r.err == nil && err != nil {
				r.err = err
			}
		case 3:
			s := reader{b: r.encoded(MaxTxBytes)}
			if r.err == nil && (s.array() != 2 || s.uint() != 3) {
				s.fail("only Plutus V3 reference scripts are read")
			}
			if o.Script = s.bytes(MaxTxBytes); r.err == nil {
				r.err = s.end()
			}
		default:
			r.fail("output field %d", k)
		}
		if r.err != nil {
			return Output{}
		}
	}
	if o.Address.IsZero() || n < 2 {
		r.fail("output without address or value")
	}
	return o
}
