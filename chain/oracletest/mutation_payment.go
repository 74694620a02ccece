package main

import (
	"bytes"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// payments are faults that any transaction can have.
func payments() []mutation {
	return []mutation{
		{"value one more", "ValueNotConservedUTxO", "ValueNotConservedUTxO", "Value not conserved", false, value(1)},
		{"value one less", "ValueNotConservedUTxO", "ValueNotConservedUTxO", "Value not conserved", false, value(-1)},
		{"asset from nothing", "ValueNotConservedUTxO", "ValueNotConservedUTxO", "Value not conserved", false, padded(assetFromNothing)},
		{"fee one below", "FeeTooSmallUTxO", "FeeTooSmallUTxO", "Fee or collateral validation failed", true, feeBelow},
		{"expired", "OutsideValidityIntervalUTxO", "OutsideValidityIntervalUTxO", "outside the validity interval", false, func(r *raw, s *subject) bool {
			r.body[bodyFrom], r.body[bodyUntil] = enc(uint64(1)), enc(uint64(s.w.slot()))
			return true
		}},
		{"not yet valid", "OutsideValidityIntervalUTxO", "OutsideValidityIntervalUTxO", "outside the validity interval", false, padded(func(r *raw, s *subject) bool {
			r.body[bodyFrom] = enc(uint64(s.w.slot() + 60))
			return dec[uint64](r.body[bodyUntil]) > uint64(s.w.slot()+60)
		})},
		{"missing signature", "MissingVKeyWitnessesUTXOW", "MissingVKeyWitnessesUTXOW", "Missing key hashes", false, func(r *raw, _ *subject) bool {
			r.signers = r.signers[1:]
			return true
		}},
		{"missing signature, another key's instead", "MissingVKeyWitnessesUTXOW", "MissingVKeyWitnessesUTXOW", "Missing key hashes", false, func(r *raw, _ *subject) bool {
			r.signers[0] = stranger()
			return true
		}},
		{"signature that does not verify", "InvalidWitnessesUTXOW", "InvalidWitnessesUTXOW", "Invalid verified signatures", true, func(r *raw, _ *subject) bool {
			r.forged = true
			return true
		}},
		{"required signer has not signed", "MissingVKeyWitnessesUTXOW", "MissingVKeyWitnessesUTXOW", "Missing key hashes", false, padded(func(r *raw, s *subject) bool {
			r.addSigner(stranger().Hash)
			r.allow(s.w.params) // scripts see one more
			return true
		})},
		{"another network's transaction", "WrongNetworkInTxBody", "WrongNetworkInTxBody", "Wrong network id", false, func(r *raw, _ *subject) bool {
			r.body[bodyNetwork] = enc(1)
			return true
		}},
		{"output on another network", "WrongNetwork", "WrongNetwork", "Wrong network address", false, func(r *raw, s *subject) bool {
			outs := r.outputs()
			o := outs[s.change].with(outs[s.change].value())
			a := dec[[]byte](o[0])
			a[0] |= 1
			o[0] = enc(a)
			outs[s.change] = o
			r.setOutputs(outs)
			return true
		}},
		{"output below the minimum", "BabbageOutputTooSmallUTxO", "BabbageOutputTooSmallUTxO", "outputs are too small", false, padded(func(r *raw, s *subject) bool {
			r.move(s.change, 500_000)
			r.setOutputs(append(r.outputs(), output{0: r.outputs()[s.change][0], 1: enc(500_000)}))
			return true
		})},
		{"value of too many assets", "OutputTooBigUTxO", "OutputTooBigUTxO", "maximum value storage size", false, padded(tooBigValue)},
		{"unknown input", "BadInputsUTxO", "BadInputsUTxO", "Missing inputs, collateral inputs or reference inputs", false, padded(func(r *raw, s *subject) bool {
			r.setRefs(bodyInputs, append(r.refs(bodyInputs), chain.OutRef{Tx: chain.TxID{0xff}, Index: 7}))
			return !s.script // redeemers would point elsewhere
		})},
		{"unknown reference", "BadInputsUTxO", "BadInputsUTxO", "Missing inputs, collateral inputs or reference inputs", false, padded(func(r *raw, _ *subject) bool {
			r.setRefs(bodyReferences, append(r.refs(bodyReferences), chain.OutRef{Tx: chain.TxID{0xff}, Index: 7}))
			return true
		})},
		{"input spent before", "BadInputsUTxO", "BadInputsUTxO", "Missing inputs, collateral inputs or reference inputs", false, padded(func(r *raw, s *subject) bool {
			r.setRefs(bodyInputs, append(r.refs(bodyInputs), s.w.spent))
			return !s.script && s.w.spent != chain.OutRef{}
		})},
		{"reference is also spent", "BabbageNonDisjointRefInputs", "BabbageNonDisjointRefInputs", "intersects with reference inputs", false, padded(func(r *raw, _ *subject) bool {
			r.setRefs(bodyReferences, append(r.refs(bodyReferences), r.refs(bodyInputs)[0]))
			return true
		})},
		{"metadata without its hash", "MissingTxBodyMetadataHash", "MissingTxBodyMetadataHash", "Missing auxiliary data hash", false, padded(func(r *raw, _ *subject) bool {
			if r.aux == nil {
				r.aux = message("a word")
			}
			delete(r.body, bodyAuxHash)
			return true
		})},
		{"hash of no metadata", "MissingTxMetadata", "MissingTxMetadata", "Missing auxiliary data", false, padded(func(r *raw, _ *subject) bool {
			r.setAux(message("a word"))
			r.aux = nil
			return true
		})},
		{"hash of other metadata", "ConflictingMetadataHash", "ConflictingMetadataHash", "Invalid auxiliary data hash", false, padded(func(r *raw, _ *subject) bool {
			r.setAux(message("a word"))
			r.aux = message("a ward")
			return true
		})},
		{"metadata text of 65 bytes", "InvalidMetadata", "metadata text exceeds", "Invalid auxiliary data", true, padded(func(r *raw, _ *subject) bool {
			r.setAux(message(strings.Repeat("x", 65)))
			return true
		})},
		{"transaction too long", "MaxTxSizeUTxO", "MaxTxSizeUTxO", "exceeds maximum allowed size", false, tooLong},
		{"reference script that is none", "MalformedReferenceScripts", "MalformedReferenceScripts", "Ill-formed scripts", false, padded(func(r *raw, s *subject) bool {
			r.move(s.change, 3_000_000)
			script := enc([]any{3, []byte{0x43, 1, 2, 3}})
			r.setOutputs(append(r.outputs(), output{0: r.outputs()[s.change][0], 1: enc(3_000_000), 3: enc(cbor.Tag{Number: 24, Content: []byte(script)})}))
			return true
		})},
	}
}

func value(by int64) func(*raw, *subject) bool {
	return func(r *raw, s *subject) bool {
		r.move(s.change, -by)
		return true
	}
}

func feeBelow(r *raw, s *subject) bool {
	refs := 0
	for _, u := range s.resolved {
		for _, ref := range append(r.refs(bodyInputs), r.refs(bodyReferences)...) {
			if ref == u.Ref {
				refs += len(u.Script)
			}
		}
	}
	size := func() int { return len(r.bytes()) - 1 }
	least := uint64(s.w.params.MinFee(size(), s.tx.Units(), refs))
	r.move(s.change, -int64(r.fee()-(least-1)))
	r.body[bodyFee] = enc(least - 1)
	return least == uint64(s.w.params.MinFee(size(), s.tx.Units(), refs))
}

func assetFromNothing(r *raw, s *subject) bool {
	outs := r.outputs()
	coin, a := outs[s.change].value()
	if a == nil {
		a = assets{}
	}
	a[cbor.ByteString(bytes.Repeat([]byte{9}, 28))] = map[cbor.ByteString]int64{"x": 1}
	outs[s.change] = outs[s.change].with(coin, a)
	r.setOutputs(outs)
	return true
}

func tooBigValue(r *raw, s *subject) bool {
	outs := r.outputs()
	a := assets{}
	for i := range 160 {
		policy := append(bytes.Repeat([]byte{7}, 27), byte(i))
		a[cbor.ByteString(policy)] = map[cbor.ByteString]int64{"a name": 1}
	}
	outs = append(outs, outs[s.change].with(40_000_000, a))
	r.setOutputs(outs)
	r.move(s.change, 40_000_000)
	return outs[s.change].coin() > 45_000_000
}

func tooLong(r *raw, s *subject) bool {
	lines := make([]string, 300)
	for i := range lines {
		lines[i] = strings.Repeat("x", 64)
	}
	r.setAux(message(lines...))
	return s.pad(r, 2*spare)
}

// message is metadata as CIP-20 has it.
func message(lines ...string) cbor.RawMessage {
	return enc(map[uint64]any{674: map[string][]string{"msg": lines}})
}

func (r *raw) setAux(b cbor.RawMessage) {
	h := blake2b.Sum256(b)
	r.aux, r.body[bodyAuxHash] = b, enc(h[:])
}
