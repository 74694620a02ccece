package rules

import (
	"math/big"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

const (
	rewardAddressSize = 29   // bytes: header and credential
	rewardAddressBits = 0xe0 // of the header: 0b111x
	drepAbstain       = 2    // from here on, a delegation names no DRep credential
)

// withdrawals checks each against the account's balance: the ledger lets exactly the balance be withdrawn, from
// version 10 on only by keys that have delegated their vote. It returns the credentials whose rewards are taken.
func (c *check) withdrawals() (drained map[credential]bool, err error) {
	drained = map[credential]bool{}
	for a, amount := range c.tx.Withdrawals() {
		of, err := c.rewardCredential(a)
		if err != nil {
			return nil, err
		}
		k := credentialOf(of)
		if drained[k] {
			return nil, malformed("two withdrawals from %s", k)
		}
		if !k.script && !c.signers[k.hash] {
			return nil, ledger("MissingVKeyWitnessesUTXOW", "withdrawal from %s", k)
		}
		acc, err := c.state.account(of)
		if err != nil {
			return nil, err
		}
		if acc == nil {
			return nil, ledger(c.renamed("WithdrawalsNotInRewardsCERTS", "ConwayWithdrawalsMissingAccounts"), "%s is not registered", k)
		}
		if !k.script && acc.Drep == nil && acc.DrepType < drepAbstain && c.params.ProtocolVersion.Major >= 10 {
			return nil, ledger("ConwayWdrlNotDelegatedToDRep", "%s", k)
		}
		balance := new(big.Int).SetUint64(uint64(acc.Reward))
		if amount == nil || amount.Cmp(balance) != 0 {
			return nil, ledger(c.renamed("WithdrawalsNotInRewardsCERTS", "ConwayIncompleteWithdrawals"),
				"%s: withdrawn %v, balance %v", k, amount, balance)
		}
		if err := c.pending.race(c, of); err != nil {
			return nil, err
		}
		drained[k] = true
		for other := range drained {
			if other.script != k.script {
				// gouroboros orders key credentials before script credentials, cardano-ledger the other way round:
				// redeemer indexes and the script context would differ.
				return nil, unsupported("withdraw from keys and scripts in one transaction")
			}
		}
	}
	return drained, nil
}

func (c *check) rewardCredential(a *lcommon.Address) (lcommon.Credential, error) {
	b, err := a.Bytes()
	if err != nil {
		return lcommon.Credential{}, malformed("withdrawal address: %w", err)
	}
	of, ok := a.StakeCredential()
	if !ok || len(b) != rewardAddressSize || b[0]&rewardAddressBits != rewardAddressBits {
		return lcommon.Credential{}, malformed("withdrawal from %x, which is no reward address", b)
	}
	if a.NetworkId() != c.state.NetworkId() {
		return lcommon.Credential{}, ledger("WrongNetworkWithdrawal", "%x", b)
	}
	return of, nil
}

// neededScripts is ExtraneousScriptWitnessesUTXOW where gouroboros is lax: it lets the script of any registration
// certificate be attached, while the ledger needs none for certificate 0. Without certificates its rule is exact.
func (c *check) neededScripts() error {
	if len(c.tx.Certificates()) == 0 {
		return nil
	}
	need := map[lcommon.ScriptHash]bool{}
	for _, in := range c.tx.Inputs() {
		if u, err := c.state.UtxoById(in); err == nil && u.Output != nil {
			if a := u.Output.Address(); a.Type()&lcommon.AddressTypeScriptBit != 0 {
				need[lcommon.ScriptHash(a.PaymentKeyHash())] = true
			}
		}
	}
	if m := c.tx.AssetMint(); m != nil {
		for _, policy := range m.Policies() {
			need[lcommon.ScriptHash(policy)] = true
		}
	}
	for a := range c.tx.Withdrawals() {
		if of, ok := a.StakeCredential(); ok && credentialOf(of).script {
			need[lcommon.ScriptHash(of.Credential)] = true
		}
	}
	for _, cert := range c.tx.Certificates() {
		if x, err := classify(cert); err == nil && x.witnessed && credentialOf(x.of).script {
			need[lcommon.ScriptHash(x.of.Credential)] = true
		}
	}
	for _, h := range attached(c.tx.Witnesses()) {
		if !need[h] {
			return ledger("ExtraneousScriptWitnessesUTXOW", "%x", h[:])
		}
	}
	return nil
}
