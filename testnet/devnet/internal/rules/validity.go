package rules

import "github.com/blinklabs-io/gouroboros/cbor"

// validityRange is UTXO's OutsideValidityIntervalUTxO at the upper end, which dingo forgets: a transaction is valid in slots
// below its upper bound. With a Plutus script the bound must also translate to a time (OutsideForecast).
func (c *check) validityRange() error {
	b, ok := c.body[bodyTTL]
	if !ok {
		return nil
	}
	var upper uint64
	if _, err := cbor.Decode(b, &upper); err != nil {
		return malformed("upper validity bound: %w", err)
	}
	if c.slot >= upper {
		return ledger("OutsideValidityIntervalUTxO", "slot %d is not before the upper bound %d", c.slot, upper)
	}
	if len(c.redeemers) > 0 && upper > c.horizon {
		return ledger("OutsideForecast", "the upper bound %d is past the horizon %d at slot %d", upper, c.horizon, c.slot)
	}
	return nil
}
