package chain

import (
	"fmt"
	"slices"
)

// foreign is how somebody else encoded a transaction: all of it stays, and signatures are added at their place.
type foreign struct {
	raw  RawTx
	set  wire             // the witness set
	keys map[KeyHash]bool // who had signed
}

// DecodeAnyTx reads a transaction that others made, in whatever encoding the ledger takes, to be looked at, signed and
// sent: no byte of it changes but for the signatures that are added. What cannot be told from its bytes is an error
// that names it, and so is isValid false. It may lack witnesses. Check and Evaluate judge none but what DecodeTx reads.
func DecodeAnyTx(b []byte) (*Tx, error) {
	if t, err := DecodeTx(b); err == nil {
		return t, nil
	}
	raw, err := DecodeRawTx(b)
	if err != nil {
		return nil, err
	}
	if !raw.phases || !raw.Valid {
		return nil, fmt.Errorf("transaction %s: isValid is not true: %w", raw.ID(), ErrMalformed)
	}
	if _, err := raw.Inspect(); err != nil {
		return nil, err
	}
	set, err := parseWire(raw.Witnesses, MaxTxBytes)
	if err != nil {
		return nil, fmt.Errorf("witness set: %w", err)
	}
	t := &Tx{body: raw.Body, aux: raw.Aux}
	if err := t.readForeign(set); err != nil {
		return nil, fmt.Errorf("transaction %s, witness set: %w", raw.ID(), err)
	}
	if t.redeemers, err = raw.Redeemers(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(t.redeemers, compareRedeemers)
	t.foreign = &foreign{raw: raw, set: set, keys: map[KeyHash]bool{}}
	for k := range t.witnesses {
		t.foreign.keys[k] = true
	}
	return t, nil
}

// readForeign verifies the keys' signatures of a witness set and lists its Plutus V3 scripts.
func (t *Tx) readForeign(set wire) error {
	seen := map[uint64]bool{}
	for i := 0; i < len(set.of); i += 2 {
		k, ok := set.of[i].number()
		if !ok || seen[k] {
			return fmt.Errorf("field %d twice, or one without a number: %w", k, ErrMalformed)
		}
		seen[k] = true
		r := reader{b: set.of[i+1].plain(nil), free: true}
		switch k {
		case witnessKeys:
			for _, w := range r.pairs() {
				if err := t.AddWitness(w.vkey[:], w.sig[:]); err != nil {
					return err
				}
			}
		case witnessPlutusV3:
			for n := r.set(); n > 0 && r.err == nil; n-- {
				t.scripts = append(t.scripts, r.bytes(MaxTxBytes))
			}
		default:
			continue
		}
		if err := r.end(); err != nil {
			return fmt.Errorf("field %d: %w", k, err)
		}
	}
	return nil
}

// bytes is the whole transaction, with what signatures have been added to it.
func (f *foreign) bytes(t *Tx) []byte {
	var added [][]byte
	for _, k := range t.Witnesses() {
		if w := t.witnesses[k]; !f.keys[k] {
			added = append(added, Signature{w.vkey[:], w.sig[:]}.append(nil))
		}
	}
	raw := f.raw
	if len(added) > 0 {
		raw.Witnesses = signedSet(f.set, added)
	}
	return raw.Bytes()
}

// signedSet is a witness set with more signatures of keys.
func signedSet(set wire, added [][]byte) []byte {
	var parts [][]byte
	if _, ok := set.field(witnessKeys); !ok {
		keys := appendSet(appendUint(nil, witnessKeys), len(added))
		parts = append([][]byte{keys}, added...)
		if !set.endless() {
			set.arg++
			set.first = appendHead(nil, majorMap, set.arg)[0]
		}
	}
	for i := 0; i < len(set.of); i += 2 {
		value := set.of[i+1].bytes()
		if k, _ := set.of[i].number(); k == witnessKeys {
			value = set.of[i+1].more(added...)
		}
		parts = append(parts, set.of[i].bytes(), value)
	}
	return set.around(parts...)
}
