package market

import "math/bits"

// Voucher tells a provider how much of its lot's price it has earned so far: plutus.Voucher, of the lot of whom it is
// sent to. It is signed with the job's voucher key.
type Voucher struct {
	Job            JobID  `json:"job"`
	CumulativeUNTX uint64 `json:"cumulative_untx"`
	Signature      []byte `json:"signature"`
}

func (v Voucher) limit() int { return 512 }

// Validate checks v's form; whether the contracts pay it is for who knows the lot.
func (v Voucher) Validate() error {
	if len(v.Signature) != 64 || v.CumulativeUNTX == 0 || v.CumulativeUNTX > maxPrice {
		return malformed("voucher of %d µNTX, signature of %d bytes", v.CumulativeUNTX, len(v.Signature))
	}
	return nil
}

// EarnedUNTX is how much of a price is earned when a program has run so long: whole units of VoucherEvery, and all of
// it at timeouts.run.
func (t Terms) EarnedUNTX(price uint64, worked Millis) uint64 {
	if t.VoucherEvery <= 0 || worked < t.VoucherEvery {
		return 0
	}
	units := worked / t.VoucherEvery * t.VoucherEvery
	if units >= t.Timeouts.Run {
		return price
	}
	hi, lo := bits.Mul64(price, uint64(units))
	q, _ := bits.Div64(hi, lo, uint64(t.Timeouts.Run))
	return q
}

// checkVouchers wants a key wherever vouchers are promised, and units that fit the program's time.
func (t Terms) checkVouchers() error {
	switch {
	case t.VoucherEvery == 0:
		return nil
	case t.VoucherEvery < Second || t.VoucherEvery > t.Timeouts.Run:
		return malformed("vouchers every %s of %s", t.VoucherEvery, t.Timeouts.Run)
	case t.VoucherKey.IsZero():
		return malformed("vouchers without a key")
	case t.Kind == Training:
		return malformed("vouchers in a training job: a rank that stops stops all")
	}
	return nil
}
