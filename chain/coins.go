package chain

import (
	"cmp"
	"fmt"
	"slices"
)

// Which coins pay
//
// CIP-2 names what coin selection is for: few inputs, change that is of use, and no growing pile of small outputs. Its
// two algorithms are Largest-First and Random-Improve. Here the choice must be deterministic, since the same draft and
// coins give the same bytes, and it must take as few outputs as it can: what a transaction under way spends is
// reserved, and no other job can have it until then. So for each asset, and at last for ADA, the smallest output that
// covers what is missing on its own is taken, or, while none does, the largest. Then one is given back that the others do
// without: with an output that brings other assets along, more change is needed, and that can take as much as it brings.
// No output is taken that the others do without, and large ones stay whole for other jobs. Small ones are not spent by the way but joined on purpose, in a
// transaction of their own, when fees are the only cost.

// coinPool is what a transaction may still take from. The order of what it was made from does not matter.
type coinPool []UTxO

// newCoinPool keeps what may pay: outputs of keys that are not taken already and carry no script, each once.
func newCoinPool(have []UTxO, taken map[OutRef]bool) coinPool {
	pool := make(coinPool, 0, len(have))
	seen := make(map[OutRef]bool, len(have))
	for _, u := range have {
		if _, ok := u.Address.Key(); ok && u.Script == nil && !taken[u.Ref] && !seen[u.Ref] {
			pool, seen[u.Ref] = append(pool, u), true
		}
	}
	return pool
}

// takeAsset takes one output towards a missing quantity of an asset.
func (p *coinPool) takeAsset(id AssetID, missing uint64) (UTxO, error) {
	return p.take(id.String(), missing, func(u *UTxO) uint64 { return u.Value.Of(id) })
}

// takeCoin takes one output towards missing lovelace.
func (p *coinPool) takeCoin(missing Lovelace) (UTxO, error) {
	return p.take("lovelace", uint64(missing), func(u *UTxO) uint64 { return uint64(u.Value.Coin) })
}

// take takes the smallest output that covers what is missing on its own, with the fewest assets, or else the largest.
func (p *coinPool) take(what string, missing uint64, amount func(*UTxO) uint64) (UTxO, error) {
	best, most := -1, uint64(0)
	for i := range *p {
		u := &(*p)[i]
		if x := amount(u); x > 0 && (best < 0 || better(u, x, &(*p)[best], most, missing)) {
			best, most = i, x
		}
	}
	if best < 0 {
		return UTxO{}, fmt.Errorf("%d of %s missing: %w", missing, what, ErrInsufficient)
	}
	u, last := (*p)[best], len(*p)-1
	(*p)[best] = (*p)[last]
	*p = (*p)[:last]
	return u, nil
}

// better says whether a, with x of what is missing, is to be taken rather than b with y.
func better(a *UTxO, x uint64, b *UTxO, y, missing uint64) bool {
	if (x >= missing) != (y >= missing) {
		return x >= missing
	}
	if x >= missing {
		return cmp.Or(cmp.Compare(len(a.Value.Assets), len(b.Value.Assets)), cmp.Compare(x, y), a.Ref.Compare(b.Ref)) < 0
	}
	return cmp.Or(cmp.Compare(y, x), a.Ref.Compare(b.Ref)) < 0
}

// coverAssets takes coins until they cover every asset that is paid, and gives back those that the later ones made
// needless.
func (b *balancer) coverAssets() error {
	in, out, err := b.totals()
	if err != nil {
		return err
	}
	assets := out.IDs()
	for _, id := range assets {
		for in.Of(id) < out.Of(id) {
			u, err := b.pool.takeAsset(id, out.Of(id)-in.Of(id))
			if err != nil {
				return err
			}
			if in, err = in.Add(u.Value); err != nil {
				return err
			}
			if err := b.pay(u); err != nil {
				return err
			}
		}
	}
	b.paying = slices.DeleteFunc(b.paying, func(u UTxO) bool {
		if !needless(u, assets, in, out) {
			return false
		}
		for id, q := range u.Value.Assets {
			in.Assets[id] -= q
		}
		b.pool = append(b.pool, u)
		return true
	})
	return nil
}

