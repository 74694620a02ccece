package wallet

import (
	"context"
	"errors"

	"github.com/tallycompute/tally/chain"
)

// Take builds a transaction from those of a wallet's outputs that nobody has reserved, and reserves all of them that it
// spends, for a purpose until a time. Should somebody else have reserved one in between, it builds anew, from what is
// left then: parallel jobs, in one process or several, never get the same output, even if they build the same
// transaction for the same purpose. Errors of build end it.
func (r *Reservations) Take(
	ctx context.Context, all []chain.UTxO, purpose func(chain.TxID) string, until chain.Time,
	build func(coins, collateral []chain.UTxO) (*chain.Tx, error),
) (*chain.Tx, error) {
	mine := refsOf(all)
	for {
		coins, collateral, err := r.Coins(ctx, all)
		if err != nil {
			return nil, err
		}
		tx, err := build(coins, collateral)
		if err != nil {
			return nil, err
		}
		body, err := tx.Inspect()
		if err != nil {
			return nil, err
		}
		free := refsOf(append(collateral, coins...))
		var own []chain.OutRef
		again := true
		for _, ref := range body.Inputs {
			if mine[ref] {
				own = append(own, ref)
				again = again && free[ref] // else it is build that insists on an output it was not given
			}
		}
		err = r.reserve(ctx, own, free, purpose(body.ID), until)
		if errors.Is(err, ErrReserved) && again {
			continue
		}
		if err != nil {
			return nil, err
		}
		return tx, nil
	}
}

func refsOf(us []chain.UTxO) map[chain.OutRef]bool {
	refs := make(map[chain.OutRef]bool, len(us))
	for _, u := range us {
		refs[u.Ref] = true
	}
	return refs
}
