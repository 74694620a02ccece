package chain

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
)

// unitsMargin is what a script may use above what it took in local evaluation, in hundredths. The evaluation is of
// the final body and thus exact; the margin covers a node whose evaluator counts differently, because running out of
// units costs the collateral. Two hundredths cost a few hundred lovelace.
const unitsMargin = 2

// redeemers gives the calls their indexes among the body's inputs and policies.
func (b *balancer) redeemers(body *TxBody) []Redeemer {
	policies := mintPolicies(body.Mint)
	var out []Redeemer
	for _, c := range b.calls {
		var i int
		if c.purpose == PurposeSpend {
			i, _ = slices.BinarySearchFunc(body.Inputs, c.ref, OutRef.Compare)
		} else {
			i, _ = slices.BinarySearchFunc(policies, c.policy, compareScripts)
		}
		out = append(out, Redeemer{RedeemerKey{c.purpose, uint32(i)}, c.data, c.units})
	}
	return out
}

func compareScripts(a, b ScriptHash) int { return bytes.Compare(a[:], b[:]) }

// mintPolicies lists the policies of a mint as redeemers count them.
func mintPolicies(mint map[AssetID]int64) []ScriptHash {
	var out []ScriptHash
	for id := range mint {
		out = append(out, id.Policy)
	}
	slices.SortFunc(out, compareScripts)
	return slices.Compact(out)
}

// evaluate runs the scripts. If one takes more than it may, all get what they take and a margin, and the answer is
// false: the transaction must be made anew.
func (b *balancer) evaluate(tx *Tx) (settled bool, err error) {
	used, err := Evaluate(tx, tx.resolved, b.p, b.clk)
	if err != nil {
		return false, err
	}
	settled = true
	var sum ExUnits
	for _, r := range tx.redeemers {
		u := used[r.RedeemerKey]
		settled = settled && u.Mem <= r.Units.Mem && u.Steps <= r.Units.Steps
		sum.Mem += u.Mem
		sum.Steps += u.Steps
	}
	if sum.Mem > b.p.MaxTxUnits.Mem || sum.Steps > b.p.MaxTxUnits.Steps {
		return false, &RuleError{"ExUnitsTooBigUTxO", fmt.Sprintf("the scripts take %d mem, %d steps; at most %d, %d", sum.Mem, sum.Steps, b.p.MaxTxUnits.Mem, b.p.MaxTxUnits.Steps)}
	}
	if settled {
		return true, nil
	}
	for i, r := range tx.redeemers { // in the order of the calls
		u := used[r.RedeemerKey]
		// What a script takes may depend on the fee, which depends on what it may take: never going back ends that.
		b.calls[i].units = ExUnits{
			max(r.Units.Mem, u.Mem+margin(u.Mem, sum.Mem, b.p.MaxTxUnits.Mem)),
			max(r.Units.Steps, u.Steps+margin(u.Steps, sum.Steps, b.p.MaxTxUnits.Steps)),
		}
	}
	return false, nil
}

// margin is used's margin, or its share of what the limit leaves of the sum.
func margin(used, sum, limit uint64) uint64 {
	if sum == 0 {
		return 0
	}
	share := new(big.Int).SetUint64(used)
	share.Mul(share, new(big.Int).SetUint64(limit-sum))
	share.Div(share, new(big.Int).SetUint64(sum))
	return min((used*unitsMargin+99)/100, share.Uint64())
}
