package chain

import "reflect"

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
