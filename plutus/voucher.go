package plutus

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// voucherDomain begins what a voucher's key signs: contracts/lib/redeem.ak has the layout.
const voucherDomain = "tally/voucher/1"

// Voucher says that a provider has earned a part of its lot's price, signed with the job's voucher key. A later one of a
// lot replaces an earlier one. It is worth money only until commit_by, or until the lot's end.
type Voucher struct {
	Job            JobID         `json:"job"`
	Provider       chain.KeyHash `json:"provider"`        // payment key
	CumulativeUNTX uint64        `json:"cumulative_untx"` // of the price, from the first on
	Signature      Signature     `json:"signature"`
}

// SignVoucher makes a voucher of these contracts.
func (c *Contracts) SignVoucher(k ed25519.PrivateKey, j JobID, provider chain.KeyHash, cumulative uint64) Voucher {
	v := Voucher{Job: j, Provider: provider, CumulativeUNTX: cumulative}
	v.Signature = sign(k, v.message(c))
	return v
}

func (v Voucher) message(c *Contracts) []byte {
	b := append([]byte(voucherDomain), magic(c.Network)...)
	b = append(append(append(b, c.Policy[:]...), v.Job[:]...), v.Provider[:]...)
	return binary.BigEndian.AppendUint64(b, v.CumulativeUNTX)
}

// Verify says whether the contracts will pay the voucher out of a lot. ErrVoucher: they will not.
func (v Voucher) Verify(c *Contracts, l Lot, t Terms) error {
	id, err := t.JobID()
	if err != nil {
		return err
	}
	provider, _ := l.Provider.Key()
	switch {
	case t.VoucherKey == PublicKey{}:
		return fmt.Errorf("job %s has no vouchers: %w", id, ErrVoucher)
	case v.Job != id || l.Job != id:
		return fmt.Errorf("of job %s, the lot is of %s, the terms are of %s: %w", v.Job, l.Job, id, ErrVoucher)
	case v.Provider != provider:
		return fmt.Errorf("of provider %s, the lot is of %s: %w", v.Provider, provider, ErrVoucher)
	case v.CumulativeUNTX > l.PriceUNTX:
		return fmt.Errorf("of %d, the price is %d: %w", v.CumulativeUNTX, l.PriceUNTX, ErrVoucher)
	case !t.VoucherKey.verifies(v.message(c), v.Signature):
		return fmt.Errorf("of %d for job %s: not signed with the job's voucher key: %w", v.CumulativeUNTX, id, ErrVoucher)
	}
	return nil
}

// Earned is a lot and what its provider has of vouchers for it.
type Earned struct {
	Lot     Lot
	Terms   Terms
	Voucher Voucher
}

// Redeem is T1: a provider takes what it has earned in lots that are open or committed, of any jobs, with its bonds; the
// rest of each price goes back to its requester. One output pays the provider. The submitter gives the requesters'
// outputs their least lovelace. The draft needs the provider's signature.
func (c *Contracts) Redeem(earned []Earned, f Frame) (chain.Draft, error) {
	if len(earned) == 0 {
		return chain.Draft{}, fmt.Errorf("redeem: no vouchers: %w", ErrDraft)
	}
	earned = slices.SortedFunc(slices.Values(earned), func(a, b Earned) int { return a.Lot.Ref.Compare(b.Lot.Ref) })
	to, sum := earned[0].Lot.Provider, chain.Value{}
	a, lots, outputs := Action{Kind: KindRedeem}, []Lot{}, make([]chain.Output, 1)
	for _, e := range earned {
		if err := e.Voucher.Verify(c, e.Lot, e.Terms); err != nil {
			return chain.Draft{}, fmt.Errorf("redeem: lot %s: %w", e.Lot.Ref, err)
		}
		if e.Lot.State > Committed || e.Lot.Provider != to {
			return chain.Draft{}, fmt.Errorf("redeem: lot %s is in state %d, of %s, another of %s: %w", e.Lot.Ref, e.Lot.State, e.Lot.Provider, to, ErrDraft)
		}
		s, err := e.Lot.Split(KindRedeem, e.Terms, e.Voucher.CumulativeUNTX, 0)
		if err != nil {
			return chain.Draft{}, err
		}
		if sum, err = sum.Add(chain.Coins(e.Lot.Lovelace).With(c.Params.NTX, s.ProviderUNTX)); err != nil {
			return chain.Draft{}, fmt.Errorf("redeem: %w", err)
		}
		if s.RequesterUNTX > 0 {
			outputs = append(outputs, c.payout(e.Terms.Requester, 0, s.RequesterUNTX))
		}
		lots = append(lots, e.Lot)
		a.Earned = append(a.Earned, Earning{e.Terms, e.Voucher.CumulativeUNTX, e.Voucher.Signature})
	}
	d, err := c.draft(f, a, c.burns(lots), lots)
	if err != nil {
		return chain.Draft{}, err
	}
	outputs[0] = chain.Output{Address: to, Value: sum}
	d.Outputs = outputs
	return signedBy(d, to), nil
}
