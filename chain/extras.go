package chain

import (
	"encoding/hex"
	"fmt"
)

// Extra is a part of a transaction that Tally itself never writes: a withdrawal, a certificate, a vote, in words.
type Extra struct {
	What   string  // what it does, without amounts
	Key    KeyHash // the key whose signature it needs, if HasKey
	HasKey bool
	Gives  Lovelace // what it brings into the transaction: rewards, refunded deposits
	Takes  Lovelace // what it takes out of it: deposits, donations
}

// Extras lists what Tally never writes. ErrMalformed: there is something whose meaning is not known here; such a
// transaction must not be signed by looking at it.
func (t *TxBody) Extras() (out []Extra, err error) {
	for _, f := range []struct {
		field uint64
		read  func(*reader) []Extra
	}{
		{fieldCertificates, (*reader).certificates},
		{fieldWithdrawals, (*reader).withdrawals},
		{fieldTreasury, func(r *reader) []Extra {
			return []Extra{{What: fmt.Sprintf("says that the treasury holds %d lovelace", r.uint())}}
		}},
		{fieldDonation, func(r *reader) []Extra { return []Extra{{What: "gives to the treasury", Takes: Lovelace(r.uint())}} }},
	} {
		b, ok := t.raw[f.field]
		if !ok {
			continue
		}
		r := reader{b: b, lax: true}
		found := f.read(&r)
		if err := r.end(); err != nil {
			return nil, fmt.Errorf("transaction %s, field %d: %w", t.ID, f.field, err)
		}
		out = append(out, found...)
	}
	for _, n := range t.notes {
		out = append(out, Extra{What: n})
	}
	if t.HasVotes || t.HasProposals {
		return nil, fmt.Errorf("transaction %s has votes or proposals, whose meaning is not read here: %w", t.ID, ErrMalformed)
	}
	return out, nil
}

// withdrawals reads {reward account: lovelace} (Conway CDDL).
func (r *reader) withdrawals() (out []Extra) {
	for range r.mapLen() {
		var account [29]byte
		r.fixed(account[:])
		e := Extra{What: fmt.Sprintf("withdraws the rewards of stake key %x", account[1:]), Gives: Lovelace(r.uint()), HasKey: true}
		switch account[0] >> 4 {
		case 0xe:
			copy(e.Key[:], account[1:])
		case 0xf:
			e.What, e.HasKey = fmt.Sprintf("withdraws the rewards of script %x", account[1:]), false
		default:
			r.fail("reward account %x", account)
		}
		if r.err != nil {
			return nil
		}
		out = append(out, e)
	}
	return out
}

// certificateWords are the kinds of certificates that are put into words (Conway CDDL, certificate). Kind 0, the old
// registration, is not: what deposit it takes is not in it.
var certificateWords = map[uint64]struct {
	what         string
	pool, drep   bool // it names a pool, a representative
	gives, takes bool // its last number is a refund, a deposit
}{
	1:  {what: "ends the registration of %s, for its deposit"},
	2:  {what: "delegates %s to pool %s", pool: true},
	7:  {what: "registers %s", takes: true},
	8:  {what: "ends the registration of %s", gives: true},
	9:  {what: "lets %s be represented by %s", drep: true},
	10: {what: "delegates %s to pool %s, represented by %s", pool: true, drep: true},
	11: {what: "registers %s and delegates it to pool %s", pool: true, takes: true},
	12: {what: "registers %s and lets it be represented by %s", drep: true, takes: true},
	13: {what: "registers %s and delegates it to pool %s, represented by %s", pool: true, drep: true, takes: true},
}

func (r *reader) certificates() (out []Extra) {
	if r.peek()>>5 == majorTag {
		r.tag(tagSet)
	}
	for range r.array() {
		out = append(out, r.certificate())
		if r.err != nil {
			return nil
		}
	}
	return out
}

func (r *reader) certificate() (e Extra) {
	n := 2 // kind and stake credential
	fields, kind := r.array(), r.uint()
	w, ok := certificateWords[kind]
	if !ok {
		r.fail("certificate of kind %d, whose meaning is not read here", kind)
		return e
	}
	who, key, isKey := r.credential()
	e.Key, e.HasKey = key, isKey
	names := []any{who}
	if w.pool {
		var pool KeyHash
		r.fixed(pool[:])
		names, n = append(names, pool), n+1
	}
	if w.drep {
		names, n = append(names, r.representative()), n+1
	}
	if w.gives {
		e.Gives, n = Lovelace(r.uint()), n+1
	}
	if w.takes {
		e.Takes, n = Lovelace(r.uint()), n+1
	}
	if fields != n {
		r.fail("certificate of %d fields, want %d", fields, n)
	}
	e.What = fmt.Sprintf(w.what, names...)
	return e
}

func (r *reader) credential() (who string, key KeyHash, isKey bool) {
	if r.array() != 2 {
		r.fail("a credential is a pair")
	}
	kind := r.uint()
	r.fixed(key[:])
	switch kind {
	case 0:
		return "stake key " + key.String(), key, true
	case 1:
		return "script " + key.String(), key, false
	}
	r.fail("credential of kind %d", kind)
	return "", key, false
}

func (r *reader) representative() string {
	n, kind := r.array(), r.uint()
	if n == 1 && kind == 2 {
		return "nobody (abstain)"
	}
	if n == 1 && kind == 3 {
		return "nobody (no confidence)"
	}
	b := r.bytes(28)
	if n != 2 || kind > 1 || len(b) != 28 {
		r.fail("representative of kind %d", kind)
	}
	return hex.EncodeToString(b)
}
