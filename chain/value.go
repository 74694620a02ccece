package chain

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Value is an amount of ADA and of native assets. Assets with quantity zero are never kept.
// The zero Value is empty and ready to use.
type Value struct {
	Coin   Lovelace
	Assets map[AssetID]uint64
}

// Coins is a value of ADA alone.
func Coins(c Lovelace) Value { return Value{Coin: c} }

// With returns v with q more of asset a. It does not change v.
func (v Value) With(a AssetID, q uint64) Value {
	w := v.clone()
	if q == 0 {
		return w
	}
	if w.Assets == nil {
		w.Assets = map[AssetID]uint64{}
	}
	w.Assets[a] += q
	return w
}

// Of is the quantity of asset a in v.
func (v Value) Of(a AssetID) uint64 { return v.Assets[a] }

// Add returns v + w, or an error on overflow.
func (v Value) Add(w Value) (Value, error) {
	if v.Coin > math.MaxUint64-w.Coin {
		return Value{}, fmt.Errorf("lovelace overflow: %w", ErrMalformed)
	}
	r := v.clone()
	r.Coin += w.Coin
	if r.Assets == nil && len(w.Assets) > 0 {
		r.Assets = make(map[AssetID]uint64, len(w.Assets))
	}
	for a, q := range w.Assets {
		if r.Assets[a] > math.MaxUint64-q {
			return Value{}, fmt.Errorf("overflow of %s: %w", a, ErrMalformed)
		}
		if q > 0 {
			r.Assets[a] += q
		}
	}
	return r, nil
}

// Sub returns v − w, or ErrInsufficient naming what is missing.
func (v Value) Sub(w Value) (Value, error) {
	if v.Coin < w.Coin {
		return Value{}, fmt.Errorf("%d lovelace missing: %w", w.Coin-v.Coin, ErrInsufficient)
	}
	r := v.clone()
	r.Coin -= w.Coin
	for a, q := range w.Assets {
		have := r.Assets[a]
		if have < q {
			return Value{}, fmt.Errorf("%d of %s missing: %w", q-have, a, ErrInsufficient)
		}
		if have == q {
			delete(r.Assets, a)
		} else {
			r.Assets[a] = have - q
		}
	}
	return r, nil
}

// Covers says whether v holds at least w.
func (v Value) Covers(w Value) bool {
	_, err := v.Sub(w)
	return err == nil
}

// Equal says whether v and w hold the same.
func (v Value) Equal(w Value) bool { return v.Coin == w.Coin && maps.Equal(v.Assets, w.Assets) }

// IDs lists the assets of v, ordered by policy and name.
func (v Value) IDs() []AssetID {
	return slices.SortedFunc(maps.Keys(v.Assets), AssetID.Compare)
}

func (v Value) clone() Value {
	v.Assets = maps.Clone(v.Assets)
	return v
}
