package chain

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// Fields of a witness set (Conway CDDL).
const (
	witnessKeys      = 0
	witnessRedeemers = 5
	witnessPlutusV3  = 7
)

// A key witness is a pair of a key and a signature: 1 + 2+32 + 2+64 bytes.
const witnessBytes = 101

// Bytes is the whole transaction with the witnesses it has by now, as it is submitted.
func (t *Tx) Bytes() []byte {
	if t.foreign != nil {
		return t.foreign.bytes(t)
	}
	b := append(appendArray(nil, 4), t.body...)
	b = append(b, t.witnessSet()...)
	b = append(b, cborTrue)
	if t.aux == nil {
		return append(b, cborNull)
	}
	return append(b, t.aux...)
}

func (t *Tx) witnessSet() []byte {
	f := map[uint64][]byte{}
	if len(t.witnesses) > 0 {
		b := appendSet(nil, len(t.witnesses))
		for _, k := range t.Witnesses() {
			w := t.witnesses[k]
			b = appendBytes(appendBytes(appendArray(b, 2), w.vkey[:]), w.sig[:])
		}
		f[witnessKeys] = b
	}
	if len(t.redeemers) > 0 {
		f[witnessRedeemers] = encodeRedeemers(t.redeemers)
	}
	if len(t.scripts) > 0 {
		b := appendSet(nil, len(t.scripts))
		for _, s := range t.scripts {
			b = appendBytes(b, s)
		}
		f[witnessPlutusV3] = b
	}
	b := appendMap(nil, len(f))
	for _, k := range slices.Sorted(maps.Keys(f)) {
		b = append(appendUint(b, k), f[k]...)
	}
	return b
}

// signedSize is the size of t in bytes once n keys have signed, without the isValid byte.
func (t *Tx) signedSize(n int) int {
	bare := *t
	bare.witnesses = nil
	size := len(bare.Bytes()) - 1
	if n > 0 {
		size += 1 + len(appendSet(nil, n)) + n*witnessBytes // the field's key, the set's head, the pairs
	}
	return size
}

// encodeRedeemers writes {[purpose, index]: [data, [mem, steps]]}; rs is sorted.
func encodeRedeemers(rs []Redeemer) []byte {
	b := appendMap(nil, len(rs))
	for _, r := range rs {
		b = appendUint(appendUint(appendArray(b, 2), uint64(r.Purpose)), uint64(r.Index))
		b = append(appendArray(b, 2), r.Data...)
		b = appendUint(appendUint(appendArray(b, 2), r.Units.Mem), r.Units.Steps)
	}
	return b
}

// scriptDataHash binds the redeemers and the cost model into the body (Alonzo ledger, hashScriptIntegrity; Plutus
// V3's language view is {2: cost model}). There are no witness datums here.
func scriptDataHash(rs []Redeemer, p Params) *Hash256 {
	if len(rs) == 0 {
		return nil
	}
	b := appendArray(appendUint(appendMap(encodeRedeemers(rs), 1), 2), len(p.CostModelV3))
	for _, c := range p.CostModelV3 {
		b = appendInt(b, c)
	}
	h := Hash256(blake2b.Sum256(b))
	return &h
}

func compareRedeemers(a, b Redeemer) int {
	return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Index, b.Index))
}

// DecodeTx reads a transaction as Bytes writes it: the body's bytes stay as they are, every witness is verified, and
// what Tally never uses (isValid false, other witnesses) is an error that names it. It may lack witnesses.
func DecodeTx(b []byte) (*Tx, error) {
	if len(b) > MaxTxBytes {
		return nil, fmt.Errorf("transaction of %d bytes, at most %d: %w", len(b), MaxTxBytes, ErrMalformed)
	}
	r := reader{b: bytes.Clone(b)}
	if r.array() != 4 {
		r.fail("a transaction has four parts")
	}
	t := &Tx{body: r.item()}
	if r.err == nil {
		if _, err := Inspect(t.body); err != nil {
			return nil, err
		}
	}
	if err := t.readWitnessSet(&r); err != nil {
		return nil, err
	}
	if r.peek() != cborTrue {
		r.fail("isValid is not true")
	}
	r.item()
	if r.peek() == cborNull {
		r.off++
	} else {
		t.aux = r.item()
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("transaction: %w", err)
	}
	if !bytes.Equal(t.Bytes(), b) {
		return nil, fmt.Errorf("transaction %s is not in its canonical encoding: %w", t.ID(), ErrMalformed)
	}
	return t, nil
}

func (t *Tx) readWitnessSet(r *reader) error {
	for range r.mapLen() {
		switch k := r.uint(); k {
		case witnessKeys:
			for range r.set() {
				var w witness
				if r.array() != 2 {
					r.fail("a witness is a pair")
				}
				r.fixed(w.vkey[:])
				r.fixed(w.sig[:])
				if r.err != nil {
					break
				}
				if err := t.AddWitness(w.vkey[:], w.sig[:]); err != nil {
					return err
				}
			}
		case witnessRedeemers:
			t.redeemers = r.redeemers()
		case witnessPlutusV3:
			for range r.set() {
				if r.err != nil {
					break
				}
				t.scripts = append(t.scripts, r.bytes(MaxTxBytes))
			}
		default:
			r.fail("unknown witness field %d", k)
		}
		if r.err != nil {
			return fmt.Errorf("witness set: %w", r.err)
		}
	}
	return nil
}

func (r *reader) redeemers() (out []Redeemer) {
	for range r.mapLen() {
		if r.array() != 2 {
			r.fail("a redeemer's key is a pair")
		}
		purpose, index := r.uint(), r.uint()
		if r.err == nil && (purpose > uint64(PurposeMint) || index > 1<<16) {
			r.fail("redeemer for purpose %d, index %d", purpose, index)
		}
		if r.array() != 2 {
			r.fail("a redeemer is a pair")
		}
		x := Redeemer{RedeemerKey: RedeemerKey{Purpose(purpose), uint32(index)}, Data: r.item()}
		if r.err == nil {
			_, r.err = DecodeData(x.Data)
		}
		if r.array() != 2 {
			r.fail("execution units are a pair")
		}
		x.Units = ExUnits{r.uint(), r.uint()}
		if r.err == nil && (x.Units.Mem > 1<<62 || x.Units.Steps > 1<<62) {
			r.fail("execution units %d, %d", x.Units.Mem, x.Units.Steps)
		}
		if n := len(out); r.err == nil && n > 0 && compareRedeemers(out[n-1], x) >= 0 {
			r.fail("redeemers out of order")
		}
		if r.err != nil {
			return nil
		}
		out = append(out, x)
	}
	return out
}
