package trust

import (
	"errors"
	"fmt"
	"math"

	"github.com/tallycompute/tally/plutus"
)

// ErrDeal is a deal that no contract could hold, or a check that is no probability.
var ErrDeal = errors.New("no such deal")

// Deal is a lot as its provider weighs it. Amounts are in µNTX.
type Deal struct {
	Terms     plutus.Terms // rates, and disputes if there are any
	PriceUNTX uint64
	WorkUNTX  uint64 // what honest work costs its provider
	Shards    uint32 // equal parts of the lot, each checked by itself
}

// Check is how results are looked at before they are paid. All are probabilities.
type Check struct {
	Rate     float64 // that a shard is run again
	Tells    float64 // that this shows a wrong one to be wrong; 1 where files are compared byte for byte
	Captured float64 // that attesters say what the provider likes, right or not
}

// Validate says whether d can be weighed.
func (d Deal) Validate() error {
	q := d.Terms.Disputes
	switch {
	case d.PriceUNTX == 0 || d.PriceUNTX > 1<<52 || d.WorkUNTX > d.PriceUNTX || d.Shards == 0:
		return fmt.Errorf("%d shards for %d µNTX, work for %d: %w", d.Shards, d.PriceUNTX, d.WorkUNTX, ErrDeal)
	case d.Terms.BondBps > 10_000 || d.Terms.PenaltyBps > d.Terms.BondBps || q.AtRiskUNTX > 1<<52:
		return fmt.Errorf("bond %d, penalty %d, at risk %d: %w", d.Terms.BondBps, d.Terms.PenaltyBps, q.AtRiskUNTX, ErrDeal)
	}
	if d.Contested() {
		if _, err := d.lot(plutus.Disputed).Split(plutus.KindVerdict, d.Terms, 0, d.slash()); err != nil || q.CostUNTX > q.BondUNTX {
			return fmt.Errorf("the bond does not pay for losing a dispute: %w", errors.Join(err, ErrDeal))
		}
	}
	return nil
}

// Validate says whether c's numbers are probabilities.
func (c Check) Validate() error {
	for _, p := range []float64{c.Rate, c.Tells, c.Captured} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("probability %v: %w", p, ErrDeal)
		}
	}
	return nil
}

// Contested says whether there can be disputes.
func (d Deal) Contested() bool { return d.Terms.Disputes != plutus.Disputes{} }

func (d Deal) lot(s plutus.State) plutus.Lot {
	l := plutus.Lot{State: s, PriceUNTX: d.PriceUNTX, BondUNTX: plutus.BondOf(d.PriceUNTX, d.Terms.BondBps)}
	if s == plutus.Disputed {
		l.DisputeBondUNTX = d.Terms.Disputes.BondUNTX
	}
	return l
}

// slash is what a verdict takes from the bond: of the same rate arithmetic as penalties.
func (d Deal) slash() uint64 { return plutus.PenaltyOf(d.PriceUNTX, d.Terms.Disputes.SlashBps) }

// gain is what a way out leaves the provider beside its bond, in µNTX. A valid deal has all of them.
func (d Deal) gain(s plutus.State, k plutus.Kind, award, slash uint64) float64 {
	l := d.lot(s)
	split, err := l.Split(k, d.Terms, award, slash)
	if err != nil {
		return math.NaN()
	}
	return float64(split.ProviderUNTX) - float64(l.BondUNTX)
}

// Paid is what a lot brings that nobody calls wrong, before the cost of work.
func (d Deal) Paid() float64 { return d.gain(plutus.Committed, plutus.KindClaim, 0, 0) }

// Honest is what the provider has of it that does the work.
func (d Deal) Honest() float64 { return d.Paid() - float64(d.WorkUNTX) }

// Walk is what a provider has that never commits: the penalty is lost. It cannot know yet whether a wrong shard was found,
// for nothing is approved that is not committed.
func (d Deal) Walk() float64 { return d.gain(plutus.Open, plutus.KindRefund, 0, 0) }

// Judged is what a provider has that attesters find wrong: cost, slash and what is at risk of its stake are lost.
func (d Deal) Judged() float64 {
	return d.gain(plutus.Disputed, plutus.KindVerdict, 0, d.slash()) - float64(d.Terms.Disputes.AtRiskUNTX)
}

// Lapse is what a provider has of whose lot attesters say nothing, or not enough of them the same.
func (d Deal) Lapse() float64 { return d.gain(plutus.Disputed, plutus.KindLapse, 0, 0) }

// Found is what a provider can expect that has committed a wrong shard which is found: the verdict. Without disputes that is
// the whole price: it claims after the review, whatever anybody thinks of it.
func (d Deal) Found(c Check) float64 {
	if !d.Contested() {
		return d.Paid()
	}
	right := d.gain(plutus.Disputed, plutus.KindVerdict, d.PriceUNTX, 0)
	return c.Captured*right + (1-c.Captured)*d.Judged()
}

// Finds is the chance that one of so many wrong shards is found.
func (c Check) Finds(wrong uint32) float64 { return 1 - math.Pow(1-c.Rate*c.Tells, float64(wrong)) }

// Profit is what a provider can expect that returns so many wrong shards, and works for the others.
func (d Deal) Profit(wrong uint32, c Check) float64 {
	found := c.Finds(wrong)
	work := float64(d.WorkUNTX) * float64(d.Shards-wrong) / float64(d.Shards)
	return found*d.Found(c) + (1-found)*d.Paid() - work
}

// Best is how many wrong shards bring a provider most, and how much. What is found grows ever slower with their number and
// what is saved does not, so it is none or all of them.
func (d Deal) Best(c Check) (wrong uint32, profit float64) {
	none, all := d.Profit(0, c), d.Profit(d.Shards, c)
	if all > none {
		return d.Shards, all
	}
	return 0, none
}
