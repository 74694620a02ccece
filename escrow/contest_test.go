package escrow_test

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

const (
	disputeBond = 4_000_000
	disputeCost = 1_000_000
)

func signer(n byte) ed25519.PrivateKey {
	seed := [ed25519.SeedSize]byte{n}
	return ed25519.NewKeyFromSeed(seed[:])
}

// contest opens a job with vouchers and disputes, which two of three attesters decide.
func (w *world) contest(providers ...*party) *opened {
	w.Helper()
	return w.openWith(func(t *plutus.Terms) {
		t.VoucherKey = plutus.KeyOf(signer(9))
		t.Disputes = plutus.Disputes{
			VerdictMS: 200_000, BondUNTX: disputeBond, CostUNTX: disputeCost, SlashBps: 1000, ShareBps: 5000,
			Payee: chaintest.NewActor("payee").Hash, Threshold: 2,
			Attesters: plutus.NewKeys(plutus.KeyOf(signer(1)), plutus.KeyOf(signer(2)), plutus.KeyOf(signer(3))),
		}
	}, providers...)
}

// disputed brings a provider's lot to a dispute: its result is committed, and the requester finds it wrong.
func (o *opened) disputed(p *party) {
	o.Helper()
	o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: o.ledger.Now()})
	o.until(o.ledger.Now()+chain.Time(policy.Patience)+10_000, 5)
	o.is(p, escrow.Committed)
	o.knows(o.requester, p, escrow.Facts{Faulty: true})
	o.act()
	o.block(2)
	o.is(p, escrow.Disputed)
	if l := o.lot(p); l.Root != root || l.Deadline < o.ledger.Now()+200_000 {
		o.Fatalf("disputed: root %x, deadline %d", l.Root, l.Deadline)
	}
}

// decided is a verdict of two attesters on a provider's lot.
func (o *opened) decided(p *party, award, slash uint64) *plutus.Verdict {
	o.Helper()
	l := o.lot(p)
	u, ok, err := p.book.Held(o.Context(), l.Ref)
	o.must(err)
	held, err := o.contracts.ReadLot(u, o.terms)
	if err != nil || !ok {
		o.Fatalf("the lot's output: %v, %v", ok, err)
	}
	v := &plutus.Verdict{AwardUNTX: award, SlashUNTX: slash}
	for _, n := range []byte{3, 1} {
		v.Signatures = append(v.Signatures, o.contracts.Attest(signer(n), held, award, slash, 0))
	}
	o.must(v.Verify(o.contracts, held, o.terms))
	return v
}

// balance is what a job's parties have, with what changed since.
type balance struct{ provider, requester uint64 }

func (o *opened) balance(p *party) balance { return balance{p.ntx(o.world), o.requester.ntx(o.world)} }

// gained compares what parties have with before a job was opened.
func (o *opened) gained(p *party, before balance, provider, requester int64) {
	o.Helper()
	now := o.balance(p)
	if g, h := int64(now.provider-before.provider), int64(now.requester-before.requester); g != provider || h != requester {
		o.Errorf("the provider gained %d, want %d; the requester %d, want %d", g, provider, h, requester)
	}
}

// start is a world with one provider, what its parties have, and a contested job.
func start(t *testing.T) (*opened, *party, balance) {
	t.Helper()
	w := newWorld(t, 1)
	p := w.providers[0]
	before := balance{p.ntx(w), w.requester.ntx(w)}
	return w.contest(p), p, before
}

// TestVerdict: the attesters find half of the result wrong; whoever hears of it first has it carried out.
func TestVerdict(t *testing.T) {
	for _, role := range []string{"provider", "requester"} {
		t.Run(role, func(t *testing.T) {
			o, p, before := start(t)
			o.disputed(p)
			f, who := escrow.Facts{Verdict: o.decided(p, price/2, penalty)}, p
			if role == "requester" {
				who = o.requester
			}
			o.knows(who, p, f)
			o.act()
			o.block(2)
			o.is(p, escrow.Judged)
			o.gained(p, before, price/2-disputeCost-penalty, -price/2)
			if l := o.lot(p); l.ToPayeeUNTX != disputeCost || l.ToSinkUNTX != penalty || l.AwardUNTX != price/2 {
				t.Errorf("%+v", l)
			}
		})
	}
}

// TestLapse: nobody decides; the provider, or without it the requester, splits the price from the deadline on.
func TestLapse(t *testing.T) {
	for _, gone := range []bool{false, true} {
		o, p, before := start(t)
		o.disputed(p)
		end := o.lot(p).Deadline
		if gone {
			p.do.Book = noLots{p.book}
			end += chain.Time(policy.Grace)
		}
		o.until(end-3000, 2)
		o.is(p, escrow.Disputed)
		o.until(end+20_000, 5)
		o.is(p, escrow.Lapsed)
		o.gained(p, before, price/2+disputeCost, -price/2-disputeCost)
		who := p
		if gone {
			who = o.requester
		}
		if !slices.Contains(who.acted, "lapse 1") {
			t.Errorf("%v: the provider did %v, the requester %v", gone, p.acted, o.requester.acted)
		}
	}
}

// TestConcede: the requester gives up; a provider cannot.
func TestConcede(t *testing.T) {
	o, p, before := start(t)
	o.disputed(p)
	o.knows(p, p, escrow.Facts{Concede: true})
	o.act()
	o.block(2)
	o.is(p, escrow.Disputed)
	o.knows(o.requester, p, escrow.Facts{Concede: true})
	o.act()
	o.block(2)
	o.is(p, escrow.Conceded)
	o.gained(p, before, price, -price-disputeCost)
}

// TestTooLateToDispute: from claim_at on the provider's claim is all there is.
func TestTooLateToDispute(t *testing.T) {
	o, p, before := start(t)
	o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: o.ledger.Now()})
	o.until(o.ledger.Now()+chain.Time(policy.Patience)+10_000, 5)
	o.until(o.lot(p).ClaimAt+3000, 5)
	o.knows(o.requester, p, escrow.Facts{Faulty: true})
	o.block(5)
	o.block(5)
	o.is(p, escrow.Claimed)
	o.gained(p, before, price, -price)
}

// TestVouchersTogether: what two jobs vouched for is redeemed in one transaction, in time.
func TestVouchersTogether(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	before := balance{p.ntx(w), w.requester.ntx(w)}
	first := w.contest(p)
	second := w.contest(p)
	for i, o := range []*opened{first, second} {
		v := o.contracts.SignVoucher(signer(9), o.id, p.Hash, uint64(i+1)*1000)
		o.knows(p, p, escrow.Facts{InputsReady: true, Voucher: &v})
	}
	// Time passes without a block until both are due.
	w.ledger.Tick(chain.Slot((second.terms.CommitBy - chain.Time(policy.CommitLead) - w.ledger.Now()) / 1000))
	w.block(3)
	w.block(3)
	first.is(p, escrow.Redeemed)
	second.is(p, escrow.Redeemed)
	first.gained(p, before, 3000, -3000)
	if !slices.Equal(p.acted, []string{"redeem 2"}) {
		t.Errorf("the provider did %v", p.acted)
	}
}
