package plutus

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Params are what a network's contracts are fixed to. Another value is another policy at another address. Durations
// are milliseconds.
type Params struct {
	NTX            chain.AssetID  `json:"ntx"`
	MinReviewMS    uint64         `json:"min_review_ms"`    // from a commitment to its claim, at least
	MaxReviewMS    uint64         `json:"max_review_ms"`    // and at most
	MaxRangeMS     uint64         `json:"max_range_ms"`     // the longest validity range of a transaction
	MaxHorizonMS   uint64         `json:"max_horizon_ms"`   // from an opening to its commit_by, at most
	MinLotLovelace chain.Lovelace `json:"min_lot_lovelace"` // the least that terms may put into a lot
}

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
		NTX: ntx, MinReviewMS: secondMS, MaxReviewMS: dayMS, MaxRangeMS: 30 * minuteMS, MaxHorizonMS: 7 * dayMS,
		MinLotLovelace: 1_000_000,
	}
}

// Live are parameters for preview, preprod and mainnet, where a block comes about every 20 seconds and a rollback may
// take some of them back. Half an hour of validity is enough to gather witnesses. A review of less than ten minutes
// could pass while blocks are slow; one of more than 14 days, or a job of more than 90, would lock a bond for longer
// than any job needs. 1.5 ADA is below what the ledger demands of a lot, and keeps dust out if that ever falls.
func Live(ntx chain.AssetID) Params {
	return Params{
		NTX: ntx, MinReviewMS: 10 * minuteMS, MaxReviewMS: 14 * dayMS, MaxRangeMS: 30 * minuteMS, MaxHorizonMS: 90 * dayMS,
		MinLotLovelace: 1_500_000,
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
	case p.MinReviewMS == 0 || p.MinReviewMS > p.MaxReviewMS || p.MaxRangeMS == 0 || p.MaxHorizonMS == 0:
		return fmt.Errorf("review %d to %d ms, range %d ms, horizon %d ms: %w",
			p.MinReviewMS, p.MaxReviewMS, p.MaxRangeMS, p.MaxHorizonMS, ErrParams)
	case p.MaxReviewMS > 365*dayMS || p.MaxRangeMS > dayMS || p.MaxHorizonMS > 365*dayMS:
		return fmt.Errorf("review %d ms, range %d ms, horizon %d ms are too long: %w", p.MaxReviewMS, p.MaxRangeMS, p.MaxHorizonMS, ErrParams)
	case p.MinLotLovelace == 0:
		return fmt.Errorf("no lovelace in a lot: %w", ErrParams)
	}
	return nil
}
