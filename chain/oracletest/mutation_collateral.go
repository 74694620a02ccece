package main

import (
	"slices"

	"github.com/tallycompute/tally/chain"
)

// collaterals are what can be wrong with the collateral of a transaction with scripts.
func collaterals() []mutation {
	return []mutation{
		{"no collateral", "NoCollateralInputs", "NoCollateralInputs", "Fee or collateral validation failed", false, scripts(func(r *raw, _ *subject) bool {
			delete(r.body, bodyCollateral)
			delete(r.body, bodyCollateralReturn)
			delete(r.body, bodyTotalCollateral)
			return true
		})},
		{"collateral one short", "InsufficientCollateral", "InsufficientCollateral", "Fee or collateral validation failed", false, scripts(func(r *raw, s *subject) bool {
			return r.body[bodyCollateralReturn] != nil && s.collateral(r, dec[uint64](r.body[bodyTotalCollateral])-1)
		})},
		{"collateral return below the minimum", "BabbageOutputTooSmallUTxO", "BabbageOutputTooSmallUTxO", "outputs are too small", false, scripts(func(r *raw, s *subject) bool {
			back := r.body[bodyCollateralReturn]
			if back == nil {
				return false
			}
			return s.collateral(r, dec[uint64](r.body[bodyTotalCollateral])+dec[output](back).coin()-700_000)
		})},
		{"another total than the collateral's", "IncorrectTotalCollateralField", "IncorrectTotalCollateralField", "Fee or collateral validation failed", false, scripts(func(r *raw, _ *subject) bool {
			r.body[bodyTotalCollateral] = enc(dec[uint64](r.body[bodyTotalCollateral]) + 1)
			return true
		})},
		{"tokens put up as collateral", "CollateralContainsNonADA", "CollateralContainsNonADA", "Fee or collateral validation failed", false, scripts(padded(func(r *raw, s *subject) bool {
			u, ok := s.mine(func(u chain.UTxO) bool {
				return len(u.Value.Assets) > 0 && u.Value.Coin >= 5_000_000 && u.Script == nil
			})
			delete(r.body, bodyCollateralReturn)
			delete(r.body, bodyTotalCollateral)
			r.setRefs(bodyCollateral, []chain.OutRef{u.Ref})
			return ok
		}))},
		{"a script's output as collateral", "ScriptsNotPaidUTxO", "must be key-locked", "Fee or collateral validation failed", false, scripts(padded(func(r *raw, s *subject) bool {
			u, ok := s.take(func(u chain.UTxO) bool {
				_, script := u.Address.Script()
				return script && len(u.Value.Assets) == 0 && u.Value.Coin >= 5_000_000
			})
			delete(r.body, bodyCollateralReturn)
			delete(r.body, bodyTotalCollateral)
			r.setRefs(bodyCollateral, []chain.OutRef{u.Ref})
			return ok
		}))},
		{"four collateral inputs", "TooManyCollateralInputs", "TooManyCollateralInputs", "Too many collateral inputs", false, padded(func(r *raw, s *subject) bool {
			refs := r.refs(bodyCollateral)
			for len(refs) < 4 {
				u, ok := s.mine(func(u chain.UTxO) bool {
					return len(u.Value.Assets) == 0 && u.Script == nil && !slices.Contains(refs, u.Ref)
				})
				if !ok {
					return false
				}
				refs = append(refs, u.Ref)
			}
			delete(r.body, bodyTotalCollateral)
			r.setRefs(bodyCollateral, refs)
			return true
		})},
		{"unknown collateral", "BadInputsUTxO", "collateral", "Missing inputs, collateral inputs or reference inputs", false, padded(func(r *raw, _ *subject) bool {
			refs := append(r.refs(bodyCollateral), chain.OutRef{Tx: chain.TxID{0xff}, Index: 7})
			r.setRefs(bodyCollateral, refs[max(0, len(refs)-3):])
			return true
		})},
	}
}

// mine finds an output of one of the signers that is not part of the transaction.
func (s *subject) mine(fits func(chain.UTxO) bool) (chain.UTxO, bool) {
	return s.take(func(u chain.UTxO) bool {
		k, ok := u.Address.Key()
		return ok && slices.Contains(s.tx.Needed(), k) && fits(u)
	})
}
