package rules

import (
	"bytes"
	"encoding/hex"
	"slices"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// credential is a comparable stake credential.
type credential struct {
	script bool
	hash   lcommon.Blake2b224
}

func credentialOf(c lcommon.Credential) credential {
	return credential{c.CredType == lcommon.CredentialTypeScriptHash, c.Credential}
}

func (k credential) String() string {
	if k.script {
		return "script " + hex.EncodeToString(k.hash[:])
	}
	return "key " + hex.EncodeToString(k.hash[:])
}

type kind int

const (
	registers kind = iota
	unregisters
	delegates
)

// certificate is what the DELEG rule needs to know of one.
type certificate struct {
	of        lcommon.Credential
	kind      kind
	amount    *int64 // the deposit or refund it states, nil for none
	witnessed bool   // its credential must witness it (certificate 0 alone needs no witness)
}

func classify(cert lcommon.Certificate) (certificate, error) {
	switch x := cert.(type) {
	case *lcommon.StakeRegistrationCertificate:
		return certificate{x.StakeCredential, registers, nil, false}, nil
	case *lcommon.RegistrationCertificate:
		return certificate{x.StakeCredential, registers, &x.Amount, true}, nil
	case *lcommon.StakeRegistrationDelegationCertificate:
		return certificate{x.StakeCredential, registers, &x.Amount, true}, nil
	case *lcommon.VoteRegistrationDelegationCertificate:
		return certificate{x.StakeCredential, registers, &x.Amount, true}, nil
	case *lcommon.StakeVoteRegistrationDelegationCertificate:
		return certificate{x.StakeCredential, registers, &x.Amount, true}, nil
	case *lcommon.StakeDeregistrationCertificate:
		return certificate{x.StakeCredential, unregisters, nil, true}, nil
	case *lcommon.DeregistrationCertificate:
		return certificate{x.StakeCredential, unregisters, &x.Amount, true}, nil
	case *lcommon.StakeDelegationCertificate:
		return certificate{*x.StakeCredential, delegates, nil, true}, nil
	case *lcommon.VoteDelegationCertificate:
		return certificate{x.StakeCredential, delegates, nil, true}, nil
	case *lcommon.StakeVoteDelegationCertificate:
		return certificate{x.StakeCredential, delegates, nil, true}, nil
	}
	return certificate{}, unsupported("take certificates of type %T", cert)
}

// certificatesAndWithdrawals is CERTS: withdrawals against the state before the certificates, then the certificates in
// order, then that no attached script is superfluous.
func (c *check) certificatesAndWithdrawals() error {
	drained, err := c.withdrawals()
	if err != nil {
		return err
	}
	if err := c.certificates(drained); err != nil {
		return err
	}
	return c.neededScripts()
}

// renamed is a failure by its name at the chain's protocol version: some were renamed in version 11.
func (c *check) renamed(ten, eleven string) string {
	if c.params.ProtocolVersion.Major >= 11 {
		return eleven
	}
	return ten
}

func (c *check) certificates(drained map[credential]bool) error {
	now := map[credential]bool{} // registrations this transaction has changed so far
	registered := func(of lcommon.Credential) bool {
		if v, ok := now[credentialOf(of)]; ok {
			return v
		}
		return c.state.IsStakeCredentialRegistered(of)
	}
	var seen [][]byte
	for i, cert := range c.tx.Certificates() {
		raw := cert.Cbor()
		if len(raw) > 0 && slices.ContainsFunc(seen, func(r []byte) bool { return bytes.Equal(r, raw) }) {
			return malformed("certificate %d is there twice", i)
		}
		seen = append(seen, raw)
		x, err := classify(cert)
		if err != nil {
			return err
		}
		k := credentialOf(x.of)
		if err := c.deposit(x, registered(x.of)); err != nil {
			return err
		}
		if x.witnessed && !k.script && !c.signers[k.hash] {
			return ledger("MissingVKeyWitnessesUTXOW", "certificate %d: %s", i, k)
		}
		if x.kind == registers && registered(x.of) {
			return ledger("StakeKeyRegisteredDELEG", "%s", k)
		}
		if x.kind != registers && !registered(x.of) {
			return ledger("StakeKeyNotRegisteredDELEG", "%s", k)
		}
		if err := c.pending.race(c, x.of); err != nil {
			return err
		}
		if x.kind == unregisters && !drained[k] && !now[k] {
			acc, err := c.state.account(x.of)
			if err != nil {
				return err
			}
			if acc != nil && acc.Reward != 0 {
				return ledger("StakeKeyHasNonZeroAccountBalanceDELEG", "%s has %d lovelace of rewards", k, acc.Reward)
			}
		}
		if x.kind != delegates {
			now[k] = x.kind == registers
		}
	}
	return nil
}

// deposit checks the amount a certificate states. The key deposit never changes on this chain, so a refund is the
// deposit of today.
func (c *check) deposit(x certificate, registered bool) error {
	if x.amount == nil || x.kind == unregisters && !registered {
		return nil
	}
	if *x.amount >= 0 && uint64(*x.amount) == uint64(c.params.KeyDeposit) {
		return nil
	}
	rule := c.renamed("IncorrectDepositDELEG", "DepositIncorrectDELEG")
	if x.kind == unregisters {
		rule = c.renamed("IncorrectDepositDELEG", "RefundIncorrectDELEG")
	}
	return ledger(rule, "%s: supplied %d, expected %d", credentialOf(x.of), *x.amount, c.params.KeyDeposit)
}
