package rules

import (
	"fmt"

	"github.com/blinklabs-io/gouroboros/cbor"
)

// governance is LEDGER's ConwayTreasuryValueMismatch, and what the decoder demands of the fields about governance (Conway
// CDDL): neither votes nor proposals without any, no donation of nothing. dingo reads none of that.
func (c *check) governance() error {
	if b, ok := c.body[bodyTreasury]; ok {
		var said, is uint64
		if _, err := cbor.Decode(b, &said); err != nil {
			return malformed("the treasury's value: %w", err)
		}
		is, err := c.state.treasury()
		if err != nil {
			return err
		}
		if said != is {
			return ledger("ConwayTreasuryValueMismatch", "the treasury holds %d, not %d", is, said)
		}
	}
	if b, ok := c.body[bodyDonation]; ok {
		var donated uint64
		if _, err := cbor.Decode(b, &donated); err != nil || donated == 0 {
			return malformed("a donation of %x", []byte(b))
		}
	}
	if _, ok := c.body[bodyVotes]; ok && len(c.tx.VotingProcedures()) == 0 {
		return malformed("an empty map of votes")
	}
	if _, ok := c.body[bodyProposals]; ok && len(c.tx.ProposalProcedures()) == 0 {
		return malformed("an empty set of proposals")
	}
	return nil
}

// treasury is what the node's ledger holds in it.
func (s state) treasury() (uint64, error) {
	ls, txn, err := s.inside()
	if err != nil {
		return 0, err
	}
	n, err := ls.Database().Metadata().GetNetworkState(txn.Metadata())
	if err != nil {
		return 0, fmt.Errorf("look up the treasury: %w", err)
	}
	if n == nil {
		return 0, nil
	}
	return uint64(n.Treasury), nil
}
