package escrow

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// CheckClosing is the checklist before a provider signs the closing of its lot that the requester built, and says what
// everybody gets. A signature authorises every input of its key in the body, so the body may spend the lot and coins of
// its requester's, and do nothing else; what it pays is the contracts' business, which are run. resolved is what its
// inputs and references hold, as the provider's own node says. The error is a plutus.Unsafe, or what Explain makes of a
// script that refuses.
func CheckClosing(c *plutus.Contracts, l Lot, tx *chain.Tx, resolved []chain.UTxO, p chain.Params, clk chain.Clock) (plutus.Split, error) {
	unsafe := func(check, why string, args ...any) (plutus.Split, error) {
		return plutus.Split{}, &plutus.Unsafe{Check: check, Why: fmt.Sprintf(why, args...)}
	}
	b, err := tx.Inspect()
	if err != nil {
		return unsafe("body", "%v", err)
	}
	if b.HasCertificates || b.HasWithdrawals || b.HasVotes || b.HasProposals || b.HasTreasury || b.HasDonation {
		return unsafe("body", "a closing has no certificates, withdrawals, votes, proposals or donations")
	}
	theirs := func(ref chain.OutRef) bool {
		return slices.ContainsFunc(resolved, func(u chain.UTxO) bool { return u.Ref == ref && u.Address == l.Terms.Requester })
	}
	for _, ref := range slices.Concat(b.Inputs, b.Collateral) {
		if ref != l.Ref && !theirs(ref) {
			return unsafe("inputs", "%s is not an output of the requester's", ref)
		}
	}
	if !slices.Contains(b.Inputs, l.Ref) || slices.Contains(b.Collateral, l.Ref) {
		return unsafe("inputs", "the lot in %s is not spent", l.Ref)
	}
	if len(b.Mint) != 1 || b.Mint[c.Token(l.Key.Job, l.OnChain().State)] != -1 {
		return unsafe("mint", "it does not burn the lot's token, and only that")
	}
	i := slices.IndexFunc(tx.Redeemers(), func(r chain.Redeemer) bool { return r.Purpose == chain.PurposeMint })
	if i < 0 || len(tx.Redeemers()) != 2 {
		return unsafe("redeemers", "%d redeemers", len(tx.Redeemers()))
	}
	a, err := plutus.DecodeAction(tx.Redeemers()[i].Data, c.Network)
	if err != nil {
		return unsafe("redeemers", "%v", err)
	}
	if Kind(a.Kind) != KindClose || a.Terms != l.Terms {
		return unsafe("redeemers", "the redeemer is of %s, or of other terms", a.Kind)
	}
	s, err := l.due(KindClose, a.AwardUNTX, 0)
	if err != nil {
		return unsafe("award", "%v", err)
	}
	if _, err := chain.Evaluate(tx, resolved, p, clk); err != nil {
		return plutus.Split{}, c.Explain(err)
	}
	return s, nil
}
