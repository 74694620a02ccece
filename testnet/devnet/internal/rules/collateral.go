package rules

import (
	"math/big"

	"github.com/blinklabs-io/gouroboros/ledger/conway"
)

// collateral is UTXO's NoCollateralInputs, InsufficientCollateral over the balance net of the return, which dingo ignores, and
// BabbageOutputTooSmallUTxO for the return itself.
func (c *check) collateral() error {
	if len(c.redeemers) == 0 {
		return nil
	}
	if len(c.tx.Collateral()) == 0 {
		return ledger("NoCollateralInputs", "a transaction with redeemers needs collateral")
	}
	balance := new(big.Int)
	for _, in := range c.tx.Collateral() {
		u, err := c.state.UtxoById(in)
		if err != nil || u.Output == nil {
			return ledger("BadInputsUTxO", "collateral %s is not in the ledger", in)
		}
		balance.Add(balance, u.Output.Amount())
	}
	if r := c.tx.CollateralReturn(); r != nil {
		least, err := conway.MinCoinTxOut(r, c.params)
		if err != nil {
			return malformed("collateral return: %w", err)
		}
		if r.Amount().Cmp(new(big.Int).SetUint64(least)) < 0 {
			return ledger("BabbageOutputTooSmallUTxO", "the collateral return of %v lovelace is below %d", r.Amount(), least)
		}
		balance.Sub(balance, r.Amount())
	}
	percent := new(big.Int).SetUint64(uint64(c.params.CollateralPercentage))
	need := percent.Mul(percent, c.tx.Fee()) // 100 times the lovelace needed: no rounding
	if new(big.Int).Mul(balance, big.NewInt(100)).Cmp(need) < 0 {
		return ledger("InsufficientCollateral", "a balance of %v lovelace is below %d%% of the fee %v", balance, c.params.CollateralPercentage, c.tx.Fee())
	}
	return nil
}
