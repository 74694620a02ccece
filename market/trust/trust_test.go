package trust

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// deal is a lot for 1000 µNTX, with a bond of 200 and a penalty of 100; a dispute costs 150, the slash is 50, and 700 are
// at risk.
func deal() Deal {
	return Deal{
		Terms: plutus.Terms{
			BondBps: 2000, PenaltyBps: 1000,
			Disputes: plutus.Disputes{BondUNTX: 150, CostUNTX: 150, SlashBps: 500, ShareBps: 10_000, AtRiskUNTX: 700, Payee: chain.KeyHash{1}},
		},
		PriceUNTX: 1000, WorkUNTX: 600, Shards: 10,
	}
}

// Ways out, with the numbers that the contracts' page gives.
func TestWaysOut(t *testing.T) {
	d := deal()
	captured := Check{Captured: 0.9}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"paid", d.Paid(), 1000},
		{"honest", d.Honest(), 400},
		{"walk", d.Walk(), -100},
		{"judged", d.Judged(), -150 - 50 - 700},
		{"lapsed", d.Lapse(), 1000 + 150},
		{"found", d.Found(Check{}), -150 - 50 - 700},
		{"found, of captured attesters", d.Found(captured), 0.9*1000 + 0.1*-900},
		{"one shard of ten, never looked at", d.Profit(1, Check{}), 1000 - 540},
		{"all of them, all looked at", d.Profit(10, Check{Rate: 1, Tells: 1}), -900},
		{"half of the price in one voucher, looked at", d.Vouchered(1, Check{Rate: 0.5, Tells: 1}), 500},
		{"two vouchers", d.Vouchered(2, Check{Rate: 0.5, Tells: 1}), 375},
		{"vouchers that nobody looks at", d.Vouchered(4, Check{}), 1000},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	d.Terms.Disputes = plutus.Disputes{}
	always := Check{Rate: 1, Tells: 1}
	_, rate := d.LeastRate(always, 0)
	_, stake := d.LeastStake(always, 0)
	if rate || stake || d.Found(always) != 1000 {
		t.Error("without attesters a provider that commits is paid, however closely somebody looks")
	}
}

// Deals that no contract could hold are refused.
func TestInvalid(t *testing.T) {
	for name, change := range map[string]func(*Deal){
		"price":    func(d *Deal) { d.PriceUNTX = 0 },
		"overflow": func(d *Deal) { d.PriceUNTX = 1 << 60 },
		"work":     func(d *Deal) { d.WorkUNTX = 1001 },
		"shards":   func(d *Deal) { d.Shards = 0 },
		"bond":     func(d *Deal) { d.Terms.BondBps = 10_001 },
		"penalty":  func(d *Deal) { d.Terms.PenaltyBps = 2001 },
		"forfeit":  func(d *Deal) { d.Terms.Disputes.SlashBps = 510 },
		"cost":     func(d *Deal) { d.Terms.Disputes.CostUNTX = 151 },
		"at risk":  func(d *Deal) { d.Terms.Disputes.AtRiskUNTX = 1 << 60 },
	} {
		d := deal()
		if change(&d); !errors.Is(d.Validate(), ErrDeal) {
			t.Errorf("%s: %v", name, d.Validate())
		}
	}
	if err := deal().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Check{{Rate: -0.1}, {Tells: 1.1}, {Captured: math.NaN()}} {
		if !errors.Is(c.Validate(), ErrDeal) {
			t.Errorf("%+v: %v", c, c.Validate())
		}
	}
}

