package escrow

import (
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// OnChain is the lot as the contracts' functions want it, but for its output's contents.
func (l Lot) OnChain() plutus.Lot {
	s := plutus.Lot{
		Ref: l.Ref, Job: l.Key.Job, Provider: l.Address, PriceUNTX: l.PriceUNTX, BondUNTX: l.BondUNTX, Lovelace: l.Lovelace,
		Root: l.Root, ClaimAt: l.ClaimAt, Deadline: l.Deadline,
	}
	switch l.Status {
	case Committed:
		s.State = plutus.Committed
	case Disputed:
		s.State, s.DisputeBondUNTX = plutus.Disputed, l.Terms.Disputes.BondUNTX
	}
	return s
}

// Collect finds among attesters' opinions a verdict that the contracts carry out on a disputed lot, of which enough of
// them say the same; nil: there is none yet. Opinions about other lots, of strangers or with false signatures count
// for nothing.
func Collect(c *plutus.Contracts, l Lot, opinions map[market.Key]market.Opinion) *plutus.Verdict {
	if l.Status != Disputed {
		return nil
	}
	type numbers struct{ award, slash, taken uint64 }
	same := map[numbers][]plutus.Attestation{}
	for k, o := range opinions {
		if o.Lot != l.Ref || !o.Decided() {
			continue
		}
		n := numbers{o.AwardUNTX, o.SlashUNTX, o.TakenUNTX}
		same[n] = append(same[n], plutus.Attestation{Attester: plutus.PublicKey(k), Signature: plutus.Signature(o.Signature)})
	}
	lot := l.OnChain()
	for n, signed := range same {
		v := plutus.Verdict{AwardUNTX: n.award, SlashUNTX: n.slash, TakenUNTX: n.taken, Signatures: signed}
		if v.Verify(c, lot, l.Terms) == nil {
			return &v
		}
	}
	return nil
}
