package plutus

import "math/bits"

// maxQuantity bounds every amount, so that a price and its bond never overflow the ledger's 64 bits.
const maxQuantity = 1 << 62

// BondOf is the bond for a price: its rate, rounded down. Amounts are micro-NTX or any other unit.
func BondOf(price uint64, bondBps uint16) uint64 { return part(price, bondBps) }

// PenaltyOf is what a provider forfeits of its bond when it does not commit: the rate of the price, rounded down.
func PenaltyOf(price uint64, penaltyBps uint16) uint64 { return part(price, penaltyBps) }

// PriceOf is the price in a lot that holds price and bond together. The bond was rounded down, so the price rounds up.
func PriceOf(sum uint64, bondBps uint16) uint64 {
	d := wholeBps + uint64(bondBps)
	hi, lo := bits.Mul64(sum, wholeBps)
	lo, carry := bits.Add64(lo, d-1, 0)
	q, _ := bits.Div64(hi+carry, lo, d) // hi < wholeBps <= d, and hi + carry is reached only below it
	return q
}

func part(price uint64, bps uint16) uint64 {
	hi, lo := bits.Mul64(price, uint64(bps))
	if hi >= wholeBps { // only beyond 100 %
		return price
	}
	q, _ := bits.Div64(hi, lo, wholeBps)
	return q
}
