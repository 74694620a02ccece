package plutus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// JobID names the lots of one opening: the blake2b-224 hash of its packed terms. It is unique, for the terms name an
// input that the opening spends.
type JobID [28]byte

func (j JobID) String() string { return hex.EncodeToString(j[:]) }

// MarshalText writes lower-case hex.
func (j JobID) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// UnmarshalText reads 56 hex digits.
func (j *JobID) UnmarshalText(b []byte) error { return unhex(j[:], b, "job id") }

// Terms are what the scripts need of an opening's terms. Rates are hundredths of a percent of a lot's price.
type Terms struct {
	Seed        chain.OutRef   `json:"seed"`      // an input of the opening
	Requester   chain.Address  `json:"requester"` // of a payment key, with or without a stake key
	DeclineBy   chain.Time     `json:"decline_by_ms"`
	CommitBy    chain.Time     `json:"commit_by_ms"`
	ReviewMS    uint64         `json:"review_ms"` // from a commitment's last moment to its claim
	BondBps     uint16         `json:"bond_bps"`
	PenaltyBps  uint16         `json:"penalty_bps"`
	LotLovelace chain.Lovelace `json:"lot_lovelace"`         // in each lot, from its provider, to its provider
	Rest        [32]byte       `json:"rest"`                 // hash of the whole terms document
	VoucherKey  PublicKey      `json:"voucher_key,omitzero"` // signs what providers have earned; zero: there are no vouchers
	Disputes    Disputes       `json:"disputes,omitzero"`    // zero: lots cannot be disputed; needs a voucher key
}

// Lengths of packed terms in bytes: of the plain form, of that with a voucher key, and of that with disputes but for the
// attesters' keys.
const (
	plainSize   = 160
	voucherSize = 192
	disputeSize = 257
)

// MaxTermsSize is the most bytes that packed terms can have.
const MaxTermsSize = disputeSize + MaxAttesters*len(PublicKey{})

// Forms of packed terms, to which 1 is added if the requester has a stake key.
const (
	formPlain    = 0
	formVouchers = 2
	formDisputes = 4
)

const termsVersion = 1

// wholeBps is 100 %.
const wholeBps = 10000

// maxTime keeps times and durations far from overflow: the year 10889.
const maxTime = 1 << 48

// Validate says whether the policy could accept the terms under some parameters.
func (t Terms) Validate() error {
	switch _, key := t.Requester.Key(); {
	case !key:
		return fmt.Errorf("requester %q has no payment key: %w", t.Requester, ErrTerms)
	case !isParty(t.Requester):
		return fmt.Errorf("requester %s has a stake part that is not a key: %w", t.Requester, ErrTerms)
	case t.Seed.Index > math.MaxUint16:
		return fmt.Errorf("seed %s: %w", t.Seed, ErrTerms)
	case t.DeclineBy <= 0 || t.DeclineBy > t.CommitBy || t.CommitBy > maxTime || t.ReviewMS > maxTime:
		return fmt.Errorf("decline by %d, commit by %d, review %d ms: %w", t.DeclineBy, t.CommitBy, t.ReviewMS, ErrTerms)
	case t.PenaltyBps > t.BondBps || t.BondBps > wholeBps:
		return fmt.Errorf("bond %d and penalty %d of %d: %w", t.BondBps, t.PenaltyBps, wholeBps, ErrTerms)
	case t.LotLovelace == 0 || t.LotLovelace > maxQuantity:
		return fmt.Errorf("%d lovelace a lot: %w", t.LotLovelace, ErrTerms)
	case t.VoucherKey != PublicKey{} && !t.VoucherKey.sound():
		return fmt.Errorf("voucher key %s: %w", t.VoucherKey, ErrTerms)
	case t.Disputes == Disputes{}:
		return nil
	case t.VoucherKey == PublicKey{}:
		return fmt.Errorf("disputes without a voucher key: %w", ErrTerms)
	}
	return t.Disputes.validate()
}

// Pack writes the terms as scripts read and hash them; contracts/lib/terms.ak has the layout.
func (t Terms) Pack() ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t.pack(), nil
}

