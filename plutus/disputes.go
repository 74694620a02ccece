package plutus

import (
	"encoding/binary"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// MaxAttesters is how many attesters terms can name.
const MaxAttesters = 9

// Disputes are what an opening's terms say of disputed lots. Rates are hundredths of a percent of a lot's price.
type Disputes struct {
	VerdictMS  uint64        `json:"verdict_ms"`   // from a dispute's last moment to the end of verdicts
	BondUNTX   uint64        `json:"bond_untx"`    // what the requester adds when it disputes a lot
	CostUNTX   uint64        `json:"cost_untx"`    // paid by the loser
	SlashBps   uint16        `json:"slash_bps"`    // the most that a verdict may take from the provider's bond beside the cost
	ShareBps   uint16        `json:"share_bps"`    // the provider's when no verdict comes
	Payee      chain.KeyHash `json:"payee"`        // gets the cost
	AtRiskUNTX uint64        `json:"at_risk_untx"` // of a provider's stake, the most that a verdict on its lot may take
	Threshold  uint8         `json:"threshold"`    // so many attesters decide
	Attesters  Keys          `json:"attesters"`
}

// validate says whether the policy could accept the terms of disputes under some parameters and prices.
func (d Disputes) validate() error {
	keys := d.Attesters.List()
	switch n := len(keys); {
	case n == 0 || n > MaxAttesters || len(d.Attesters)%len(PublicKey{}) != 0:
		return fmt.Errorf("%d attesters: %w", n, ErrTerms)
	case int(d.Threshold) > n || 2*int(d.Threshold) <= n:
		return fmt.Errorf("%d of %d attesters: %w", d.Threshold, n, ErrTerms)
	case d.VerdictMS == 0 || d.VerdictMS > maxTime:
		return fmt.Errorf("%d ms for a verdict: %w", d.VerdictMS, ErrTerms)
	case d.CostUNTX == 0 || d.CostUNTX > d.BondUNTX || d.BondUNTX > maxQuantity/2:
		return fmt.Errorf("dispute bond %d, cost %d: %w", d.BondUNTX, d.CostUNTX, ErrTerms)
	case d.AtRiskUNTX > maxQuantity:
		return fmt.Errorf("%d of a stake at risk: %w", d.AtRiskUNTX, ErrTerms)
	case d.SlashBps > wholeBps || d.ShareBps > wholeBps:
		return fmt.Errorf("slash %d and share %d of %d: %w", d.SlashBps, d.ShareBps, wholeBps, ErrTerms)
	}
	for i, k := range keys {
		if !k.sound() || i > 0 && string(k[:]) <= string(keys[i-1][:]) {
			return fmt.Errorf("attester %s: %w", k, ErrTerms)
		}
	}
	return nil
}

// append writes what follows the voucher key in packed terms.
func (d Disputes) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, d.VerdictMS)
	b = binary.BigEndian.AppendUint64(b, d.BondUNTX)
	b = binary.BigEndian.AppendUint64(b, d.CostUNTX)
	b = binary.BigEndian.AppendUint16(b, d.SlashBps)
	b = binary.BigEndian.AppendUint16(b, d.ShareBps)
	b = binary.BigEndian.AppendUint64(append(b, d.Payee[:]...), d.AtRiskUNTX)
	return append(append(b, d.Threshold), d.Attesters...)
}

// readDisputes reads what append wrote, of a length that was checked.
func readDisputes(b []byte) Disputes {
	return Disputes{
		VerdictMS:  binary.BigEndian.Uint64(b),
		BondUNTX:   binary.BigEndian.Uint64(b[8:]),
		CostUNTX:   binary.BigEndian.Uint64(b[16:]),
		SlashBps:   binary.BigEndian.Uint16(b[24:]),
		ShareBps:   binary.BigEndian.Uint16(b[26:]),
		Payee:      chain.KeyHash(b[28:56]),
		AtRiskUNTX: binary.BigEndian.Uint64(b[56:]),
		Threshold:  b[64],
		Attesters:  Keys(b[65:]),
	}
}

// forfeits is the most that a provider of a lot can lose of its bond by a verdict.
func (d Disputes) forfeits(price uint64) uint64 { return d.CostUNTX + part(price, d.SlashBps) }
