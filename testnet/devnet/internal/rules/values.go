package rules

import (
	"fmt"
	"math/big"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// maxAssetName is the longest asset name, in bytes (Conway CDDL: asset_name = bytes .size (0 .. 32)).
const maxAssetName = 32

// values applies the decoder's demands on multi-asset values: no zero quantities, none negative in outputs, short names.
func (c *check) values() error {
	if err := quantities(c.tx.AssetMint(), func(q *big.Int) bool { return q.Sign() != 0 }); err != nil {
		return malformed("mint: %w", err)
	}
	positive := func(q *big.Int) bool { return q.Sign() > 0 }
	for i, o := range c.tx.Outputs() {
		if err := quantities(o.Assets(), positive); err != nil {
			return malformed("output %d: %w", i, err)
		}
	}
	if r := c.tx.CollateralReturn(); r != nil {
		if err := quantities(r.Assets(), positive); err != nil {
			return malformed("collateral return: %w", err)
		}
	}
	return nil
}

func quantities(m *lcommon.MultiAsset[*big.Int], allowed func(*big.Int) bool) error {
	if m == nil {
		return nil
	}
	for _, policy := range m.Policies() {
		names := m.Assets(policy)
		if len(names) == 0 {
			return fmt.Errorf("policy %x has no assets", policy[:])
		}
		for _, name := range names {
			if len(name) > maxAssetName {
				return fmt.Errorf("an asset name of %d bytes", len(name))
			}
			if q := m.Asset(policy, name); q == nil || !allowed(q) {
				return fmt.Errorf("a quantity of %v of %x.%x", q, policy[:], name)
			}
		}
	}
	return nil
}
