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
func (j *JobID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(j) {
		return fmt.Errorf("job id of %d digits: %w", len(b), ErrTerms)
	}
	if _, err := hex.Decode(j[:], b); err != nil {
		return fmt.Errorf("job id %q: %w", b, ErrTerms)
	}
	return nil
}

// Terms are what the scripts need of an opening's terms. Rates are hundredths of a percent of a lot's price.
type Terms struct {
	Seed        chain.OutRef   `json:"seed"`      // an input of the opening
	Requester   chain.Address  `json:"requester"` // of a payment key, with or without a stake key
	DeclineBy   chain.Time     `json:"decline_by_ms"`
	CommitBy    chain.Time     `json:"commit_by_ms"`
	ReviewMS    uint64         `json:"review_ms"` // from a commitment's last moment to its claim
	BondBps     uint16         `json:"bond_bps"`
	PenaltyBps  uint16         `json:"penalty_bps"`
	LotLovelace chain.Lovelace `json:"lot_lovelace"` // in each lot, from its provider, to its provider
	Rest        [32]byte       `json:"rest"`         // hash of the whole terms document
}

// TermsSize is the length of packed terms in bytes.
const TermsSize = 160

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
	}
	return nil
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
	b := make([]byte, 0, TermsSize)
	b = append(append(b, termsVersion), t.Seed.Tx[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(t.Seed.Index))
	kind := byte(0)
	if hasStake {
		kind = 1
	}
	b = append(append(append(b, kind), payment[:]...), stake[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.DeclineBy))
	b = binary.BigEndian.AppendUint64(b, uint64(t.CommitBy))
	b = binary.BigEndian.AppendUint64(b, t.ReviewMS)
	b = binary.BigEndian.AppendUint16(b, t.BondBps)
	b = binary.BigEndian.AppendUint16(b, t.PenaltyBps)
	b = binary.BigEndian.AppendUint64(b, uint64(t.LotLovelace))
	return append(b, t.Rest[:]...)
}

// UnpackTerms reads packed terms of a network; what it accepts packs to the same bytes.
func UnpackTerms(b []byte, n chain.Network) (Terms, error) {
	if len(b) != TermsSize || b[0] != termsVersion || b[35] > 1 {
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
	switch {
	case b[35] == 1:
		t.Requester = chain.Base(n, payment, stake)
	case stake != chain.KeyHash{}:
		return Terms{}, fmt.Errorf("a stake key beside the kind that has none: %w", ErrTerms)
	}
	return t, t.Validate()
}

// JobID is the hash of the packed terms.
func (t Terms) JobID() (JobID, error) {
	b, err := t.Pack()
	if err != nil {
		return JobID{}, err
	}
	return jobID(b), nil
}

func jobID(packed []byte) (j JobID) {
	h, err := blake2b.New(len(j), nil)
	if err != nil {
		panic(err) // 28 is a valid size and there is no key
	}
	h.Write(packed)
	copy(j[:], h.Sum(nil))
	return j
}

// isParty says whether payouts can go to a: a payment key, with a stake key or without a stake part.
func isParty(a chain.Address) bool {
	_, key := a.Key()
	_, stake := a.StakeKey()
	return key && (stake || !a.HasStake())
}
