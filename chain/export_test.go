package chain

import (
	"reflect"
	"slices"
)

// Mutate is tx with a changed body; it is signed by nobody. The hashes in the body stay unless change sets them.
func Mutate(tx *Tx, change func(*TxBody)) *Tx {
	b, err := tx.Inspect()
	if err != nil {
		panic(err)
	}
	change(&b)
	m := *tx
	m.body, m.witnesses = b.encode(), nil
	return &m
}

// MutateRedeemers is tx with changed redeemers and, if rehash, the script data hash that fits them.
func MutateRedeemers(tx *Tx, p Params, rehash bool, change func([]Redeemer) []Redeemer) *Tx {
	m := *tx
	m.redeemers = change(tx.Redeemers())
	if !rehash {
		return &m
	}
	return Mutate(&m, func(b *TxBody) { b.ScriptDataHash = scriptDataHash(m.redeemers, p) })
}

// MutateScripts is tx with other scripts attached.
func MutateScripts(tx *Tx, scripts [][]byte) *Tx {
	m := *tx
	m.scripts = scripts
	return &m
}

// MutateMetadata is tx with other auxiliary data and, if rehash, the hash and a fee that fit it.
func MutateMetadata(tx *Tx, aux []byte, rehash bool) *Tx {
	m := *tx
	m.aux = aux
	if !rehash {
		return &m
	}
	return Mutate(&m, func(b *TxBody) {
		b.AuxDataHash = hashOf(aux)
		b.Fee += 100_000
		b.Outputs[1].Value.Coin -= 100_000
	})
}

// RawField gives a body a field that is not decoded.
func RawField(b *TxBody, key uint64, value []byte) { b.raw[key] = value }

// ScriptDataHash is what the ledger binds redeemers by.
var ScriptDataHash = scriptDataHash

// CheckMetadata judges metadata whose hash is right.
func CheckMetadata(aux []byte) error { return checkMetadata(aux, hashOf(aux)) }

// SameView says whether two bodies read the same, but for the bytes of what is not read.
func SameView(a, b TxBody) bool {
	a.raw, b.raw = nil, nil
	return reflect.DeepEqual(a, b)
}

// Reencode writes one CBOR item anew, every item in it changed first.
func Reencode(b []byte, change func(*Item)) []byte {
	w, err := parseWire(b, MaxBlockBytes)
	if err != nil {
		panic(err)
	}
	w.change(change)
	return w.bytes()
}

func (w *wire) change(change func(*Item)) {
	for i := range w.of {
		w.of[i].change(change)
	}
	change((*Item)(w))
}

// Item is a CBOR item that a test encodes in another way.
type Item wire

// Endless gives an array or a map an indefinite length.
func (w *Item) Endless() {
	if m := (*wire)(w).major(); m == majorArray || m == majorMap {
		w.first |= indefinite
	}
}

// Pieces breaks a byte string in two.
func (w *Item) Pieces() {
	if (*wire)(w).major() == majorBytes && !(*wire)(w).endless() {
		n := len(w.text) / 2
		for _, text := range [][]byte{w.text[:n], w.text[n:]} {
			w.of = append(w.of, wire{first: appendHead(nil, majorBytes, uint64(len(text)))[0], arg: uint64(len(text)), text: text})
		}
		w.first, w.text = w.first|indefinite, nil
	}
}

// Wide writes the number in the head in eight bytes.
func (w *Item) Wide() {
	if (*wire)(w).major() != majorOther && !(*wire)(w).endless() {
		w.first = w.first&^indefinite | 27
	}
}

// Untag takes the tag off a set.
func (w *Item) Untag() {
	if (*wire)(w).major() == majorTag && w.arg == tagSet {
		*w = Item(w.of[0])
	}
}

// Backwards turns the order of a map's or a set's members.
func (w *Item) Backwards() {
	switch major := (*wire)(w).major(); {
	case major == majorMap:
		for i, n := 0, len(w.of); i < n/2; i += 2 {
			w.of[i], w.of[i+1], w.of[n-i-2], w.of[n-i-1] = w.of[n-i-2], w.of[n-i-1], w.of[i], w.of[i+1]
		}
	case major == majorTag && w.arg == tagSet:
		slices.Reverse(w.of[0].of)
	}
}

// OldOutput makes a list of an output that has no datum and no script.
func (w *Item) OldOutput() {
	if (*wire)(w).major() == majorMap && len(w.of) == 4 && w.of[0].first == 0 && w.of[1].major() == majorBytes && w.of[2].first == 1 {
		*w = Item{first: appendArray(nil, 2)[0], arg: 2, of: []wire{w.of[1], w.of[3]}}
	}
}
