package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/plutus"
)

const root = "../.."

func contracts(t *testing.T) *plutus.Contracts {
	t.Helper()
	params, err := plutus.Preprod()
	if err != nil {
		t.Fatal(err)
	}
	c, err := plutus.New(preprod, params)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is claimed holds, and the page says what is played.
func TestClaims(t *testing.T) {
	r, err := play(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := failed(r.claims()); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	want, err := between(text, r.generated())
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(text) {
		t.Errorf("%s is not what is played now: run make sim-trust", page)
	}
	if again, err := between(want, r.generated()); err != nil || string(again) != string(want) {
		t.Errorf("writing the page twice changes it: %v", err)
	}
}

// Where nobody looks, cheats do well, and it is said.
func TestClaimsCanFail(t *testing.T) {
	fees, err := readFees(filepath.Join(root, "bench", "settlement.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Setup){
		"profit by lot, lazy":           func(s *Setup) { s.Rate = 0.005 },
		"more than honest by lot, lazy": func(s *Setup) { s.Rate = 0 },
		"false disputes":                func(s *Setup) { s.Crook = 0.5 },
		"cost of verification":          func(s *Setup) { s.Rate = 0.2 },
	} {
		s := standard()
		s.Jobs = 2000
		change(&s)
		res, err := Run(s, contracts(t), fees)
		if err != nil {
			t.Fatal(err)
		}
		r := &report{setup: s, fees: fees, result: res}
		if err := failed(r.claims()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where there is no bound, the tables say so.
func TestNoBounds(t *testing.T) {
	r := &report{setup: standard()}
	if got, want := r.units([]float64{0})[1], ([]string{"0 %", "none", "none", "none", "none", "none"}); !slices.Equal(got, want) {
		t.Errorf("nobody looks: %q, want %q", got, want)
	}
	if got, want := r.captures([]float64{1})[1], ([]string{"100 %", "100.0 %", "none", "none"}); !slices.Equal(got, want) {
		t.Errorf("all attesters are for hire: %q, want %q", got, want)
	}
	r.result = Result{FalseLoss: 2, HonestPrice: 1000, HonestLots: 1, FalseFees: 1, Audits: 50, Priced: 1000, DisputeFees: 1}
	if p, ok := r.result.falsePrice(); ok {
		t.Errorf("false disputes cost 0.2 %% without fees, and in lots worth %v ADA less than 0.1 %% with them", p)
	}
	if p, ok := r.checkedPrice(); ok {
		t.Errorf("verification costs 5 %% without fees, and in lots worth %v ADA less with them", p)
	}
	r.setup.Deal.Terms.Disputes = plutus.Disputes{}
	if got, want := r.units([]float64{0.03})[1][:4], ([]string{"3 %", "none", "none", "none"}); !slices.Equal(got, want) {
		t.Errorf("no attesters: %q, want %q", got, want)
	}
}

// What is played comes close to what the formulas say, and never mints a µNTX: escrow.Step sees to that by lot.
func TestPlayedAsExpected(t *testing.T) {
	fees, err := readFees(filepath.Join(root, "bench", "settlement.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := standard()
	s.Crook = 0
	s.Providers, s.Requesters = []Share{{Lazy, 0.5}, {Sparing, 0.5}}, []Share{{Auditor, 1}}
	res, err := Run(s, contracts(t), fees)
	if err != nil {
		t.Fatal(err)
	}
	for kind, wrong := range map[Kind]uint32{Lazy: s.Deal.Shards, Sparing: 1} {
		sum := res.By[kind]
		got, want := sum.Profit/sum.Lots, s.Deal.Profit(wrong, s.check(0))
		found := s.check(0).Finds(wrong)
		spread := math.Sqrt(found*(1-found)/sum.Lots) * (s.Deal.Paid() - s.Deal.Found(s.check(0)))
		if math.Abs(got-want) > 4*spread {
			t.Errorf("%s: %.0f µNTX a lot, the formula says %.0f ± %.0f", kind, got, want, spread)
		}
	}
	if again, err := Run(s, contracts(t), fees); err != nil || *again.By[Lazy] != *res.By[Lazy] {
		t.Errorf("the same market comes to something else: %v", err)
	}
}

// Markets that cannot be are refused.
func TestInvalid(t *testing.T) {
	for name, change := range map[string]func(*Setup){
		"shares":    func(s *Setup) { s.Providers = slices.Clone(s.Providers); s.Providers[0].Of = 0.5 },
		"negative":  func(s *Setup) { s.Requesters = []Share{{Auditor, 1.5}, {Griefing, -0.5}} },
		"terms":     func(s *Setup) { s.Deal.Terms.Disputes.Threshold = 1 },
		"rate":      func(s *Setup) { s.Rate = 2 },
		"no shards": func(s *Setup) { s.Deal.Shards = 0 },
	} {
		s := standard()
		if change(&s); s.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
