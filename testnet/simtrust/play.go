package main

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// lot is one that is played, and what its parties do beyond what a lot's state says.
type lot struct {
	contracts *plutus.Contracts
	terms     plutus.Terms
	price     uint64
	key       escrow.Key

	result  chain.Time // when the provider has a result; 0: never
	looked  chain.Time // when the requester knows what it wants
	wants   escrow.Kind
	votes   []vote          // of attesters, once it is disputed
	verdict *plutus.Verdict // what they come to; nil: nothing that the contracts carry out
}

// vote is what an attester says of a disputed lot.
type vote struct {
	attester uint64
	hired    bool // and says what it is paid for
	right    bool
}

// honest is how many attesters look before they vote.
func (p *lot) honest() (n int) {
	for _, v := range p.votes {
		if !v.hired {
			n++
		}
	}
	return n
}

// paid is what a played lot brought and cost.
type paid struct {
	end  escrow.Lot
	fees map[escrow.Role]float64 // ADA
}

// policy is when daemons act on public networks.
var policy = escrow.Policy{DeclineLead: 5 * minute, CommitLead: 15 * minute, Patience: 10 * minute, Grace: 10 * minute}

// play takes a lot from its opening to its end, everybody doing what is due to be done.
func (p *lot) play(fees map[escrow.Kind]float64) (paid, error) {
	l, err := escrow.Step(escrow.Lot{Key: p.key}, escrow.Event{
		Kind: escrow.KindOpen, Terms: p.terms, PriceUNTX: p.price, BondUNTX: plutus.BondOf(p.price, p.terms.BondBps),
		Lovelace: p.terms.LotLovelace,
	})
	r := paid{fees: map[escrow.Role]float64{escrow.Requester: fees[escrow.KindOpen]}}
	for now := chain.Time(1); err == nil && !l.Status.Final(); {
		who, kind, next := p.due(l, now)
		if kind == "" {
			if next <= now {
				return r, fmt.Errorf("a lot that is %s at %d has no future", l.Status, now)
			}
			now = next
			continue
		}
		r.fees[who] += fees[kind]
		l, err = p.step(l, kind, now)
	}
	r.end = l
	return r, err
}

// due is what happens next, by whom, or else when to look again. A provider that is to be paid goes first.
func (p *lot) due(l escrow.Lot, now chain.Time) (escrow.Role, escrow.Kind, chain.Time) {
	var next chain.Time
	for _, t := range []chain.Time{p.result, p.looked} {
		next = soonest(next, t, now)
	}
	for _, who := range []escrow.Role{escrow.Provider, escrow.Requester} {
		kind, at := escrow.Due(who, l, p.facts(who, l, now), policy, now)
		if kind != "" {
			return who, kind, 0
		}
		next = soonest(next, at, now)
	}
	return 0, "", next
}

// soonest is the earlier of two times that are still to come; 0 is none.
func soonest(a, b, now chain.Time) chain.Time {
	if b <= now || a > now && a < b {
		return a
	}
	return b
}

// facts are what a party knows.
func (p *lot) facts(who escrow.Role, l escrow.Lot, now chain.Time) (f escrow.Facts) {
	f.Verdict = p.verdict
	if who == escrow.Requester {
		known := p.looked > 0 && now >= p.looked
		f.Verified, f.Faulty = known && p.wants == escrow.KindApprove, known && p.wants == escrow.KindDispute
		return f
	}
	f.InputsReady = true
	if p.result > 0 && now >= p.result {
		f.Result, f.ResultAt = &[32]byte{1}, p.result
	}
	return f
}

// opinions are the attesters' signatures under what each says of a disputed lot.
func (p *lot) opinions(l escrow.Lot) map[market.Key]market.Opinion {
	all := map[market.Key]market.Opinion{}
	for _, v := range p.votes {
		o := market.Opinion{Lot: l.Ref, AwardUNTX: l.PriceUNTX}
		if !v.right {
			o.AwardUNTX, o.SlashUNTX = 0, plutus.PenaltyOf(l.PriceUNTX, l.Terms.Disputes.SlashBps)
			o.TakenUNTX = l.Terms.Disputes.AtRiskUNTX
		}
		k := key(v.attester)
		a := p.contracts.Attest(k, l.OnChain(), o.AwardUNTX, o.SlashUNTX, o.TakenUNTX)
		o.Signature = a.Signature[:]
		all[market.Key(a.Attester)] = o
	}
	return all
}

// step is what a transition does to the lot, with the amounts that the contracts would pay.
func (p *lot) step(l escrow.Lot, k escrow.Kind, now chain.Time) (escrow.Lot, error) {
	e := escrow.Event{Kind: k}
	switch k {
	case escrow.KindCommit:
		e.Root, e.ClaimAt = [32]byte{1}, now+chain.Time(p.terms.ReviewMS)
		return escrow.Step(l, e)
	case escrow.KindDispute:
		e.Deadline = now + chain.Time(p.terms.Disputes.VerdictMS)
		l, err := escrow.Step(l, e)
		if err == nil {
			p.verdict = escrow.Collect(p.contracts, l, p.opinions(l))
		}
		return l, err
	case escrow.KindVerdict:
		e.AwardUNTX, e.ToSinkUNTX, e.TakenUNTX = p.verdict.AwardUNTX, p.verdict.SlashUNTX, p.verdict.TakenUNTX
	}
	s, err := l.OnChain().Split(plutus.Kind(k), l.Terms, e.AwardUNTX, e.ToSinkUNTX)
	if err != nil {
		return l, err
	}
	e.ToProviderUNTX, e.ToRequesterUNTX, e.ToPayeeUNTX = s.ProviderUNTX, s.RequesterUNTX, s.PayeeUNTX
	return escrow.Step(l, e)
}
