package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// Sum is what all of a kind had of their lots. Amounts are µNTX, or lovelace where they say so.
type Sum struct {
	Lots, Priced float64 // and their prices
	Profit       float64 // a provider's with its work taken off; a requester's: what it did not pay of the prices
	Gain         float64 // of that, more than the honest would have had of the same lots
	Fees         float64 // ADA, its own
	Wrong, Found float64 // lots with a wrong shard, and those of them that the provider lost
}

// Result is what a market came to.
type Result struct {
	By map[Kind]*Sum

	Priced      float64 // of all lots
	Audits      float64 // work of requesters that ran shards again
	Verdicts    float64 // work of attesters
	DisputeFees float64 // ADA that lots cost beyond opening and approval, of everybody; a claim from who looks at nothing aside
	FalseLoss   float64 // what honest providers lost to disputes of what is right
	FalseFees   float64 // ADA that these cost them
	HonestPrice float64 // of honest providers' lots
	HonestLots  float64
}

// simulation is a market that is being played.
type simulation struct {
	Setup
	contracts *plutus.Contracts
	fees      map[escrow.Kind]float64
	rand      *rand.Rand
	Result
}

// Run plays all jobs of a market.
func Run(s Setup, c *plutus.Contracts, fees map[escrow.Kind]float64) (Result, error) {
	if err := s.Validate(); err != nil {
		return Result{}, err
	}
	m := &simulation{Setup: s, contracts: c, fees: fees, rand: rand.New(rand.NewPCG(s.Seed, 0)), Result: Result{By: map[Kind]*Sum{}}}
	for job := range s.Jobs {
		if err := m.job(uint32(job)); err != nil {
			return Result{}, fmt.Errorf("job %d: %w", job, err)
		}
	}
	return m.Result, nil
}

// pick draws a kind.
func (m *simulation) pick(shares []Share) Kind {
	x := m.rand.Float64()
	for _, s := range shares {
		if x < s.Of {
			return s.Kind
		}
		x -= s.Of
	}
	return shares[0].Kind // rounding
}

// job plays one requester's lots. The panel of attesters is one for all of them.
func (m *simulation) job(n uint32) error {
	buyer := m.pick(m.Requesters)
	crooks := make([]bool, len(m.Deal.Terms.Disputes.Attesters.List()))
	for i := range crooks {
		crooks[i] = m.rand.Float64() < m.Crook
	}
	for i := range m.Lots {
		k := escrow.Key{Job: plutus.JobID{byte(n >> 16), byte(n >> 8), byte(n)}, Provider: chain.KeyHash{byte(i)}}
		if err := m.lot(k, buyer, m.pick(m.Providers), crooks); err != nil {
			return fmt.Errorf("lot %d of a requester, %s: %w", i, buyer, err)
		}
	}
	return nil
}

// When things are done, from the opening on. Nonsense needs no time.
const (
	worked  = 2 * hour
	missed  = 4 * hour
	audited = 10 * minute
)

// lot plays one lot and adds up what it brought.
func (m *simulation) lot(k escrow.Key, buyer, seller Kind, crooks []bool) error {
	d := m.Deal
	p := &lot{contracts: m.contracts, terms: d.Terms, price: d.PriceUNTX, key: k, result: worked}
	wrong, work := uint32(0), float64(d.WorkUNTX)
	switch seller {
	case Lazy, Colluding:
		wrong, work, p.result = d.Shards, 0, minute
	case Sparing:
		wrong, work = 1, work*float64(d.Shards-1)/float64(d.Shards)
	case NoShow:
		p.result, work = 0, 0
	case Late:
		p.result = missed
	}
	delivers := p.result > 0 && p.result < d.Terms.CommitBy
	m.requester(p, buyer, delivers, wrong)
	m.attesters(p, buyer, seller, crooks)
	r, err := p.play(m.fees)
	if err != nil {
		return err
	}
	m.add(p, r, buyer, seller, wrong, work)
	return nil
}

