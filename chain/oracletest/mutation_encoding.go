package main

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

// encodings are faults that a decoder finds: the ledger's own, and, of the canonical form, ours.
func encodings() []mutation {
	return []mutation{
		{"a byte after the transaction", "", "bytes after the transaction", "Expected End-of-Input", false, func(r *raw, _ *subject) bool {
			r.tail = []byte{0}
			return true
		}},
		{"isValid false", "", "isValid", "invalid flag", false, func(r *raw, _ *subject) bool {
			r.valid = false
			return true
		}},
		{"body fields last to first", "", "", "", false, func(r *raw, _ *subject) bool {
			r.reversed = true
			return true
		}},
		{"inputs in another order", "", "", "", false, func(r *raw, _ *subject) bool {
			items := untagged(r.body[bodyInputs])
			if len(items) < 2 {
				return false
			}
			items[0], items[1] = items[1], items[0]
			r.body[bodyInputs] = tagged(items)
			return true
		}},
		{"an input twice", "", "duplicate member in set", "", false, padded(func(r *raw, _ *subject) bool {
			items := untagged(r.body[bodyInputs])
			r.body[bodyInputs] = tagged(append(refSet{items[0]}, items...))
			return true
		})},
		{"quantity zero", "", "a quantity of 0", "", false, padded(extraAsset("x", 0))},
		{"asset name of 33 bytes", "", "an asset name of 33 bytes", "at most 32 bytes", true, padded(extraAsset(cbor.ByteString(bytes.Repeat([]byte{'x'}, 33)), 1))},
		{"a field that does not exist", "", "decoder refuses it", "Unknown key 99", true, padded(func(r *raw, _ *subject) bool {
			r.body[99] = enc(1)
			return true
		})},
		{"certificates, an empty set", "", "an empty set of certificates", "expected non-empty", false, padded(func(r *raw, _ *subject) bool {
			r.body[bodyCertificates] = tagged(refSet{})
			return true
		})},
		{"unknown certificate's key", "", "StakeKeyNotRegisteredDELEG", "missing registrations", false, padded(func(r *raw, _ *subject) bool {
			h := stranger().Hash
			r.signers = append(r.signers, stranger())
			r.body[bodyCertificates] = tagged(refSet{enc([]any{8, []any{0, h[:]}, 0})})
			return true
		})},
		{"withdrawal from no account", "", "WithdrawalsNotInRewardsCERTS", "missing reward accounts", false, padded(func(r *raw, _ *subject) bool {
			h := stranger().Hash
			r.signers = append(r.signers, stranger())
			r.body[bodyWithdrawals] = enc(map[cbor.ByteString]uint64{cbor.ByteString(append([]byte{0xe0}, h[:]...)): 0})
			return true
		})},
	}
}

// extraAsset puts so much of an asset into an output, and mints it.
func extraAsset(name cbor.ByteString, quantity int64) func(*raw, *subject) bool {
	return func(r *raw, s *subject) bool {
		outs := r.outputs()
		coin, a := outs[s.change].value()
		if a == nil {
			a = assets{}
		}
		policy := cbor.ByteString(bytes.Repeat([]byte{9}, 28))
		a[policy] = map[cbor.ByteString]int64{name: quantity}
		outs[s.change] = outs[s.change].with(coin, a)
		r.setOutputs(outs)
		return true
	}
}