// pack writes the terms, whatever they say.
func (t Terms) pack() []byte {
	payment, _ := t.Requester.Key()
	stake, hasStake := t.Requester.StakeKey()
	b := make([]byte, 0, MaxTermsSize)
	b = append(append(b, termsVersion), t.Seed.Tx[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(t.Seed.Index))
	form := byte(formPlain)
	switch {
	case t.Disputes != Disputes{}:
		form = formDisputes
	case t.VoucherKey != PublicKey{}:
		form = formVouchers
	}
	if hasStake {
		form++
	}
	b = append(append(append(b, form), payment[:]...), stake[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.DeclineBy))
	b = binary.BigEndian.AppendUint64(b, uint64(t.CommitBy))
	b = binary.BigEndian.AppendUint64(b, t.ReviewMS)
	b = binary.BigEndian.AppendUint16(b, t.BondBps)
	b = binary.BigEndian.AppendUint16(b, t.PenaltyBps)
	b = binary.BigEndian.AppendUint64(b, uint64(t.LotLovelace))
	b = append(b, t.Rest[:]...)
	if form >= formVouchers {
		b = append(b, t.VoucherKey[:]...)
	}
	if form >= formDisputes {
		b = t.Disputes.append(b)
	}
	return b
}

// UnpackTerms reads packed terms of a network; what it accepts packs to the same bytes.
func UnpackTerms(b []byte, n chain.Network) (Terms, error) {
	if len(b) < plainSize || b[0] != termsVersion || !rightLength(b) {
		return Terms{}, fmt.Errorf("packed terms of %d bytes: %w", len(b), ErrTerms)
	}
	payment, stake := chain.KeyHash(b[36:64]), chain.KeyHash(b[64:92])
	t := Terms{
		Seed:        chain.OutRef{Tx: chain.TxID(b[1:33]), Index: uint32(binary.BigEndian.Uint16(b[33:]))},
		Requester:   chain.Enterprise(n, payment),
		DeclineBy:   chain.Time(binary.BigEndian.Uint64(b[92:])),
		CommitBy:    chain.Time(binary.BigEndian.Uint64(b[100:])),
		ReviewMS:    binary.BigEndian.Uint64(b[108:]),
		BondBps:     binary.BigEndian.Uint16(b[116:]),
		PenaltyBps:  binary.BigEndian.Uint16(b[118:]),
		LotLovelace: chain.Lovelace(binary.BigEndian.Uint64(b[120:])),
		Rest:        [32]byte(b[128:]),
	}
	if b[35] >= formVouchers {
		t.VoucherKey = PublicKey(b[plainSize:])
		if t.VoucherKey == (PublicKey{}) {
			return Terms{}, fmt.Errorf("a voucher key of zeros: %w", ErrTerms)
		}
	}
	if b[35] >= formDisputes {
		t.Disputes = readDisputes(b[voucherSize:])
	}
	switch {
	case b[35]%2 == 1:
		t.Requester = chain.Base(n, payment, stake)
	case stake != chain.KeyHash{}:
		return Terms{}, fmt.Errorf("a stake key beside the kind that has none: %w", ErrTerms)
	}
	return t, t.Validate()
}

// rightLength says whether packed terms are as long as their form wants.
func rightLength(b []byte) bool {
	switch b[35] &^ 1 {
	case formPlain:
		return len(b) == plainSize
	case formVouchers:
		return len(b) == voucherSize
	case formDisputes:
		return len(b) > disputeSize && len(b) <= MaxTermsSize && (len(b)-disputeSize)%len(PublicKey{}) == 0
	}
	return false
}

// JobID is the hash of the packed terms.
func (t Terms) JobID() (JobID, error) {
	b, err := t.Pack()
	if err != nil {
		return JobID{}, err
	}
	return jobID(b), nil
}

func jobID(packed []byte) JobID { return JobID(blake2b224(packed)) }

func blake2b224(b []byte) []byte {
	h, err := blake2b.New(28, nil)
	if err != nil {
		panic(err) // 28 is a valid size and there is no key
	}
	h.Write(b)
	return h.Sum(nil)
}

// isParty says whether payouts can go to a: a payment key, with a stake key or without a stake part.
func isParty(a chain.Address) bool {
	_, key := a.Key()
	_, stake := a.StakeKey()
	return key && (stake || !a.HasStake())
}
