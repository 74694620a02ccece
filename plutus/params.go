package plutus

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Params are what a network's contracts are fixed to. Another value is another policy at another address. Durations
// are milliseconds.
type Params struct {
	NTX            chain.AssetID    `json:"ntx"`
	MinReviewMS    uint64           `json:"min_review_ms"`    // from a commitment to its claim, at least
	MaxReviewMS    uint64           `json:"max_review_ms"`    // and at most
	MaxRangeMS     uint64           `json:"max_range_ms"`     // the longest validity range of a transaction
	MinHorizonMS   uint64           `json:"min_horizon_ms"`   // from an opening to its commit_by, at least
	MaxHorizonMS   uint64           `json:"max_horizon_ms"`   // and at most
	MinVerdictMS   uint64           `json:"min_verdict_ms"`   // from a dispute to the end of verdicts, at least
	MaxVerdictMS   uint64           `json:"max_verdict_ms"`   // and at most
	MarginMS       uint64           `json:"margin_ms"`        // before commit_by, in which a requester makes no lots out of a slice
	MinLotLovelace chain.Lovelace   `json:"min_lot_lovelace"` // the least that terms may put into a lot
	UnbondMS       uint64           `json:"unbond_ms"`        // for so long an unbonding stake can still be taken: longer than any lot lives
	Sink           chain.ScriptHash `json:"sink"`             // where what is slashed goes: of a script that nobody can satisfy
}

// Sink is the hash of the native script "any of no scripts" (Conway ledger specification, [2, []]), which no transaction
// satisfies: what is sent there stays.
func Sink() chain.ScriptHash { return chain.ScriptHash(blake2b224([]byte{0, 0x82, 2, 0x80})) }

const (
	secondMS = 1000
	minuteMS = 60 * secondMS
	hourMS   = 60 * minuteMS
	dayMS    = 24 * hourMS
)

// Devnet are parameters for a network whose slots take a fraction of a second: windows of a second are enough there,
// and nobody's money waits.
func Devnet(ntx chain.AssetID) Params {
	return Params{
		NTX: ntx, MinReviewMS: secondMS, MaxReviewMS: dayMS, MaxRangeMS: 30 * minuteMS, MinHorizonMS: secondMS, MaxHorizonMS: 7 * dayMS,
		MinVerdictMS: secondMS, MaxVerdictMS: dayMS, MarginMS: secondMS, MinLotLovelace: 1_000_000, UnbondMS: 10 * dayMS, Sink: Sink(),
	}
}

// Live are parameters for preview, preprod and mainnet, where a block comes about every 20 seconds and a rollback may
// take some of them back. Half an hour of validity is enough to gather witnesses. A review or a job of less than ten
// minutes could pass while blocks are slow, and a verdict takes attesters an hour; reviews and verdicts of more than 14
// days, or a job of more than 90, would lock a bond for longer than any job needs. Who is put into a lot has ten minutes to
// commit. 1.5 ADA is below what the ledger demands of a lot, and keeps dust out if that ever falls. No lot lives longer than
// 118 days, so a stake that was seen at an opening can be taken for 120.
func Live(ntx chain.AssetID) Params {
	return Params{
		NTX: ntx, MinReviewMS: 10 * minuteMS, MaxReviewMS: 14 * dayMS, MaxRangeMS: 30 * minuteMS, MinHorizonMS: 10 * minuteMS, MaxHorizonMS: 90 * dayMS,
		MinVerdictMS: hourMS, MaxVerdictMS: 14 * dayMS, MarginMS: 10 * minuteMS, MinLotLovelace: 1_500_000, UnbondMS: 120 * dayMS, Sink: Sink(),
	}
}

// NTX's policies on the public networks (Cardano token registry, ticker NTX).
const (
	mainnetNTX = "edfd7a1d77bcb8b884c474bdc92a16002d1fb720e454fa6e99344479.4e5458"
	preprodNTX = "88b60b51a3dcd3a6134bb1c0fdd2837d8cc87abd27dbd0c3a494869f.4e754e657450726570726f64"
)

// Mainnet are the parameters of Cardano mainnet.
func Mainnet() (Params, error) { return live(mainnetNTX) }

// Preprod are the parameters of Cardano preprod.
func Preprod() (Params, error) { return live(preprodNTX) }

func live(asset string) (Params, error) {
	var a chain.AssetID
	err := a.UnmarshalText([]byte(asset))
	return Live(a), err
}

// Validate refuses parameters under which no lot could be opened.
func (p Params) Validate() error {
	switch {
	case p.NTX.Policy == chain.ScriptHash{} || len(p.NTX.Name) > 32:
		return fmt.Errorf("asset %s: %w", p.NTX, ErrParams)
	case !window(p.MinReviewMS, p.MaxReviewMS, 365*dayMS):
		return fmt.Errorf("review of %d to %d ms: %w", p.MinReviewMS, p.MaxReviewMS, ErrParams)
	case !window(p.MinHorizonMS, p.MaxHorizonMS, 365*dayMS):
		return fmt.Errorf("horizon of %d to %d ms: %w", p.MinHorizonMS, p.MaxHorizonMS, ErrParams)
	case !window(p.MinVerdictMS, p.MaxVerdictMS, 365*dayMS):
		return fmt.Errorf("verdict in %d to %d ms: %w", p.MinVerdictMS, p.MaxVerdictMS, ErrParams)
	case !window(1, p.MaxRangeMS, dayMS):
		return fmt.Errorf("range of %d ms: %w", p.MaxRangeMS, ErrParams)
	case !window(1, p.MarginMS, dayMS):
		return fmt.Errorf("margin of %d ms: %w", p.MarginMS, ErrParams)
	case p.MinLotLovelace == 0:
		return fmt.Errorf("no lovelace in a lot: %w", ErrParams)
	case !window(p.lifeMS()+p.MaxRangeMS, p.UnbondMS, 4*365*dayMS):
		return fmt.Errorf("unbonding in %d ms, a lot lives %d: %w", p.UnbondMS, p.lifeMS(), ErrParams)
	case p.Sink == chain.ScriptHash{}:
		return fmt.Errorf("no sink: %w", ErrParams)
	}
	return nil
}

// lifeMS is the longest life of a lot: from the last moment of its opening to the last of a verdict.
func (p Params) lifeMS() uint64 { return p.MaxHorizonMS + p.MaxReviewMS + p.MaxVerdictMS }

// window says whether there is a duration between least and most, and none without end.
func window(least, most, end uint64) bool { return 0 < least && least <= most && most <= end }
