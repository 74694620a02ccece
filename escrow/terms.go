package escrow

import (
	"fmt"

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
		VoucherKey: plutus.PublicKey(t.VoucherKey),
	}
	if t.Disputes != nil {
		if p.Disputes, err = packDisputes(*t.Disputes); err != nil {
			return plutus.Terms{}, err
		}
	}
	return p, p.Validate()
}

func packDisputes(d market.Disputes) (plutus.Disputes, error) {
	payee, ok := d.Payee.Key()
	if !ok {
		return plutus.Disputes{}, fmt.Errorf("disputes: payee %q is no address of a key: %w", d.Payee, market.ErrMalformed)
	}
	p := plutus.Disputes{
		VerdictMS: uint64(d.Verdict), BondUNTX: d.BondUNTX, CostUNTX: d.CostUNTX, SlashBps: d.SlashBps, ShareBps: d.ShareBps,
		AtRiskUNTX: d.StakeUNTX,
		Payee:      payee, Threshold: d.Threshold,
	}
	var keys []plutus.PublicKey
	for _, a := range d.Attesters {
		k, err := a.Key()
		if err != nil {
			return p, err
		}
		keys = append(keys, plutus.PublicKey(k))
	}
	p.Attesters = plutus.NewKeys(keys...)
	return p, nil
}