// needless says whether what goes out of assets is covered without a coin that comes in.
func needless(u UTxO, assets []AssetID, in, out Value) bool {
	return !slices.ContainsFunc(assets, func(id AssetID) bool { return in.Of(id)-u.Value.Of(id) < out.Of(id) })
}

// dropNeedless gives back a coin that the others do without, the largest first, and says whether there was one. body is what
// they make together.
func (b *balancer) dropNeedless(body *TxBody) bool {
	if len(b.paying) < 2 {
		return false
	}
	spare := body.Fee // a smaller transaction costs less, but not nothing
	for _, o := range body.Outputs[len(b.outputs):] {
		spare += o.Value.Coin
	}
	order := slices.SortedFunc(slices.Values(b.paying), func(x, y UTxO) int {
		return cmp.Or(cmp.Compare(y.Value.Coin, x.Value.Coin), x.Ref.Compare(y.Ref))
	})
	in, out, err := b.totals()
	if err != nil {
		return false
	}
	assets := out.IDs()
	all := b.paying
	for _, u := range order {
		if u.Value.Coin > spare || !needless(u, assets, in, out) {
			continue
		}
		b.paying = slices.DeleteFunc(slices.Clone(all), func(x UTxO) bool { return x.Ref == u.Ref })
		if _, _, err := b.assemble(); err == nil {
			b.pool = append(b.pool, u)
			return true
		}
	}
	b.paying = all
	return false
}

// leastInput is the fewest bytes that an input takes in a transaction: a pair of a hash and an index.
const leastInput = 1 + 34 + 1

// pay spends a coin. ErrFragmented: no transaction takes so many.
func (b *balancer) pay(u UTxO) error {
	b.paying = append(b.paying, u)
	if size := len(b.paying) * leastInput; size > int(b.p.MaxTxSize) {
		return b.fragmented(size)
	}
	return nil
}

// checkSize finds the cause of a transaction that is too large: mostly its coins, or else what it does.
func (b *balancer) checkSize(tx *Tx) error {
	size := tx.signedSize(len(tx.needed))
	if size <= int(b.p.MaxTxSize) || 2*leastInput*len(b.paying) < size {
		return nil // what it does is checked with all other rules
	}
	return b.fragmented(size)
}

func (b *balancer) fragmented(size int) error {
	err := refuse("MaxTxSizeUTxO", "with %d outputs that pay it has %d bytes or more, at most %d", len(b.paying), size, b.p.MaxTxSize)
	return fmt.Errorf("%w: %w", ErrFragmented, err)
}

// chooseCollateral finds collateral for a fee among coins: one output if one does, ADA alone if it can, else the
// largest. What is not needed goes back to an address. The total is exact, or, where the rest is too small for an
// output, all of it.
func chooseCollateral(coins []UTxO, fee Lovelace, back Address, p Params) (in []OutRef, ret *Output, total Lovelace, err error) {
	pool := newCoinPool(coins, nil)
	slices.SortFunc(pool, func(a, b UTxO) int {
		return cmp.Or(cmp.Compare(len(a.Value.Assets), len(b.Value.Assets)), cmp.Compare(a.Value.Coin, b.Value.Coin), a.Ref.Compare(b.Ref))
	})
	least := p.Collateral(fee)
	for i := range pool {
		if ret, total, ok := coversCollateral(pool[i:i+1], least, back, p); ok {
			return []OutRef{pool[i].Ref}, ret, total, nil
		}
	}
	slices.SortFunc(pool, func(a, b UTxO) int { return cmp.Or(cmp.Compare(b.Value.Coin, a.Value.Coin), a.Ref.Compare(b.Ref)) })
	for n := 2; n <= min(len(pool), int(p.MaxCollateralInputs)); n++ {
		if ret, total, ok := coversCollateral(pool[:n], least, back, p); ok {
			for _, u := range pool[:n] {
				in = append(in, u.Ref)
			}
			return in, ret, total, nil
		}
	}
	return nil, nil, 0, fmt.Errorf("%d lovelace are wanted for a fee of %d: %w", least, fee, ErrCollateral)
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