// requester decides what is wanted of a lot. An honest one draws the shards that it runs again when all results are in.
func (m *simulation) requester(p *lot, buyer Kind, delivers bool, wrong uint32) {
	if !delivers || buyer == Withholding {
		return
	}
	p.looked, p.wants = p.result+audited, escrow.KindApprove
	if buyer == Griefing {
		p.wants = escrow.KindDispute
		return
	}
	each := float64(m.Deal.WorkUNTX) / float64(m.Deal.Shards)
	for shard := range m.Deal.Shards {
		if m.rand.Float64() >= m.Rate {
			continue
		}
		m.Audits += each
		if shard < wrong {
			m.Audits += each // what differs is run once more
			p.wants = escrow.KindDispute
			return
		}
	}
}

// attesters vote on a lot if it comes to that: honest ones say what is so; those for hire say what a colluding provider
// wants, or else a griefing requester.
func (m *simulation) attesters(p *lot, buyer, seller Kind, crooks []bool) {
	if p.wants != escrow.KindDispute {
		return
	}
	for i, crook := range crooks {
		right := seller != Lazy && seller != Sparing && seller != Colluding
		switch {
		case crook && seller == Colluding:
			right = true
		case crook && buyer == Griefing:
			right = false
		}
		p.votes = append(p.votes, vote{uint64(i), crook, right})
	}
}

// add takes a played lot into the sums.
func (m *simulation) add(p *lot, r paid, buyer, seller Kind, wrong uint32, work float64) {
	l, d := r.end, m.Deal
	price, honest := float64(d.PriceUNTX), d.Honest()
	disputed := has(l, escrow.KindDispute)
	got := float64(l.ToProviderUNTX) - float64(l.BondUNTX) - float64(l.TakenUNTX)
	spared := float64(l.ToRequesterUNTX)
	if disputed {
		spared -= float64(d.Terms.Disputes.BondUNTX)
		m.Verdicts += float64(p.honest()) * m.again(wrong)
	}
	if disputed || has(l, escrow.KindApprove) {
		m.DisputeFees += r.fees[escrow.Provider] + r.fees[escrow.Requester] - m.fees[escrow.KindOpen] - m.fees[escrow.KindApprove]
	}
	m.Priced += price

	s := m.of(seller)
	s.Lots, s.Priced, s.Profit, s.Fees = s.Lots+1, s.Priced+price, s.Profit+got-work, s.Fees+r.fees[escrow.Provider]
	s.Gain += got - work - honest
	if wrong > 0 {
		s.Wrong++
		if got < price {
			s.Found++
		}
	}
	if seller != Worker {
		return
	}
	m.HonestLots, m.HonestPrice = m.HonestLots+1, m.HonestPrice+price
	if disputed {
		m.FalseLoss += max(0, price-got)
		m.FalseFees += r.fees[escrow.Provider]
	}
	b := m.of(buyer)
	b.Lots, b.Priced, b.Profit, b.Gain, b.Fees = b.Lots+1, b.Priced+price, b.Profit+spared, b.Gain+spared, b.Fees+r.fees[escrow.Requester]
}

// again is an attester's work on a lot: it runs shard after shard, until one is wrong, and that once more. The wrong ones are
// supposed to come last.
func (m *simulation) again(wrong uint32) float64 {
	runs := m.Deal.Shards
	if wrong > 0 {
		runs += 2 - wrong
	}
	return float64(m.Deal.WorkUNTX) * float64(runs) / float64(m.Deal.Shards)
}

// has says whether a lot went through a transition.
func has(l escrow.Lot, k escrow.Kind) bool {
	_, ok := l.Txs[k]
	return ok
}

// of is the sum of a kind.
func (m *simulation) of(k Kind) *Sum {
	if m.By[k] == nil {
		m.By[k] = &Sum{}
	}
	return m.By[k]
}