// random is a valid deal and check of any kind.
func random(r *rand.Rand) (Deal, Check) {
	price := 1 + r.Uint64N(10_000_000)
	bond := uint16(r.IntN(10_001))
	d := Deal{
		Terms:     plutus.Terms{BondBps: bond, PenaltyBps: uint16(r.IntN(int(bond) + 1))},
		PriceUNTX: price, WorkUNTX: r.Uint64N(price + 1), Shards: 1 + r.Uint32N(200),
	}
	if forfeit := plutus.BondOf(price, bond); forfeit > 1 {
		cost := 1 + r.Uint64N(forfeit)
		d.Terms.Disputes = plutus.Disputes{
			BondUNTX: cost + r.Uint64N(price), CostUNTX: cost, ShareBps: uint16(r.IntN(10_001)),
			SlashBps: uint16((forfeit - cost) * 10_000 / price), AtRiskUNTX: r.Uint64N(3 * price),
		}
	}
	return d, Check{Rate: r.Float64(), Tells: 1 - r.Float64(), Captured: r.Float64() * r.Float64() * r.Float64()}
}

// At every bound cheating brings no more than it may, and just below it does.
func TestBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	for range 50_000 {
		d, c := random(r)
		if err := d.Validate(); err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		than, kind := 0.0, "/nothing"
		if r.IntN(2) == 0 {
			than, kind = d.Honest(), "/honest"
		}
		at := func(name string, profit, below, slack float64) {
			t.Helper()
			seen[name+kind]++
			if !(profit <= than+slack) || !(below > than-slack) {
				t.Fatalf("%s%s: at the bound %v, below it %v, want at most %v: %+v %+v", name, kind, profit, below, than, d, c)
			}
		}
		tiny := 1e-6 * float64(d.PriceUNTX)
		if rate, ok := d.LeastRate(c, than); ok && rate > 0 {
			here, below := c, c
			here.Rate, below.Rate = rate, rate*0.999
			at("rate", d.Profit(d.Shards, here), d.Profit(d.Shards, below), tiny)
		} else if !ok {
			here := c
			here.Rate = 1
			at("no rate", than, d.Profit(d.Shards, here), tiny)
		}
		if n, ok := d.LeastShards(c, than); ok && n > 1 {
			here, below := d, d
			here.Shards, below.Shards = n, n-1
			at("shards", here.Profit(n, c), below.Profit(n-1, c), tiny)
		}
		if !d.Contested() {
			continue
		}
		if s, ok := d.LeastStake(c, than); ok && s > 0 {
			here, below := d, d
			here.Terms.Disputes.AtRiskUNTX, below.Terms.Disputes.AtRiskUNTX = s, s-1
			at("stake", here.Profit(d.Shards, c), below.Profit(d.Shards, c), 1e-3)
		}
	}
	for _, name := range []string{"rate", "no rate", "shards", "stake"} {
		for _, kind := range []string{"/nothing", "/honest"} {
			if seen[name+kind] < 100 {
				t.Errorf("%s%s: tried %d times only", name, kind, seen[name+kind])
			}
		}
	}
}

// Nobody does better with some wrong shards than with none or all, so bounds need look at these two only.
func TestAllOrNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		d, c := random(r)
		_, best := d.Best(c)
		for wrong := range d.Shards + 1 {
			if p := d.Profit(wrong, c); p > best+1e-6*float64(d.PriceUNTX) {
				t.Fatalf("%d of %d wrong: %v, none or all: %v: %+v %+v", wrong, d.Shards, p, best, d, c)
			}
		}
	}
}

// So many vouchers keep the loss to one that does nothing bearable, and one less does not.
func TestUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		d, c := random(r)
		c.Rate = 0.01 + 0.98*c.Rate
		bearable := (0.0001 + 0.9*r.Float64()) * float64(d.PriceUNTX)
		n, ok := d.LeastUnits(c, bearable)
		if !ok || d.Vouchered(n, c) > bearable || n > 1 && d.Vouchered(n-1, c) <= bearable {
			t.Fatalf("%d units, %t: %v, one less %v, bearable %v: %+v %+v", n, ok, d.Vouchered(n, c), d.Vouchered(n-1, c), bearable, d, c)
		}
	}
	if _, ok := deal().LeastUnits(Check{Tells: 1}, 10); ok {
		t.Error("nobody looks, and yet a provider that does nothing gets little")
	}
}
