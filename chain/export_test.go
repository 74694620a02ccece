package chain

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

// Items splits one CBOR array into the bytes of its items; nothing may follow it.
func Items(b []byte) (items [][]byte, err error) {
	r := reader{b: b, lax: true}
	n := -1
	if first := r.peek(); first == majorArray<<5|0x1f {
		r.off++
	} else {
		n = r.array()
	}
	for ; r.err == nil && n != 0 && !(n < 0 && r.peek() == cborBreak); n-- {
		items = append(items, r.item())
	}
	if n < 0 && r.err == nil {
		r.off++
	}
	return items, r.end()
}
