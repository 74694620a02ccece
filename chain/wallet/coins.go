package wallet

import (
	"cmp"
	"context"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// CollateralLovelace is what an output must hold to be kept as collateral: enough for the dearest transaction a
// network with mainnet's parameters takes (a fee of about 2.5 ADA, at 150 %).
const CollateralLovelace chain.Lovelace = 5_000_000

// Coins splits a wallet's outputs into those that may pay and the one kept as collateral: what is reserved is in
// neither. Collateral is the smallest output of ADA alone that is large enough; nil if there is none.
func (r *Reservations) Coins(ctx context.Context, all []chain.UTxO) (coins, collateral []chain.UTxO, err error) {
	reserved, err := r.All(ctx)
	if err != nil {
		return nil, nil, err
	}
	taken := map[chain.OutRef]bool{}
	for _, x := range reserved {
		taken[x.Ref] = true
	}
	for _, u := range all {
		if !taken[u.Ref] {
			coins = append(coins, u)
		}
	}
	slices.SortFunc(coins, func(a, b chain.UTxO) int {
		return cmp.Or(cmp.Compare(a.Value.Coin, b.Value.Coin), a.Ref.Compare(b.Ref))
	})
	for i, u := range coins {
		if isCollateral(u) {
			return slices.Delete(slices.Clone(coins), i, i+1), coins[i : i+1 : i+1], nil
		}
	}
	return coins, nil, nil
}

func isCollateral(u chain.UTxO) bool {
	_, key := u.Address.Key()
	return key && len(u.Value.Assets) == 0 && u.Script == nil && u.Value.Coin >= CollateralLovelace
}

// spare is what an output must hold beside what is taken of it for collateral: its change, and the fee.
const spare chain.Lovelace = 2_000_000

// CollateralDraft is a payment of the wallet to itself, out of its largest output, after which one output can be kept
// as collateral while others pay; false if free has such outputs already, or none large enough to make one of.
func (w *Wallet) CollateralDraft(free []chain.UTxO, from, until chain.Slot) (chain.Draft, bool) {
	if len(free) > 1 && slices.ContainsFunc(free, isCollateral) {
		return chain.Draft{}, false
	}
	own := slices.DeleteFunc(slices.Clone(free), func(u chain.UTxO) bool {
		return u.Address != w.address || u.Datum != nil || u.Script != nil || u.Value.Coin < CollateralLovelace+spare
	})
	if len(own) == 0 {
		return chain.Draft{}, false
	}
	largest := slices.MaxFunc(own, func(a, b chain.UTxO) int {
		return cmp.Or(cmp.Compare(a.Value.Coin, b.Value.Coin), a.Ref.Compare(b.Ref))
	})
	return chain.Draft{
		Inputs:  []chain.Input{{UTxO: largest}},
		Outputs: []chain.Output{{Address: w.address, Value: chain.Coins(CollateralLovelace)}},
		From:    from, Until: until,
	}, true
}

// What ConsolidationDraft joins.
const (
	consolidateFrom = 6  // outputs at least: fewer are not worth a fee
	consolidateMost = 60 // outputs at most: they fit a transaction
)

// ConsolidationDraft is a payment of the wallet to itself that joins small outputs of an asset into one, or, with the
// zero AssetID, of ADA alone; false if free holds too few of them. Every settlement pays in an output of its own, with little more lovelace than the ledger's
// minimum: too little to pay for much. Outputs with other assets stay apart, since a stranger can send so many of
// those that no output could hold them together.
func (w *Wallet) ConsolidationDraft(free []chain.UTxO, asset chain.AssetID, from, until chain.Slot) (chain.Draft, bool) {
	d := chain.Draft{From: from, Until: until}
	for _, u := range free {
		alike := len(u.Value.Assets) == 1 && u.Value.Of(asset) > 0 || len(u.Value.Assets) == 0 && asset == chain.AssetID{}
		if alike && u.Value.Coin < CollateralLovelace && u.Address == w.address && u.Datum == nil && u.Script == nil && len(d.Inputs) < consolidateMost {
			d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
		}
	}
	return d, len(d.Inputs) >= consolidateFrom
}
