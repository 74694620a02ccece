package escrow

import (
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// PackTerms is the part of a terms document that the contracts see; the document's hash, which is in it, binds the
// rest.
func PackTerms(t market.Terms) (plutus.Terms, error) {
	rest, err := t.Hash()
	if err != nil {
		return plutus.Terms{}, err
	}
	p := plutus.Terms{
		Seed: t.Seed, Requester: t.RequesterAddress, DeclineBy: t.DeclineBy, CommitBy: t.CommitBy,
		ReviewMS: uint64(t.Review), BondBps: t.BondBps, PenaltyBps: t.PenaltyBps, LotLovelace: t.LotLovelace, Rest: rest,
	}
	return p, p.Validate()
}
