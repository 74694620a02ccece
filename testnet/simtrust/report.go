package main

import (
	"errors"
	"fmt"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/testnet/measure"
)

// report is what was played.
type report struct {
	setup   Setup
	fees    map[escrow.Kind]float64 // ADA
	result  Result
	byRate  []played
	byCrook []played
}

// played is one market of several that differ in one number.
type played struct {
	Setup
	Result
}

// What else is played, beside the standard market.
var (
	sweepRates  = []float64{0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1}
	sweepCrooks = []float64{0, 0.05, 0.1, 0.2, 0.3, 0.5}
)

// mean is a sum by lot, in NTX.
func (s Sum) mean(untx float64) float64 { return untx / s.Lots / ntx }

// verification is what checking cost, of the price of all lots: work that is done again by requesters and attesters.
func (r Result) verification() float64 { return (r.Audits + r.Verdicts) / r.Priced }

// falseLoss is what honest providers lost to disputes of right results, of their lots' price.
func (r Result) falseLoss() float64 { return r.FalseLoss / r.HonestPrice }

// claim is something that has to hold of the standard market.
type claim struct {
	what  string
	value float64
	limit string
	holds bool
}

// claims are what is promised: whoever cheats loses, and the honest lose nearly nothing by it.
func (r *report) claims() []claim {
	var all []claim
	less := func(what string, v, than float64, limit string) {
		all = append(all, claim{what, v, limit, v < than})
	}
	for _, k := range []Kind{Lazy, Colluding} {
		s := r.result.By[k]
		less("profit by lot, "+string(k), s.mean(s.Profit), 0, "< 0 NTX")
	}
	for _, k := range []Kind{Lazy, Sparing, Colluding, NoShow, Griefing} {
		s := r.result.By[k]
		less("more than honest by lot, "+string(k), s.mean(s.Gain), 0, "< 0 NTX")
	}
	less("honest providers' loss to false disputes", 100*r.result.falseLoss(), 0.1, "< 0.1 %")
	less("cost of verification", 100*r.result.verification(), 5, "< 5 %")
	return all
}

// failed is an error that names every claim that does not hold.
func failed(claims []claim) error {
	var all []error
	for _, c := range claims {
		if !c.holds {
			all = append(all, fmt.Errorf("%s is %.4f, not %s", c.what, c.value, c.limit))
		}
	}
	return errors.Join(all...)
}

// leastPrice is the price of a lot, in ADA, from which on fees beside a share do not break a limit. false: the share does.
func leastPrice(feesByLot, share, limit float64) (float64, bool) {
	if share >= limit {
		return 0, false
	}
	return feesByLot / (limit - share), true
}

// falsePrice is the least price of a lot at which honest providers' loss stays below 0.1 %, fees included.
func (r Result) falsePrice() (float64, bool) {
	return leastPrice(r.FalseFees/r.HonestLots, r.falseLoss(), 0.001)
}

// checkedPrice is the least price of a lot at which verification stays below 5 %, fees included.
func (r *report) checkedPrice() (float64, bool) {
	lots := float64(r.setup.Jobs * r.setup.Lots)
	return leastPrice(r.result.DisputeFees/lots, r.result.verification(), 0.05)
}

// measures are the file's lines.
func (r *report) measures() (ms []measure.Measure) {
	add := func(name string, v float64, unit string) {
		ms = append(ms, measure.Measure{Name: "trust/" + name, Value: v, Unit: unit})
	}
	for _, share := range [][]Share{r.setup.Providers, r.setup.Requesters} {
		for _, k := range share {
			s := r.result.By[k.Kind]
			name, _, _ := cut(k.Kind)
			add("profit_per_lot/"+name, s.mean(s.Profit), "NTX")
			add("gain_over_honest_per_lot/"+name, s.mean(s.Gain), "NTX")
			if s.Wrong > 0 {
				add("caught/"+name, 100*s.Found/s.Wrong, "%")
			}
		}
	}
	add("false_disputes/honest_providers_loss", 100*r.result.falseLoss(), "%")
	if p, ok := r.result.falsePrice(); ok {
		add("false_disputes/least_price_of_a_lot", p, "ADA")
	}
	add("verification/cost", 100*r.result.verification(), "%")
	if p, ok := r.checkedPrice(); ok {
		add("verification/least_price_of_a_lot", p, "ADA")
	}
	if rate, ok := r.setup.Deal.LeastRate(r.setup.check(0), 0); ok {
		add("bound/rate", 100*rate, "%")
	}
	if n, ok := r.setup.Deal.LeastShards(r.setup.check(0), 0); ok {
		add("bound/shards_of_a_lot", float64(n), "shards")
	}
	return ms
}
