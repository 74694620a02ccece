package plutus

import "errors"

// Sentinel kinds of this package's errors.
var (
	// ErrTerms is packed terms, or terms to pack, that break their own rules.
	ErrTerms = errors.New("invalid terms")
	// ErrLot is an output that is not a lot of these contracts.
	ErrLot = errors.New("not a lot")
	// ErrSlice is an output or a list that is not a slice of these contracts.
	ErrSlice = errors.New("not a slice")
	// ErrRedeemer is a redeemer that the policy does not know.
	ErrRedeemer = errors.New("invalid redeemer")
	// ErrVoucher is a voucher that is not worth what it says.
	ErrVoucher = errors.New("invalid voucher")
	// ErrVerdict is a verdict that too few of a job's attesters signed, or that the contracts do not pay.
	ErrVerdict = errors.New("invalid verdict")
	// ErrStake is an output that is not a stake of these contracts.
	ErrStake = errors.New("not a stake")
	// ErrDraft is a transition that cannot be made from what was given.
	ErrDraft = errors.New("impossible transition")
	// ErrUnknownLot is a settlement of a lot that the index never saw opened.
	ErrUnknownLot = errors.New("unknown lot")
	// ErrUnsafe is an opening that a provider must not witness.
	ErrUnsafe = errors.New("not safe to sign")
	// ErrRefused is a transaction that the contracts refuse.
	ErrRefused = errors.New("refused by the contract")
	// ErrParams is parameters with which the contracts could not work.
	ErrParams = errors.New("invalid contract parameters")
)
