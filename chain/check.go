package chain

import (
	"fmt"
	"slices"
)

// Check holds a transaction against the Conway ledger's rules before it is submitted in a slot: what passes here
// passes on a node. resolved must hold every input, collateral and reference. A refusal is a RuleError, a script's a
// ScriptError, and a transaction with parts that are not checked here ErrMalformed.
func Check(tx *Tx, resolved []UTxO, p Params, clk Clock, net Network, slot Slot) error {
	if err := tx.canonical(); err != nil {
		return err
	}
	body, err := tx.Inspect()
	if err != nil {
		return err
	}
	if slot < body.From || body.Until != 0 && slot >= body.Until {
		return refuse("OutsideValidityIntervalUTxO", "slot %d is not in [%d, %d)", slot, body.From, body.Until)
	}
	utxos := indexUTxOs(resolved)
	if err := checkBody(tx, &body, utxos, p, clk, net); err != nil {
		return err
	}
	for _, k := range neededKeys(&body, utxos) {
		if _, ok := tx.witnesses[k]; !ok {
			return refuse("MissingVKeyWitnessesUTXOW", "%s", k)
		}
	}
	used, err := Evaluate(tx, resolved, p, clk)
	if err != nil {
		return err
	}
	for _, r := range tx.redeemers {
		if u := used[r.RedeemerKey]; u.Mem > r.Units.Mem || u.Steps > r.Units.Steps {
			return refuse("ValidationTagMismatch", "%s takes %d mem, %d steps and may take %d, %d", r.RedeemerKey, u.Mem, u.Steps, r.Units.Mem, r.Units.Steps)
		}
	}
	return nil
}

func refuse(rule, format string, args ...any) error {
	return &RuleError{rule, fmt.Sprintf(format, args...)}
}

// checkBody is every rule that needs neither slot, signatures nor scripts run.
func checkBody(tx *Tx, b *TxBody, utxos map[OutRef]UTxO, p Params, clk Clock, net Network) error {
	for _, f := range []func() error{
		func() error { return checkUnused(b) },
		func() error { return checkInputs(b, utxos) },
		func() error { return checkNetwork(b, net) },
		func() error { return checkOutputs(b, p) },
		func() error { return checkValue(b, utxos) },
		func() error { return checkSizes(tx, b, utxos, p) },
		func() error { return checkMetadata(tx.aux, b.AuxDataHash) },
		func() error { return checkWellFormed(tx, b) },
		func() error { return checkScripts(tx, b, utxos, p, clk) },
		func() error { return checkCollateral(tx, b, utxos, p) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func checkUnused(b *TxBody) error {
	for _, x := range []struct {
		has  bool
		what string
	}{
		{b.HasCertificates, "certificates"},
		{b.HasWithdrawals, "withdrawals"},
		{b.HasVotes, "votes"},
		{b.HasProposals, "proposals"},
		{b.HasTreasury, "a treasury value"},
		{b.HasDonation, "a donation"},
	} {
		if x.has {
			return fmt.Errorf("transaction %s has %s, which are not checked here: %w", b.ID, x.what, ErrMalformed)
		}
	}
	return nil
}

func checkInputs(b *TxBody, utxos map[OutRef]UTxO) error {
	if len(b.Inputs) == 0 {
		return refuse("InputSetEmptyUTxO", "no inputs")
	}
	for _, ref := range slices.Concat(b.Inputs, b.Collateral, b.References) {
		if _, ok := utxos[ref]; !ok {
			return refuse("BadInputsUTxO", "%s", ref)
		}
	}
	for _, ref := range b.References {
		if slices.Contains(b.Inputs, ref) {
			return refuse("BabbageNonDisjointRefInputs", "%s", ref)
		}
	}
	return nil
}

func checkNetwork(b *TxBody, net Network) error {
	if b.NetworkID != nil && *b.NetworkID != net.ID {
		return refuse("WrongNetworkInTxBody", "%d, want %d", *b.NetworkID, net.ID)
	}
	for _, o := range allOutputs(b) {
		if o.Address.NetworkID() != net.ID {
			return refuse("WrongNetwork", "%s", o.Address)
		}
	}
	return nil
}

// allOutputs lists the outputs and the collateral return.
func allOutputs(b *TxBody) []Output {
	var out []Output
	for _, o := range b.Outputs {
		out = append(out, o.Output)
	}
	if b.CollateralReturn != nil {
		out = append(out, *b.CollateralReturn)
	}
	return out
}

func checkOutputs(b *TxBody, p Params) error {
	for i, o := range allOutputs(b) {
		if least := p.MinCoin(o); o.Value.Coin < least {
			return refuse("BabbageOutputTooSmallUTxO", "output %d has %d lovelace, at least %d", i, o.Value.Coin, least)
		}
		if n := len(o.Value.Encode()); n > int(p.MaxValueSize) {
			return refuse("OutputTooBigUTxO", "output %d has a value of %d bytes, at most %d", i, n, p.MaxValueSize)
		}
	}
	return nil
}

// checkValue holds what comes in against what goes out.
func checkValue(b *TxBody, utxos map[OutRef]UTxO) error {
	in, out := Value{}, Coins(b.Fee)
	var err error
	for _, ref := range b.Inputs {
		if in, err = in.Add(utxos[ref].Value); err != nil {
			return err
		}
	}
	for _, o := range b.Outputs {
		if out, err = out.Add(o.Value); err != nil {
			return err
		}
	}
	if in, out, err = addMint(in, out, b.Mint); err != nil {
		return err
	}
	if !in.Equal(out) {
		return refuse("ValueNotConservedUTxO", "in %v, out %v", in, out)
	}
	return nil
}

func checkSizes(tx *Tx, b *TxBody, utxos map[OutRef]UTxO, p Params) error {
	size := tx.signedSize(max(len(tx.witnesses), len(neededKeys(b, utxos))))
	if size > int(p.MaxTxSize) {
		return refuse("MaxTxSizeUTxO", "%d bytes, at most %d", size, p.MaxTxSize)
	}
	refs := refScriptBytes(b, utxos)
	if refs > maxRefScripts {
		return refuse("ConwayTxRefScriptsSizeTooBig", "%d bytes, at most %d", refs, maxRefScripts)
	}
	if least := p.MinFee(size, tx.Units(), refs); b.Fee < least {
		return refuse("FeeTooSmallUTxO", "%d lovelace, at least %d", b.Fee, least)
	}
	return nil
}

// refScriptBytes counts the bytes of the scripts on inputs and reference inputs, as often as they occur.
func refScriptBytes(b *TxBody, utxos map[OutRef]UTxO) (n int) {
	for _, ref := range slices.Concat(b.Inputs, b.References) {
		n += len(utxos[ref].Script)
	}
	return n
}
