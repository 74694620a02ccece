package rules

import (
	"bytes"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/plutigo/data"
)

// canonicalData makes scripts see data as plutus-core does. plutigo v0.2.0 remembers how data was encoded and lets
// serialiseData repeat it; plutus-core's encodeData has one encoding, whatever bytes the data arrived in. Inline
// datums and redeemers are rebuilt in place (their raw bytes and hashes stay); witness datums cannot be, so a
// non-canonical one is refused.
func (c *check) canonicalData() error {
	for _, o := range c.tx.Outputs() {
		canonicalOutput(o)
	}
	m := c.tx.WitnessSet.WsRedeemers.Redeemers
	for k, v := range m {
		if v.Data.Data != nil {
			v.Data.Data = canonical(v.Data.Data)
			m[k] = v
		}
	}
	for _, v := range c.tx.WitnessSet.WsRedeemers.Iter() {
		if !isCanonical(v.Data.Data) {
			return unsupported("take non-canonical data in the legacy array of redeemers")
		}
	}
	for _, d := range c.tx.WitnessSet.PlutusData() {
		if !isCanonical(d.Data) {
			return unsupported("take witness datums in a non-canonical encoding: use an inline datum or the canonical encoding")
		}
	}
	return nil
}

func canonicalOutput(o lcommon.TransactionOutput) {
	if o == nil {
		return
	}
	if d := o.Datum(); d != nil && d.Data != nil {
		d.Data = canonical(d.Data)
	}
}

// canonical rebuilds d without memory of its encoding.
func canonical(d data.PlutusData) data.PlutusData {
	all := func(in []data.PlutusData) []data.PlutusData {
		out := make([]data.PlutusData, len(in))
		for i, x := range in {
			out[i] = canonical(x)
		}
		return out
	}
	switch x := d.(type) {
	case *data.Constr:
		return data.NewConstr(x.Tag, all(x.Fields)...)
	case *data.List:
		return data.NewList(all(x.Items)...)
	case *data.Map:
		pairs := make([][2]data.PlutusData, len(x.Pairs))
		for i, p := range x.Pairs {
			pairs[i] = [2]data.PlutusData{canonical(p[0]), canonical(p[1])}
		}
		return data.NewMap(pairs)
	}
	return d
}

func isCanonical(d data.PlutusData) bool {
	if d == nil {
		return true
	}
	given, err := data.Encode(d)
	if err != nil {
		return false
	}
	want, err := data.Encode(canonical(d))
	return err == nil && bytes.Equal(given, want)
}
