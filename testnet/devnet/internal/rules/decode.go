package rules

import "github.com/blinklabs-io/gouroboros/cbor"

const (
	bodyTTL          = 3
	bodyCertificates = 4
	bodyWithdrawals  = 5
	bodyVotes        = 19
	bodyProposals    = 20
	bodyTreasury     = 21
	bodyDonation     = 22
)

// decodes applies what cardano-ledger's decoder demands of the bytes (Conway CDDL), and refuses isValid false: dingo's
// forger writes an empty list of invalid transactions, so such a transaction would enter the chain as a valid one.
func (c *check) decodes() error {
	if !c.tx.IsValid() {
		return unsupported("take transactions with isValid false")
	}
	var parts []cbor.RawMessage
	if _, err := cbor.Decode(c.tx.Cbor(), &parts); err != nil {
		return malformed("transaction: %w", err)
	}
	if len(parts) != 4 {
		return malformed("a transaction of %d parts, not 4", len(parts))
	}
	if _, err := cbor.Decode(parts[0], &c.body); err != nil {
		return malformed("transaction body: %w", err)
	}
	if _, ok := c.body[bodyCertificates]; ok && len(c.tx.Certificates()) == 0 {
		return malformed("an empty set of certificates")
	}
	if _, ok := c.body[bodyWithdrawals]; ok && len(c.tx.Withdrawals()) == 0 {
		return malformed("an empty map of withdrawals")
	}
	return nil
}
