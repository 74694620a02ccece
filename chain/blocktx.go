package chain

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// BlockTxFrom reduces a decoded transaction of a block to what the market looks at; its id is the hash of its
// original bytes. Outputs that have no place here are left out: those at Byron and pointer addresses, with reference
// scripts that are not Plutus V3, or with a datum that is only named by its hash.
func BlockTxFrom(t lcommon.Transaction) (BlockTx, error) {
	b := BlockTx{
		ID: TxID(t.Hash()), References: refsFrom(t.ReferenceInputs()), Invalid: !t.IsValid(),
		From: Slot(t.ValidityIntervalStart()), Until: Slot(t.TTL()),
		Inputs: refsFrom(t.Consumed()),
	}
	if f := t.Fee(); f != nil && f.IsUint64() {
		b.Fee = Lovelace(f.Uint64())
	}
	for _, u := range t.Produced() {
		o, ok := OutputFrom(u.Output)
		if ok {
			b.Outputs = append(b.Outputs, UTxO{OutRef{TxID(u.Id.Id()), u.Id.Index()}, o})
		}
	}
	for _, k := range t.RequiredSigners() {
		b.Signers = append(b.Signers, KeyHash(k))
	}
	w := t.Witnesses()
	if w == nil {
		return b, nil
	}
	for _, v := range w.Vkey() {
		b.Witnesses = append(b.Witnesses, HashKey(v.Vkey))
	}
	if b.Invalid {
		return b, nil
	}
	var err error
	if b.Mint, err = mintFrom(t.AssetMint()); err != nil {
		return BlockTx{}, fmt.Errorf("transaction %s: %w", b.ID, err)
	}
	if w.Redeemers() == nil {
		return b, nil
	}
	policies := mintPolicies(b.Mint)
	for k, v := range w.Redeemers().Iter() {
		i := int(k.Index)
		switch {
		case k.Tag == lcommon.RedeemerTagSpend && i < len(b.Inputs):
			if b.SpendRedeemers == nil {
				b.SpendRedeemers = map[OutRef][]byte{}
			}
			b.SpendRedeemers[b.Inputs[i]] = bytes.Clone(v.Data.Cbor())
		case k.Tag == lcommon.RedeemerTagMint && i < len(policies):
			if b.MintRedeemers == nil {
				b.MintRedeemers = map[ScriptHash][]byte{}
			}
			b.MintRedeemers[policies[i]] = bytes.Clone(v.Data.Cbor())
		}
	}
	return b, nil
}

func refsFrom(in []lcommon.TransactionInput) []OutRef {
	var out []OutRef
	for _, i := range in {
		out = append(out, OutRef{TxID(i.Id()), i.Index()})
	}
	slices.SortFunc(out, OutRef.Compare)
	return out
}

func mintFrom(m *lcommon.MultiAsset[lcommon.MultiAssetTypeMint]) (map[AssetID]int64, error) {
	if m == nil {
		return nil, nil
	}
	var out map[AssetID]int64
	for _, p := range m.Policies() {
		for _, n := range m.Assets(p) {
			q := m.Asset(p, n)
			if q == nil || !q.IsInt64() {
				return nil, fmt.Errorf("mint of %v: %w", q, ErrMalformed)
			}
			if q.Sign() == 0 {
				continue
			}
			if out == nil {
				out = map[AssetID]int64{}
			}
			out[AssetID{ScriptHash(p), string(n)}] = q.Int64()
		}
	}
	return out, nil
}

// OutputFrom reduces a decoded output; false says that it has no place here (see BlockTxFrom).
func OutputFrom(o lcommon.TransactionOutput) (Output, bool) {
	if o == nil {
		return Output{}, false
	}
	addr := o.Address()
	raw, err := addr.Bytes()
	if err != nil {
		return Output{}, false
	}
	a, err := AddressFromBytes(raw)
	if err != nil {
		return Output{}, false
	}
	coin, ok := quantity(o.Amount())
	if !ok {
		return Output{}, false
	}
	out := Output{Address: a, Value: Coins(Lovelace(coin))}
	if m := o.Assets(); m != nil {
		for _, p := range m.Policies() {
			for _, n := range m.Assets(p) {
				q, ok := quantity(m.Asset(p, n))
				if !ok {
					return Output{}, false
				}
				out.Value = out.Value.With(AssetID{ScriptHash(p), string(n)}, q)
			}
		}
	}
	if d := o.Datum(); d != nil {
		out.Datum = bytes.Clone(d.Cbor())
	} else if o.DatumHash() != nil {
		return Output{}, false // a script would see the hash, and want the datum
	}
	if s := o.ScriptRef(); s != nil {
		v3, ok := s.(lcommon.PlutusV3Script)
		if !ok {
			return Output{}, false
		}
		out.Script = bytes.Clone(v3)
	}
	return out, true
}

func quantity(n *big.Int) (uint64, bool) {
	if n == nil || !n.IsUint64() {
		return 0, false
	}
	return n.Uint64(), true
}
