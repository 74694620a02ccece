package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/trust"
	"github.com/tallycompute/tally/plutus"
)

// Setup is a market: who is in it, and what they agree on.
type Setup struct {
	Seed  uint64
	Jobs  int
	Lots  int // of each job
	Deal  trust.Deal
	Rate  float64 // at which honest requesters run shards again
	Crook float64 // share of attesters that say what a dishonest party likes

	Providers  []Share
	Requesters []Share
}

// Share is how many of all are of a kind.
type Share struct {
	Kind Kind
	Of   float64
}

// Kind is how somebody behaves.
type Kind string

// Providers.
const (
	Worker    Kind = "honest provider"
	Lazy      Kind = "lazy: returns nonsense"
	Sparing   Kind = "sparing: one wrong shard"
	Colluding Kind = "colluding: nonsense, and attesters for hire"
	NoShow    Kind = "no-show"
	Late      Kind = "late: works, and misses commit_by"
)

// Requesters.
const (
	Auditor     Kind = "honest requester"
	Griefing    Kind = "griefing: disputes what is right"
	Withholding Kind = "withholding: never approves"
)

const ntx = market.UNTX

// standard is the market of the tables. Bond and penalty are what offers ask by default.
func standard() Setup {
	const price = 5 * ntx
	return Setup{
		Seed: 1, Jobs: 10_000, Lots: 4, Rate: 0.01, Crook: 0.05,
		Deal: trust.Deal{
			PriceUNTX: price, WorkUNTX: price * 7 / 10, Shards: 100,
			Terms: terms(plutus.Disputes{
				VerdictMS: 8 * hour, BondUNTX: price / 10, CostUNTX: price / 10, SlashBps: 1000, ShareBps: 10_000,
				AtRiskUNTX: price, Payee: payee, Threshold: 2, Attesters: attesters(3),
			}),
		},
		Providers:  []Share{{Worker, 0.88}, {Lazy, 0.04}, {Sparing, 0.02}, {Colluding, 0.02}, {NoShow, 0.02}, {Late, 0.02}},
		Requesters: []Share{{Auditor, 0.96}, {Griefing, 0.01}, {Withholding, 0.03}},
	}
}

const (
	minute = 60_000
	hour   = 60 * minute
)

var payee = chain.KeyHash{3}

// terms are those of a job of two hours, from time 0 on.
func terms(d plutus.Disputes) plutus.Terms {
	return plutus.Terms{
		Requester: chain.Enterprise(preprod, chain.KeyHash{1}), DeclineBy: 15 * minute, CommitBy: 3 * hour, ReviewMS: 2 * hour,
		BondBps: market.DefaultBondBps, PenaltyBps: market.DefaultPenaltyBps, LotLovelace: 2_000_000,
		VoucherKey: plutus.KeyOf(key(1 << 32)), Disputes: d,
	}
}

// key is the n-th key of the market.
func key(n uint64) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return ed25519.NewKeyFromSeed(seed)
}

func attesters(n int) plutus.Keys {
	var all []plutus.PublicKey
	for i := range n {
		all = append(all, plutus.KeyOf(key(uint64(i))))
	}
	return plutus.NewKeys(all...)
}

// Validate wants shares that are whole, and terms and deals that contracts would take.
func (s Setup) Validate() error {
	for _, shares := range [][]Share{s.Providers, s.Requesters} {
		sum := 0.0
		for _, x := range shares {
			sum += x.Of
		}
		if sum < 1-1e-9 || sum > 1+1e-9 || slices.ContainsFunc(shares, func(x Share) bool { return x.Of < 0 }) {
			return fmt.Errorf("the shares are %v together", sum)
		}
	}
	if err := s.Deal.Terms.Validate(); err != nil {
		return err
	}
	if err := s.check(0).Validate(); err != nil {
		return err
	}
	return s.Deal.Validate()
}

// check is what a provider faces that knows what share of panels is on its side.
func (s Setup) check(captured float64) trust.Check {
	return trust.Check{Rate: s.Rate, Tells: 1, Captured: captured} // files are compared byte for byte
}
