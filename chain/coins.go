package chain

import (
	"cmp"
	"fmt"
	"slices"
)

// coinPool is what a transaction may still take from. The order of what it was made from does not matter.
type coinPool []UTxO

// newCoinPool keeps what may pay: outputs of keys that are not taken already and carry no script.
func newCoinPool(have []UTxO, taken map[OutRef]bool) coinPool {
	var pool coinPool
	for _, u := range have {
		if _, ok := u.Address.Key(); ok && u.Script == nil && !taken[u.Ref] {
			pool = append(pool, u)
		}
	}
	slices.SortFunc(pool, func(a, b UTxO) int { return a.Ref.Compare(b.Ref) })
	return slices.CompactFunc(pool, func(a, b UTxO) bool { return a.Ref == b.Ref })
}

// takeAsset takes one output towards a missing quantity of an asset.
func (p *coinPool) takeAsset(id AssetID, missing uint64) (UTxO, error) {
	return p.take(id.String(), missing, func(u UTxO) uint64 { return u.Value.Of(id) })
}

// takeCoin takes one output towards missing lovelace.
func (p *coinPool) takeCoin(missing Lovelace) (UTxO, error) {
	return p.take("lovelace", uint64(missing), func(u UTxO) uint64 { return uint64(u.Value.Coin) })
}

// take takes the smallest output that covers what is missing on its own, with the fewest assets, or else the
// largest there is: few inputs, and large ones are kept whole.
func (p *coinPool) take(what string, missing uint64, amount func(UTxO) uint64) (UTxO, error) {
	best := -1
	better := func(a, b UTxO) bool {
		x, y := amount(a), amount(b)
		if (x >= missing) != (y >= missing) {
			return x >= missing
		}
		if x >= missing {
			return cmp.Or(cmp.Compare(len(a.Value.Assets), len(b.Value.Assets)), cmp.Compare(x, y)) < 0
		}
		return x > y
	}
	for i, u := range *p {
		if amount(u) > 0 && (best < 0 || better(u, (*p)[best])) {
			best = i
		}
	}
	if best < 0 {
		return UTxO{}, fmt.Errorf("%d of %s missing: %w", missing, what, ErrInsufficient)
	}
	u := (*p)[best]
	*p = slices.Delete(*p, best, best+1)
	return u, nil
}

// chooseCollateral finds collateral for a fee among coins: one output if one does, ADA alone if it can, else the
// largest. What is not needed goes back to an address. The total is exact, or, where the rest is too small for an
// output, all of it.
func chooseCollateral(coins []UTxO, fee Lovelace, back Address, p Params) (in []OutRef, ret *Output, total Lovelace, err error) {
	pool := newCoinPool(coins, nil)
	slices.SortStableFunc(pool, func(a, b UTxO) int {
		return cmp.Or(cmp.Compare(len(a.Value.Assets), len(b.Value.Assets)), cmp.Compare(a.Value.Coin, b.Value.Coin))
	})
	least := p.Collateral(fee)
	for i := range pool {
		if ret, total, ok := coversCollateral(pool[i:i+1], least, back, p); ok {
			return []OutRef{pool[i].Ref}, ret, total, nil
		}
	}
	slices.SortStableFunc(pool, func(a, b UTxO) int { return cmp.Compare(b.Value.Coin, a.Value.Coin) })
	for n := 2; n <= min(len(pool), int(p.MaxCollateralInputs)); n++ {
		if ret, total, ok := coversCollateral(pool[:n], least, back, p); ok {
			for _, u := range pool[:n] {
				in = append(in, u.Ref)
			}
			return in, ret, total, nil
		}
	}
	return nil, nil, 0, fmt.Errorf("collateral of %d lovelace for a fee of %d: %w", least, fee, ErrInsufficient)
}

func coversCollateral(coins []UTxO, least Lovelace, back Address, p Params) (ret *Output, total Lovelace, ok bool) {
	sum, err := sumValues(coins)
	if err != nil || sum.Coin < least {
		return nil, 0, false
	}
	all := sum.Coin
	sum.Coin -= least
	o := Output{Address: back, Value: sum}
	if o.Value.Coin >= p.MinCoin(o) {
		return &o, least, true
	}
	return nil, all, len(sum.Assets) == 0
}

func sumValues(us []UTxO) (sum Value, err error) {
	for _, u := range us {
		if sum, err = sum.Add(u.Value); err != nil {
			return Value{}, err
		}
	}
	return sum, nil
}
