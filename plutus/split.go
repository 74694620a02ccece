package plutus

import "fmt"

// Split is where a lot's NTX goes at its end, in µNTX.
type Split struct {
	ProviderUNTX, RequesterUNTX uint64
	PayeeUNTX                   uint64 // of a dispute's cost
	SinkUNTX                    uint64 // slashed
}

// Split says what a transition that ends the lot pays. award is what the provider gets: at Close of all that the lot
// holds, at Redeem and Verdict of its price; slash is for a Verdict. Both are 0 for the others. ErrDraft: the contracts pay
// no such amounts.
func (l Lot) Split(k Kind, t Terms, award, slash uint64) (Split, error) {
	price, disputeBond, cost := l.PriceUNTX, l.DisputeBondUNTX, t.Disputes.CostUNTX
	all := price + l.BondUNTX + disputeBond
	var s Split
	most, mostSlash := uint64(0), uint64(0)
	switch k {
	case KindApprove, KindClaim, KindSettle, KindFinish:
	case KindRefund, KindDissolve:
		s.RequesterUNTX = price + PenaltyOf(price, t.PenaltyBps)
	case KindDecline:
		s.RequesterUNTX = price
	case KindClose:
		most = all
		s.RequesterUNTX = all - min(award, all)
	case KindRedeem:
		most = price
		s.RequesterUNTX = price - min(award, price)
	case KindVerdict:
		most = price
		s.RequesterUNTX = price - min(award, price) + disputeBond
		if award == price {
			s.RequesterUNTX -= min(cost, disputeBond)
		} else {
			mostSlash = part(price, t.Disputes.SlashBps)
		}
		s.PayeeUNTX, s.SinkUNTX = cost, slash
	case KindConcede:
		s.RequesterUNTX, s.PayeeUNTX = disputeBond-min(cost, disputeBond), cost
	case KindLapse:
		s.RequesterUNTX = price - part(price, t.Disputes.ShareBps) + disputeBond - min(cost, disputeBond)
	default:
		return Split{}, fmt.Errorf("%s ends no lot: %w", k, ErrDraft)
	}
	given := s.RequesterUNTX + s.PayeeUNTX + s.SinkUNTX
	if award > most || slash > mostSlash || given > all {
		return Split{}, fmt.Errorf("%s: award %d, slash %d, of price %d, bond %d, dispute bond %d: %w",
			k, award, slash, price, l.BondUNTX, disputeBond, ErrDraft)
	}
	s.ProviderUNTX = all - given
	return s, nil
}
