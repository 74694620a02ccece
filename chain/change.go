package chain

// leanValue is the size in bytes up to which a value of change is not worth dividing: some ten assets.
const leanValue = 512

// makeChange returns the rest to the change address, and where it would grow large, in several outputs: assets that the
// draft does not name come in outputs of their own, so that what the next payment spends does not carry them along. The
// last output takes all lovelace that the others do not need. If there is too little for that, as few outputs as the
// largest value allows must do.
func (b *balancer) makeChange(fee Lovelace) ([]Output, error) {
	in, out, err := b.totals()
	if err != nil {
		return nil, err
	}
	if out, err = out.Add(Coins(fee)); err != nil {
		return nil, err
	}
	have, need := in.Coin, out.Coin
	in.Coin, out.Coin = 0, 0
	rest, err := in.Sub(out)
	if err != nil {
		return nil, err
	}
	if have == need && len(rest.Assets) == 0 {
		return nil, nil
	}
	if len(rest.Encode()) > leanValue {
		if lean, err := b.shareChange(b.divide(rest), have, need); err == nil {
			return lean, nil
		}
	}
	return b.shareChange(b.fill(nil, rest), have, need)
}

// divide makes values of the assets that the draft does not name, and a last one of those that it does.
func (b *balancer) divide(rest Value) []Value {
	var named, strange Value
	for id, q := range rest.Assets {
		if b.names(id) {
			named = named.With(id, q)
		} else {
			strange = strange.With(id, q)
		}
	}
	values := b.fill(nil, strange)
	if len(strange.Assets) == 0 {
		values = nil
	}
	return b.fill(values, named)
}

// names says whether the draft pays, mints or burns an asset.
func (b *balancer) names(id AssetID) bool {
	if _, ok := b.minted[id]; ok {
		return true
	}
	for _, o := range b.outputs {
		if o.Value.Of(id) > 0 {
			return true
		}
	}
	return false
}

// fill appends values that hold all assets of v and are no larger than the ledger allows.
func (b *balancer) fill(values []Value, v Value) []Value {
	var cur Value
	for _, id := range v.IDs() {
		next := cur.With(id, v.Of(id))
		if next.Coin = 1 << 40; len(next.Encode()) > int(b.p.MaxValueSize) && len(cur.Assets) > 0 {
			values, next = append(values, cur), Value{}.With(id, v.Of(id))
		}
		next.Coin = 0
		cur = next
	}
	return append(values, cur)
}

// shareChange makes outputs of values: each with the least lovelace, the last with what remains of what there is.
func (b *balancer) shareChange(values []Value, have, need Lovelace) ([]Output, error) {
	var change []Output
	for i, v := range values {
		o := Output{Address: b.change, Value: v}
		least := b.p.MinCoin(o)
		if have < need+least {
			for _, v := range values[i+1:] {
				need += b.p.MinCoin(Output{Address: b.change, Value: v})
			}
			return nil, errShort{need + least - have}
		}
		if o.Value.Coin = least; i == len(values)-1 {
			o.Value.Coin = have - need
		}
		change, need = append(change, o), need+least
	}
	return change, nil
}
