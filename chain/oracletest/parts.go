package main

import (
	"bytes"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

// output is a transaction output in the map form.
type output map[uint64]cbor.RawMessage

// assets are the quantities of a value by policy and name.
type assets map[cbor.ByteString]map[cbor.ByteString]int64

func (o output) value() (coin uint64, a assets) {
	v := o[1]
	if v[0]>>5 == 0 {
		return dec[uint64](v), nil
	}
	pair := dec[[2]cbor.RawMessage](v)
	return dec[uint64](pair[0]), dec[assets](pair[1])
}

func (o output) with(coin uint64, a assets) output {
	n := maps.Clone(o)
	if n[1] = enc(coin); a != nil {
		n[1] = enc([]any{coin, a})
	}
	return n
}

func (o output) coin() uint64 {
	c, _ := o.value()
	return c
}

func (r *raw) clone() *raw {
	c := *r
	c.body = maps.Clone(r.body)
	c.redeemers = slices.Clone(r.redeemers)
	c.scripts = slices.Clone(r.scripts)
	c.signers = slices.Clone(r.signers)
	return &c
}

func (r *raw) outputs() []output        { return dec[[]output](r.body[bodyOutputs]) }
func (r *raw) setOutputs(outs []output) { r.body[bodyOutputs] = enc(outs) }
func (r *raw) fee() uint64              { return dec[uint64](r.body[bodyFee]) }

// richest is the output with the most lovelace from some output on; -1: there is none.
func (r *raw) richest(from int) int {
	best := -1
	outs := r.outputs()
	for i := from; i < len(outs); i++ {
		if best < 0 || outs[i].coin() > outs[best].coin() {
			best = i
		}
	}
	return best
}

// move takes lovelace from an output.
func (r *raw) move(i int, lovelace int64) {
	outs := r.outputs()
	coin, a := outs[i].value()
	outs[i] = outs[i].with(uint64(int64(coin)-lovelace), a)
	r.setOutputs(outs)
}

// refs reads a set of inputs.
func (r *raw) refs(field uint64) (out []chain.OutRef) {
	for _, item := range untagged(r.body[field]) {
		pair := dec[[2]cbor.RawMessage](item)
		out = append(out, chain.OutRef{Tx: chain.TxID(dec[[]byte](pair[0])), Index: uint32(dec[uint64](pair[1]))})
	}
	return out
}

// setRefs writes a set of inputs, sorted.
func (r *raw) setRefs(field uint64, refs []chain.OutRef) {
	if len(refs) == 0 {
		delete(r.body, field)
		return
	}
	refs = slices.SortedFunc(slices.Values(refs), chain.OutRef.Compare)
	var items refSet
	for _, ref := range refs {
		items = append(items, encRef(ref))
	}
	r.body[field] = tagged(items)
}

func encRef(ref chain.OutRef) cbor.RawMessage { return enc([]any{ref.Tx[:], uint64(ref.Index)}) }

// addSigner requires another key's signature.
func (r *raw) addSigner(k chain.KeyHash) {
	items := append(untagged(r.body[bodySigners]), enc(k[:]))
	slices.SortFunc(items, func(a, b cbor.RawMessage) int { return bytes.Compare(a, b) })
	r.body[bodySigners] = tagged(items)
}
