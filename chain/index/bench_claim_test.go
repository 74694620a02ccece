//go:build bench

package index_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet/measure"
)

const benchRepeats = 51

// medianTime is what f takes, usually.
func medianTime(f func()) float64 {
	var times []float64
	for range benchRepeats {
		start := time.Now()
		f()
		times = append(times, time.Since(start).Seconds())
	}
	return median(times)
}

// benchBuilding times what a wallet does before it submits.
func benchBuilding(t *testing.T) []measure.Measure {
	return []measure.Measure{
		{Name: "chain/claim/build_evaluate_sign", Value: 1000 * benchClaim(t), Unit: "ms"},
		{Name: "chain/coins/payment_from_10000_utxos", Value: 1000 * benchCoins(t), Unit: "ms"},
	}
}

// benchCoins builds a payment of an asset out of a wallet of ten thousand outputs; a coin is chosen, fees are exact.
func benchCoins(t *testing.T) float64 {
	alice, bob := chaintest.NewActor("alice"), chaintest.NewActor("bob")
	asset := chain.AssetID{Policy: policyOfNTX, Name: "tNTX"}
	random := rand.New(rand.NewPCG(1, 2))
	var have []chain.UTxO
	for i := range 10_000 {
		v := chain.Coins(chain.Lovelace(1_200_000 + random.Uint64N(8_000_000)))
		if i%3 > 0 {
			v = v.With(asset, 1+random.Uint64N(2_000_000))
		}
		have = append(have, alice.Coin(uint32(i), v))
	}
	d := chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Value{}.With(asset, 20_000_000)}}}
	return medianTime(func() {
		if _, err := chain.Balance(d, have, alice.Address, nil, chaintest.Params(), chaintest.Clock(), chaintest.Network()); err != nil {
			t.Fatal(err)
		}
	})
}

var policyOfNTX = chain.ScriptHash{0x77}

// benchClaim drafts the claim of a committed lot, chooses coins, evaluates both scripts, which are published, and signs.
func benchClaim(t *testing.T) float64 {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ntx := chain.AssetID{Policy: policyOfNTX, Name: "tNTX"}
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(ntx))
	must(err)
	requester, provider := chaintest.NewActor("requester"), chaintest.NewActor("provider")
	const price, bondBps = 25_000_000, 2000
	purse := chain.Coins(3_000_000_000).With(ntx, 1_000_000_000)
	seed, bond := requester.Coin(1, chain.Coins(5_000_000)), provider.Coin(1, purse)
	genesis := []chain.UTxO{seed, bond}
	for _, a := range []chaintest.Actor{requester, provider} {
		genesis = append(genesis, a.Coin(0, purse), a.Coin(2, purse), a.Coin(9, chain.Coins(20_000_000)))
	}
	l := chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), genesis)
	build := func(d chain.Draft, payer chaintest.Actor) *chain.Tx {
		var coins []chain.UTxO
		for _, u := range l.UTxOs(payer.Address) {
			if u.Ref != seed.Ref && u.Ref != bond.Ref && u.Ref.Index != 9 && u.Script == nil {
				coins = append(coins, u)
			}
		}
		tx, err := chain.Balance(d, coins, payer.Address, []chain.UTxO{payer.Coin(9, chain.Coins(20_000_000))}, l.Params(), l.Clock(), l.Network())
		must(err)
		return tx
	}
	land := func(tx *chain.Tx, signers ...chaintest.Actor) {
		for _, a := range signers {
			must(a.Sign(tx))
		}
		must(l.Submit(tx.Bytes()))
		_, err := l.Forge(1)
		must(err)
	}
	frame := func() plutus.Frame {
		return plutus.Frame{From: l.Slot(), Until: l.Slot() + 30, References: c.FindReferences(l.UTxOs())}
	}
	land(build(c.Deploy(frame()), requester), requester)
	now := l.Now()
	terms := plutus.Terms{
		Seed: seed.Ref, Requester: requester.Address, DeclineBy: now + 200_000, CommitBy: now + 1_000_000, ReviewMS: 300_000,
		BondBps: bondBps, PenaltyBps: 1000, LotLovelace: 2_000_000, Rest: [32]byte{1},
	}
	lot := func() plutus.Lot {
		for _, u := range l.UTxOs(c.Address) {
			if got, err := c.ReadLot(u, terms); err == nil {
				return got
			}
		}
		t.Fatal("no lot")
		return plutus.Lot{}
	}
	open, err := c.Open(terms, []plutus.Part{{Provider: provider.Address, PriceUNTX: price, BondInput: bond, BondChange: provider.Address}}, seed, frame())
	must(err)
	land(build(open, requester), requester, provider)
	f := frame()
	claimAt := plutus.ClaimAt(terms, f.Until, l.Clock())
	commit, err := c.Commit(lot(), terms, [32]byte{2}, claimAt, f)
	must(err)
	land(build(commit, provider), provider)
	for l.Now() < claimAt {
		l.Tick(10)
	}
	committed, f := lot(), frame()
	var last *chain.Tx
	took := medianTime(func() {
		claim, err := c.Claim([]plutus.Lot{committed}, f)
		must(err)
		last = build(claim, provider)
		must(provider.Sign(last))
	})
	land(last) // what was timed is what the ledger takes
	return took
}
