package rules

import "github.com/blinklabs-io/dingo/ledger/eras"

// budgets runs every script and compares what it used with what its redeemer declares: dingo runs scripts under the
// transaction's limit, cardano-node under the redeemer's own budget.
func (c *check) budgets() error {
	if len(c.redeemers) == 0 {
		return nil
	}
	_, _, used, err := eras.EvaluateTxConway(c.tx, c.state, c.params)
	if err != nil {
		return nil // the stock rules, which run next, say why the script failed
	}
	for k, u := range used {
		d := c.redeemers[k]
		if u.Steps > d.Steps || u.Memory > d.Memory {
			return ledger("ValidationTagMismatch", "redeemer %d/%d overspent its budget: used %d memory and %d steps, declared %d and %d",
				k.Tag, k.Index, u.Memory, u.Steps, d.Memory, d.Steps)
		}
	}
	return nil
}
