package chaintest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// Raw is a transaction that is encoded, and not checked: no script is run and no rule is asked. It is how a test says
// what chain.Balance would refuse to build. It pays RawFee and declares all units that a transaction may use.
type Raw struct {
	chain.Draft
	Paying     []chain.UTxO   // all are spent, beside the draft's inputs
	Change     chain.Address  // gets whatever the outputs leave
	Collateral []chain.UTxO   // all are put up; none of it comes back
	Fee        chain.Lovelace // 0: RawFee
	Deposit    chain.Lovelace // taken from the change, for what Fields do
	Fields     map[uint64]any // of the body (Conway CDDL), added or in the place of the draft's
}

// RawFee covers the largest transaction.
const RawFee chain.Lovelace = 4_000_000

// Encode makes the transaction, in the canonical encoding (CIP-21), and tells it what its inputs are.
// ErrInsufficient: the inputs do not cover the outputs.
func (r Raw) Encode(p chain.Params, n chain.Network) (*chain.Tx, error) {
	b, err := r.Bytes(p, n)
	if err != nil {
		return nil, err
	}
	tx, err := chain.DecodeTx(b)
	if err != nil {
		return nil, err
	}
	return tx, tx.Require(slices.Concat(r.spent(), r.References, r.Collateral))
}

// Bytes is the transaction without signatures.
func (r Raw) Bytes(p chain.Params, n chain.Network) ([]byte, error) {
	options := cbor.CanonicalEncOptions()
	options.IndefLength = cbor.IndefLengthAllowed // in Plutus Data
	enc, err := options.EncMode()
	if err != nil {
		return nil, err
	}
	outputs, err := r.outputs(p)
	if err != nil {
		return nil, err
	}
	body := map[uint64]any{
		0: refSet(r.spent()), 1: outputs, 2: cmp.Or(r.Fee, RawFee), 3: r.Until, 8: max(r.From, 1), 15: n.ID,
	}
	redeemers, scripts := r.calls(p)
	witnesses := map[uint64]any{}
	if len(redeemers) > 0 {
		encoded, err := encodeRedeemers(enc, redeemers)
		if err != nil {
			return nil, err
		}
		views, err := enc.Marshal(map[uint64]any{2: p.CostModelV3})
		if err != nil {
			return nil, err
		}
		h := blake2b.Sum256(slices.Concat(encoded, views))
		witnesses[5] = cbor.RawMessage(encoded)
		body[11], body[13] = h[:], refSet(r.Collateral)
	}
	if len(scripts) > 0 {
		witnesses[7] = cbor.Tag{Number: 258, Content: scripts}
	}
	if len(r.Mint) > 0 {
		body[9] = r.minted()
	}
	if len(r.Signers) > 0 {
		body[14] = keySet(r.Signers)
	}
	if len(r.References) > 0 {
		body[18] = refSet(r.References)
	}
	maps.Copy(body, r.Fields)
	return enc.Marshal([]any{body, witnesses, true, nil})
}

// encodeRedeemers writes them in the ledger's order: by purpose, then by index.
func encodeRedeemers(enc cbor.EncMode, rs []redeemer) ([]byte, error) {
	b := []byte{0xb9, byte(len(rs) >> 8), byte(len(rs))} // a map
	switch {
	case len(rs) < 24:
		b = []byte{0xa0 | byte(len(rs))}
	case len(rs) < 256:
		b = []byte{0xb8, byte(len(rs))}
	}
	for _, r := range rs {
		for _, part := range []any{r.key, []any{cbor.RawMessage(r.data), r.units}} {
			p, err := enc.Marshal(part)
			if err != nil {
				return nil, err
			}
			b = append(b, p...)
		}
	}
	return b, nil
}

func (r Raw) spent() (us []chain.UTxO) {
	for _, in := range r.Inputs {
		us = append(us, in.UTxO)
	}
	for _, u := range r.Paying {
		if !slices.ContainsFunc(us, func(v chain.UTxO) bool { return v.Ref == u.Ref }) {
			us = append(us, u)
		}
	}
	return us
}

