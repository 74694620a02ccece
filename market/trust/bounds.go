package trust

import (
	"math"
	"sort"

	"github.com/tallycompute/tally/plutus"
)

// Bounds are asked for with what cheating may bring at most, than: 0 if a provider that can do no work is to lose, or
// Honest if one that could do it is to have no more of nonsense.

// most bounds numbers of shards and vouchers.
const most = 1 << 30

// LeastFound is the chance of being found from which on nonsense brings no more than than. false: none does.
func (d Deal) LeastFound(c Check, than float64) (float64, bool) {
	paid, found := d.Paid(), d.Found(c)
	switch {
	case paid <= than:
		return 0, true
	case found > than:
		return 0, false
	}
	return (paid - than) / (paid - found), true
}

// LeastRate is the smallest rate at which shards must be run again. c's own rate means nothing. false: none is enough.
func (d Deal) LeastRate(c Check, than float64) (float64, bool) {
	chance, ok := d.LeastFound(c, than)
	if !ok || c.Tells == 0 {
		return 0, ok && chance == 0
	}
	rate := (1 - math.Pow(1-chance, 1/float64(d.Shards))) / c.Tells
	return rate, rate <= 1
}

// LeastShards is into how many shards a lot of this price must be divided at least; price divided by it is the largest
// unit that a rate protects. false: no number is enough.
func (d Deal) LeastShards(c Check, than float64) (uint32, bool) {
	found, ok := d.LeastFound(c, than)
	x := c.Rate * c.Tells
	switch {
	case !ok || x == 0 && found > 0 || x < 1 && found == 1:
		return 0, false
	case found == 0 || x == 1:
		return 1, true
	}
	n := math.Ceil(math.Log1p(-found)/math.Log1p(-x) - 1e-9)
	return uint32(max(1, min(n, most))), n <= most
}

// LeastStake is how much must be at risk of a provider's stake so that nonsense brings no more than than. false: none is
// enough, for there are no attesters, nobody looks, or they are captured for certain.
func (d Deal) LeastStake(c Check, than float64) (untx uint64, ok bool) {
	if !d.Contested() {
		return 0, d.Paid() <= than
	}
	d.Terms.Disputes.AtRiskUNTX = 0
	return least(d.Profit(d.Shards, c)-than, c.Finds(d.Shards)*(1-c.Captured))
}

// least is the smallest whole amount that outweighs a gain, lost with some chance.
func least(gain, chance float64) (uint64, bool) {
	switch {
	case gain <= 0:
		return 0, true
	case chance <= 0 || gain/chance > 1<<52:
		return 0, false
	}
	return uint64(math.Ceil(gain / chance)), true
}

// Vouchered is what a provider can expect that does nothing and takes a voucher for each of so many units of the price,
// until the first at which the requester looks: what it has by then it redeems, with its whole bond.
func (d Deal) Vouchered(units uint32, c Check) float64 {
	x := c.Rate * c.Tells
	signed := float64(units)
	if x > 0 {
		signed = (1 - x) / x * (1 - math.Pow(1-x, float64(units)))
	}
	return signed * d.gain(plutus.Open, plutus.KindRedeem, d.PriceUNTX, 0) / float64(units)
}

// LeastUnits is into how many vouchers a price must be divided so that one that does nothing can expect at most so much.
// It can never be nothing: vouchers are paid before anybody can dispute. false: nobody looks.
func (d Deal) LeastUnits(c Check, bearable float64) (uint32, bool) {
	n := sort.Search(most, func(i int) bool { return i > 0 && d.Vouchered(uint32(i), c) <= bearable })
	return uint32(n), n < most
}
