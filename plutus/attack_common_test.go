package plutus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// labels is the source of the contracts, in which every label stands.
func labels(t *testing.T) (all string) {
	t.Helper()
	files, err := filepath.Glob("contracts/*/*.ak")
	if err != nil || len(files) == 0 {
		t.Fatal("no contracts", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	return all
}

// everywhere is what is tried on every transition.
func everywhere(kind string) []attack {
	beside := "items.one"
	opens := kind == "open" || kind == "terms" || kind == "contested"
	switch {
	case opens:
		beside = "open.alone"
	case slices.Contains([]string{"approve", "claim", "refund", "redeem"}, kind):
		beside = ""
	}
	fake, foreign := beside, beside
	if beside == "" {
		beside, fake, foreign = "items.redeemers", "items.token", "items.token"
	}
	staked := beside
	if strings.HasPrefix(kind, "verdict") {
		beside, fake, foreign, staked = "stakes.redeemers", "stakes.redeemers", "stakes.redeemers", "stakes.taken"
	}
	return []attack{
		{"a stake is spent too", staked, func(w *world, d *chain.Draft) {
			w.spendStake(d, w.stake(0xee, 0, 100_000_000, 0), stakeSlash)
		}},
		{"another policy mints too", "tx.mint", func(w *world, d *chain.Draft) { w.mintsToo(d, w.after()) }},
		{"two other policies mint too", "tx.mint", func(w *world, d *chain.Draft) { w.mintsToo(d, w.afters(2)...) }},
		{"a range longer than allowed", "tx.range", func(w *world, d *chain.Draft) {
			d.Until = d.From + w.longest() + 1
		}},
		{"another script's output is spent too", beside, func(w *world, d *chain.Draft) {
			u, s := otherScript(0xee)
			w.spend(d, u, s)
		}},
		{"an output at our stub with a stake part is spent too", beside, func(w *world, d *chain.Draft) {
			u := w.fake(0xee, 0, Open, true)
			b := append([]byte{0x10}, w.Stub[:]...)
			a, err := chain.AddressFromBytes(append(b, w.requester.Hash[:]...))
			if err != nil {
				panic(err)
			}
			u.Address = a
			w.spend(d, u, w.StubScript)
		}},
		{"a look-alike without a token is spent too", fake, func(w *world, d *chain.Draft) {
			w.spend(d, w.fake(0xee, 0, Open, false), w.StubScript)
		}},
		{"a look-alike with a foreign token is spent too", foreign, func(w *world, d *chain.Draft) {
			w.spend(d, w.fake(0xee, 0, Committed, true), w.StubScript)
		}},
		{"the redeemer is of no transition", "redeemer", func(_ *world, d *chain.Draft) {
			d.Mint[0].Redeemer = raw(data.NewConstr(17))
		}},
		{"lots born of no slice", "tx.born", act(Action{Kind: KindBorn})},
		{"lots born beside another policy than that of slices", "tx.mint", func(w *world, d *chain.Draft) {
			act(Action{Kind: KindBorn})(w, d)
			w.mintsToo(d, w.after())
		}},
		{"the redeemer is a number", "redeemer", func(_ *world, d *chain.Draft) {
			d.Mint[0].Redeemer = raw(integer(7))
		}},
		{"the policy does not run", "stub.policy", func(w *world, d *chain.Draft) {
			if opens {
				w.spend(d, w.fake(0xee, 0, Open, true), w.StubScript)
			}
			d.Mint, d.Outputs = nil, nil
		}},
		{"another policy runs in its place", "stub.policy", func(w *world, d *chain.Draft) {
			if opens {
				w.spend(d, w.fake(0xee, 0, Open, true), w.StubScript)
			}
			s := chaintest.Accepts(2)
			d.Mint = []chain.Mint{{Policy: chain.HashScript(s), Assets: map[string]int64{"x": 1}, Redeemer: raw(data.NewConstr(0))}}
			d.Scripts = append(d.Scripts, s)
			d.Outputs = nil
		}},
		{"a stranger pays with coins and NTX of its own", "", func(w *world, d *chain.Draft) {
			for _, u := range purse(w.stranger) {
				d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
			}
		}},
	}
}
