package market

import "fmt"

// CheckQuoted compares terms with what one provider was asked and answered: its lot, the resources, times and rates
// must be those. Anything else, such as the program, is for the parties to look at. Errors: ErrOtherPeer, ErrOtherNetwork,
// ErrMalformed with the difference.
func (t Terms) CheckQuoted(r QuoteRequest, q Quote) error {
	lot, ok := t.LotOf(q.Provider)
	if !ok || t.Requester != q.Requester || r.Requester != q.Requester {
		return fmt.Errorf("terms: no lot of %s with %s: %w", q.Provider, q.Requester, ErrOtherPeer)
	}
	if t.Magic != r.Magic || t.Magic != q.Magic {
		return fmt.Errorf("terms: %w", ErrOtherNetwork)
	}
	for _, d := range []struct {
		same bool
		what string
		has  any
		want any
	}{
		{t.Policy == r.Contracts, "contracts", t.Policy, r.Contracts},
		{t.RequesterAddress == r.RequesterAddress, "requester's address", t.RequesterAddress, r.RequesterAddress},
		{t.Name == r.Name && t.Kind == r.Kind, "job", t.Name, r.Name},
		{t.Task.Image == r.Image, "image", t.Task.Image, r.Image},
		{t.Task.Resources == r.Resources, "resources", t.Task.Resources, r.Resources},
		{t.Timeouts == r.Timeouts, "timeouts", t.Timeouts, r.Timeouts},
		{t.Review == r.Review, "review window", t.Review, r.Review},
		{uint32(len(lot.Shards)) == r.Shards, "shards", len(lot.Shards), r.Shards},
		{lot.PriceUNTX == q.PriceUNTX, "price in µNTX", lot.PriceUNTX, q.PriceUNTX},
		{lot.Payment == q.Payment, "payment address", lot.Payment, q.Payment},
		{lot.BondInput == q.BondInput, "bond input", lot.BondInput, q.BondInput},
		{t.BondBps == q.BondBps, "bond rate", t.BondBps, q.BondBps},
		{t.PenaltyBps == q.PenaltyBps, "penalty rate", t.PenaltyBps, q.PenaltyBps},
		{t.VoucherEvery == r.VoucherEvery, "vouchers", t.VoucherEvery, r.VoucherEvery},
		{sameDisputes(t.Disputes, r.Disputes), "disputes", t.Disputes, r.Disputes},
	} {
		if !d.same {
			return malformed("terms: %s %v, agreed were %v", d.what, d.has, d.want)
		}
	}
	return nil
}
