package rules

import lcommon "github.com/blinklabs-io/gouroboros/ledger/common"

// scriptsAndDatums is UTXOW's ExtraneousScriptWitnessesUTXOW for scripts that are both attached and referenced, and
// MissingRequiredDatums: dingo takes an output locked under a datum's hash without the datum.
func (c *check) scriptsAndDatums() error {
	referenced := map[lcommon.ScriptHash]bool{}
	wanted := map[lcommon.Blake2b256]bool{} // hashes of the datums inputs need
	locks := map[lcommon.ScriptHash][]lcommon.Blake2b256{}
	for _, in := range c.tx.ReferenceInputs() {
		if u, err := c.state.UtxoById(in); err == nil && u.Output != nil && u.Output.ScriptRef() != nil {
			referenced[u.Output.ScriptRef().Hash()] = true
		} // an unknown input is refused by the stock rules
	}
	for _, in := range c.tx.Inputs() {
		u, err := c.state.UtxoById(in)
		if err != nil || u.Output == nil {
			continue
		}
		if s := u.Output.ScriptRef(); s != nil {
			referenced[s.Hash()] = true
		}
		a := u.Output.Address()
		if h := u.Output.DatumHash(); h != nil && u.Output.Datum() == nil && a.Type()&lcommon.AddressTypeScriptBit != 0 {
			lock := lcommon.ScriptHash(a.PaymentKeyHash())
			locks[lock] = append(locks[lock], *h)
		}
	}
	w := c.tx.Witnesses()
	for _, s := range w.NativeScripts() {
		delete(locks, s.Hash()) // a native script needs no datum
	}
	for _, hs := range locks {
		for _, h := range hs {
			wanted[h] = true
		}
	}
	for _, d := range w.PlutusData() {
		delete(wanted, d.Hash())
	}
	for h := range wanted {
		return ledger("MissingRequiredDatums", "%x", h[:])
	}
	for _, h := range attached(w) {
		if referenced[h] {
			return ledger("ExtraneousScriptWitnessesUTXOW", "%x is also a reference script", h[:])
		}
	}
	return nil
}

// attached lists the hashes of the scripts in a witness set.
func attached(w lcommon.TransactionWitnessSet) []lcommon.ScriptHash {
	var hs []lcommon.ScriptHash
	for _, s := range w.NativeScripts() {
		hs = append(hs, s.Hash())
	}
	for _, s := range w.PlutusV1Scripts() {
		hs = append(hs, s.Hash())
	}
	for _, s := range w.PlutusV2Scripts() {
		hs = append(hs, s.Hash())
	}
	for _, s := range w.PlutusV3Scripts() {
		hs = append(hs, s.Hash())
	}
	return hs
}
