package chain

import "slices"

// checkScripts holds redeemers, scripts and the hashes in the body against each other.
func checkScripts(tx *Tx, b *TxBody, utxos map[OutRef]UTxO, p Params, clk Clock) error {
	needed := map[RedeemerKey]ScriptHash{}
	for i, ref := range b.Inputs {
		if h, ok := utxos[ref].Address.Script(); ok {
			needed[RedeemerKey{PurposeSpend, uint32(i)}] = h
		}
	}
	for i, h := range mintPolicies(b.Mint) {
		needed[RedeemerKey{PurposeMint, uint32(i)}] = h
	}
	if err := checkRedeemers(tx, needed, p); err != nil {
		return err
	}
	if err := checkAttached(tx, b, utxos, needed); err != nil {
		return err
	}
	if !equalHash(b.ScriptDataHash, scriptDataHash(tx.redeemers, p)) {
		return refuse("PPViewHashesDontMatch", "the body names another script data hash")
	}
	if len(tx.redeemers) > 0 {
		return translatable(b.Until, clk)
	}
	return nil
}

func checkRedeemers(tx *Tx, needed map[RedeemerKey]ScriptHash, p Params) error {
	var sum ExUnits
	have := map[RedeemerKey]bool{}
	for _, r := range tx.redeemers {
		if _, ok := needed[r.RedeemerKey]; !ok {
			return refuse("ExtraRedeemers", "%s", r.RedeemerKey)
		}
		have[r.RedeemerKey] = true
		if r.Units.Mem > p.MaxTxUnits.Mem || r.Units.Steps > p.MaxTxUnits.Steps {
			return refuse("ExUnitsTooBigUTxO", "%s", r.RedeemerKey)
		}
		sum.Mem += r.Units.Mem
		sum.Steps += r.Units.Steps
		if sum.Mem > p.MaxTxUnits.Mem || sum.Steps > p.MaxTxUnits.Steps {
			return refuse("ExUnitsTooBigUTxO", "%d mem, %d steps; at most %d, %d", sum.Mem, sum.Steps, p.MaxTxUnits.Mem, p.MaxTxUnits.Steps)
		}
	}
	for k := range needed {
		if !have[k] {
			return refuse("MissingRedeemers", "%s", k)
		}
	}
	return nil
}

// checkWellFormed holds the scripts that are attached or published against the format of Plutus V3.
func checkWellFormed(tx *Tx, b *TxBody) error {
	for _, s := range tx.scripts {
		if _, err := decodeScript(s); err != nil {
			return refuse("MalformedScriptWitnesses", "%s: %v", HashScript(s), err)
		}
	}
	for i, o := range allOutputs(b) {
		if o.Script == nil {
			continue
		}
		if _, err := decodeScript(o.Script); err != nil {
			return refuse("MalformedReferenceScripts", "output %d: %v", i, err)
		}
	}
	return nil
}

func checkAttached(tx *Tx, b *TxBody, utxos map[OutRef]UTxO, needed map[RedeemerKey]ScriptHash) error {
	referenced := map[ScriptHash]bool{}
	for _, ref := range slices.Concat(b.Inputs, b.References) {
		if s := utxos[ref].Script; s != nil {
			referenced[HashScript(s)] = true
		}
	}
	must := map[ScriptHash]bool{}
	for _, h := range needed {
		if !referenced[h] {
			must[h] = true
		}
	}
	for _, s := range tx.scripts {
		h := HashScript(s)
		if !must[h] {
			return refuse("ExtraneousScriptWitnessesUTXOW", "%s", h)
		}
		delete(must, h)
	}
	for h := range must {
		return refuse("MissingScriptWitnessesUTXOW", "%s", h)
	}
	return nil
}

func equalHash(a, b *Hash256) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// checkCollateral holds the collateral against the fee of a transaction with scripts.
func checkCollateral(tx *Tx, b *TxBody, utxos map[OutRef]UTxO, p Params) error {
	if len(b.Collateral) > int(p.MaxCollateralInputs) {
		return refuse("TooManyCollateralInputs", "%d, at most %d", len(b.Collateral), p.MaxCollateralInputs)
	}
	if len(tx.redeemers) == 0 {
		return nil
	}
	if len(b.Collateral) == 0 {
		return refuse("NoCollateralInputs", "scripts need collateral")
	}
	var sum Value
	for _, ref := range b.Collateral {
		u := utxos[ref]
		if _, ok := u.Address.Key(); !ok {
			return refuse("ScriptsNotPaidUTxO", "collateral %s is not a key's", ref)
		}
		var err error
		if sum, err = sum.Add(u.Value); err != nil {
			return err
		}
	}
	if b.CollateralReturn != nil {
		rest, err := sum.Sub(b.CollateralReturn.Value)
		if err != nil {
			return refuse("InsufficientCollateral", "the return is more than the collateral: %v", err)
		}
		sum = rest
	}
	if len(sum.Assets) > 0 {
		return refuse("CollateralContainsNonADA", "%v", sum.IDs())
	}
	if least := p.Collateral(b.Fee); sum.Coin < least {
		return refuse("InsufficientCollateral", "%d lovelace, at least %d", sum.Coin, least)
	}
	if b.TotalCollateral != nil && *b.TotalCollateral != sum.Coin {
		return refuse("IncorrectTotalCollateralField", "%d, is %d", *b.TotalCollateral, sum.Coin)
	}
	return nil
}
