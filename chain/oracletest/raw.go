package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// Fields of a transaction's body and witness set (Conway CDDL).
const (
	bodyInputs           = 0
	bodyOutputs          = 1
	bodyFee              = 2
	bodyUntil            = 3
	bodyCertificates     = 4
	bodyWithdrawals      = 5
	bodyAuxHash          = 7
	bodyFrom             = 8
	bodyMint             = 9
	bodyScriptDataHash   = 11
	bodyCollateral       = 13
	bodySigners          = 14
	bodyNetwork          = 15
	bodyCollateralReturn = 16
	bodyTotalCollateral  = 17
	bodyReferences       = 18

	witnessKeys      = 0
	witnessRedeemers = 5
	witnessPlutusV3  = 7
)

// raw is a transaction taken apart, to be put together wrongly. It shares no code with package chain's encoder.
type raw struct {
	body      map[uint64]cbor.RawMessage
	redeemers []redeemer
	scripts   [][]byte
	valid     bool
	aux       cbor.RawMessage // nil: none
	reversed  bool            // the body's fields are written last to first
	tail      []byte          // after the transaction
	signers   []chaintest.Actor
	forged    bool // the first signature does not verify
}

type redeemer struct {
	Purpose, Index uint64
	Data           cbor.RawMessage
	Mem, Steps     uint64
}

type refSet = []cbor.RawMessage

var (
	canonical = mode()
	lax       = laxMode()
)

func mode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.IndefLength = cbor.IndefLengthAllowed // Plutus Data has such lists
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func laxMode() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

// enc encodes what cannot fail to be encoded.
func enc(v any) cbor.RawMessage {
	b, err := canonical.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// dec decodes what was encoded well.
func dec[T any](b []byte) (v T) {
	if err := lax.Unmarshal(b, &v); err != nil {
		panic(fmt.Sprintf("decode %x into %T: %v", b, v, err))
	}
	return v
}

func tagged(items refSet) cbor.RawMessage { return enc(cbor.Tag{Number: 258, Content: items}) }

// untagged are the items of a set.
func untagged(b cbor.RawMessage) refSet {
	if b == nil {
		return nil
	}
	return dec[refSet](dec[cbor.RawTag](b).Content)
}

// takeApart reads a transaction that is to be signed by these.
func takeApart(tx []byte, signers []chaintest.Actor) *raw {
	parts := dec[[]cbor.RawMessage](tx)
	r := &raw{body: dec[map[uint64]cbor.RawMessage](parts[0]), valid: true, signers: signers}
	w := dec[map[uint64]cbor.RawMessage](parts[1])
	if b, ok := w[witnessRedeemers]; ok {
		for k, v := range dec[map[[2]uint64][2]cbor.RawMessage](b) {
			u := dec[[2]uint64](v[1])
			r.redeemers = append(r.redeemers, redeemer{k[0], k[1], v[0], u[0], u[1]})
		}
	}
	for _, s := range untagged(w[witnessPlutusV3]) {
		r.scripts = append(r.scripts, dec[[]byte](s))
	}
	if parts[3][0] != 0xf6 {
		r.aux = parts[3]
	}
	r.sortRedeemers()
	return r
}

func (r *raw) sortRedeemers() {
	slices.SortFunc(r.redeemers, func(a, b redeemer) int {
		return slices.Compare([]uint64{a.Purpose, a.Index}, []uint64{b.Purpose, b.Index})
	})
}

func (r *raw) redeemerBytes() cbor.RawMessage {
	m := map[[2]uint64]any{}
	for _, x := range r.redeemers {
		m[[2]uint64{x.Purpose, x.Index}] = []any{x.Data, []uint64{x.Mem, x.Steps}}
	}
	return enc(m)
}

// rehash makes the script data hash fit the redeemers (Alonzo ledger, hashScriptIntegrity).
func (r *raw) rehash(p chain.Params) {
	if len(r.redeemers) == 0 {
		delete(r.body, bodyScriptDataHash)
		return
	}
	h := blake2b.Sum256(slices.Concat(r.redeemerBytes(), enc(map[uint64][]int64{2: p.CostModelV3})))
	r.body[bodyScriptDataHash] = enc(h[:])
}

// bytes signs and puts together.
func (r *raw) bytes() []byte {
	fields := make([]uint64, 0, len(r.body))
	for k := range r.body {
		fields = append(fields, k)
	}
	slices.Sort(fields)
	if r.reversed {
		slices.Reverse(fields)
	}
	body := head(5, len(fields))
	for _, k := range fields {
		body = append(append(body, enc(k)...), r.body[k]...)
	}
	aux := r.aux
	if aux == nil {
		aux = cbor.RawMessage{0xf6}
	}
	return slices.Concat(head(4, 4), body, enc(r.witnesses(blake2b.Sum256(body))), enc(r.valid), aux, r.tail)
}

// head is a CBOR item's head for a small count.
func head(major byte, n int) []byte {
	if n >= 24 {
		return []byte{major<<5 | 24, byte(n)}
	}
	return []byte{major<<5 | byte(n)}
}

func (r *raw) witnesses(id [32]byte) map[uint64]any {
	w := map[uint64]any{}
	slices.SortFunc(r.signers, func(a, b chaintest.Actor) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	var keys refSet
	for i, a := range r.signers {
		sig := ed25519.Sign(a.Key, id[:])
		if r.forged && i == 0 {
			sig[0] ^= 1
		}
		keys = append(keys, enc([]any{[]byte(a.Key.Public().(ed25519.PublicKey)), sig}))
	}
	if len(keys) > 0 {
		w[witnessKeys] = tagged(keys)
	}
	if len(r.redeemers) > 0 {
		w[witnessRedeemers] = r.redeemerBytes()
	}
	var scripts refSet
	for _, s := range r.scripts {
		scripts = append(scripts, enc(s))
	}
	if len(scripts) > 0 {
		w[witnessPlutusV3] = tagged(scripts)
	}
	return w
}