// outputs are the draft's and the change.
func (r Raw) outputs(p chain.Params) (encoded []cbor.RawMessage, err error) {
	in, out := chain.Value{}, chain.Coins(cmp.Or(r.Fee, RawFee)+r.Deposit)
	for _, u := range r.spent() {
		if in, err = in.Add(u.Value); err != nil {
			return nil, err
		}
	}
	for _, m := range r.Mint {
		for name, q := range m.Assets {
			side := &in
			if q < 0 {
				side, q = &out, -q
			}
			*side = side.With(chain.AssetID{Policy: m.Policy, Name: name}, uint64(q))
		}
	}
	for _, o := range r.Outputs {
		if o.Value.Coin == 0 {
			o.Value.Coin = p.MinCoin(o)
		}
		if out, err = out.Add(o.Value); err != nil {
			return nil, err
		}
		encoded = append(encoded, o.Encode())
	}
	rest, err := in.Sub(out)
	if err != nil {
		return nil, fmt.Errorf("a raw transaction: %w", err)
	}
	return append(encoded, chain.Output{Address: r.Change, Value: rest}.Encode()), nil
}

func (r Raw) minted() map[cbor.ByteString]map[cbor.ByteString]int64 {
	all := map[cbor.ByteString]map[cbor.ByteString]int64{}
	for _, m := range r.Mint {
		assets := map[cbor.ByteString]int64{}
		for name, q := range m.Assets {
			assets[cbor.ByteString(name)] = q
		}
		all[cbor.ByteString(m.Policy[:])] = assets
	}
	return all
}

// redeemer is what a script is called with.
type redeemer struct {
	key   [2]uint64 // purpose and index
	data  []byte
	units [2]uint64
}

// calls are the redeemers in the ledger's order, and the scripts they need that are not among the references.
func (r Raw) calls(p chain.Params) (redeemers []redeemer, scripts [][]byte) {
	needed := map[chain.ScriptHash]bool{}
	refs := r.spent()
	slices.SortFunc(refs, func(a, b chain.UTxO) int { return a.Ref.Compare(b.Ref) })
	for i, u := range refs {
		at := slices.IndexFunc(r.Inputs, func(in chain.Input) bool { return in.Ref == u.Ref && in.Redeemer != nil })
		if h, ok := u.Address.Script(); ok && at >= 0 {
			redeemers = append(redeemers, redeemer{key: [2]uint64{uint64(chain.PurposeSpend), uint64(i)}, data: r.Inputs[at].Redeemer})
			needed[h] = true
		}
	}
	policies := slices.SortedFunc(slices.Values(r.Mint), func(a, b chain.Mint) int { return bytes.Compare(a.Policy[:], b.Policy[:]) })
	for i, m := range policies {
		if needed[m.Policy] = true; m.Redeemer != nil {
			redeemers = append(redeemers, redeemer{key: [2]uint64{uint64(chain.PurposeMint), uint64(i)}, data: m.Redeemer})
		}
	}
	for i := range redeemers {
		n := uint64(len(redeemers))
		redeemers[i].units = [2]uint64{p.MaxTxUnits.Mem / n, p.MaxTxUnits.Steps / n}
	}
	for _, u := range slices.Concat(r.References, refs) {
		if u.Script != nil {
			delete(needed, chain.HashScript(u.Script))
		}
	}
	for _, s := range slices.SortedFunc(slices.Values(r.Scripts), bytes.Compare) {
		if h := chain.HashScript(s); needed[h] {
			scripts = append(scripts, s)
			delete(needed, h)
		}
	}
	return redeemers, scripts
}

func refSet(us []chain.UTxO) cbor.Tag {
	var refs []chain.OutRef
	for _, u := range us {
		refs = append(refs, u.Ref)
	}
	slices.SortFunc(refs, chain.OutRef.Compare)
	set := []any{}
	for _, ref := range slices.Compact(refs) {
		set = append(set, []any{ref.Tx[:], ref.Index})
	}
	return cbor.Tag{Number: 258, Content: set}
}

func keySet(ks []chain.KeyHash) cbor.Tag {
	ks = slices.SortedFunc(slices.Values(ks), func(a, b chain.KeyHash) int { return bytes.Compare(a[:], b[:]) })
	set := [][]byte{}
	for _, k := range slices.Compact(ks) {
		set = append(set, k[:])
	}
	return cbor.Tag{Number: 258, Content: set}
}
