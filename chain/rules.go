package chain

// RuleError is a transaction the ledger would refuse: the rule's name in cardano-ledger, and what is wrong. It wraps
// ErrLedgerRule.
type RuleError struct {
	Rule   string
	Detail string
}

func (e *RuleError) Error() string { return e.Rule + ": " + e.Detail }

// Unwrap gives ErrLedgerRule.
func (e *RuleError) Unwrap() error { return ErrLedgerRule }

// translatable refuses an upper bound that the ledger could not turn into a time for scripts.
func translatable(until Slot, clk Clock) error {
	if clk.Horizon != 0 && until > clk.Horizon {
		return &RuleError{"OutsideForecast", "the upper validity bound is past what the node can turn into a time"}
	}
	return nil
}
