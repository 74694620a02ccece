//go:build soak

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// What every job of the soak is: an opening by requester and provider, then an approval by the requester's actor.
const (
	soakPrice    = 25_000_000 // µNTX
	soakBond     = soakPrice / 5
	soakLot      = chain.Lovelace(2_000_000)
	soakInFlight = 30                   // at most
	soakValidity = 40 * time.Second     // of transactions, in the chain's time
	soakMargin   = 10 * time.Second     // until one that has expired is given up
	soakDeep     = 8                    // blocks after which a settled job is done: no rollback goes that deep
	soakUndo     = 5                    // blocks, at most
	soakCoins    = 40                   // of each party
	soakADA      = chain.Lovelace(1000) // in each coin
)

// ground is what a soak runs on: a ledger in memory, or a node.
type ground interface {
	link
	// next returns when there is another block, and says which.
	next(ctx context.Context) (chain.Point, error)
	// undo takes so many blocks back.
	undo(ctx context.Context, blocks int) error
}

// soak is a requester's one wallet with many jobs under way, and the provider they are with.
type soak struct {
	*testing.T
	ground
	ntx             chain.AssetID
	contracts       *plutus.Contracts
	buyer, seller   *payer
	actor           *escrow.Actor
	jobs            []*soakJob // not done yet
	started, done   int
	anew, undone    int
	most, sum, turn int // jobs in flight
	joined          map[chain.TxID]bool
}

// soakJob is a job that was opened, and how it stands.
type soakJob struct {
	key     escrow.Key
	raw     []byte
	until   chain.Slot
	settled int // turns since its lot was first seen paid
}

func newPayerWallet(t *testing.T, name string, net chain.Network) *wallet.Wallet {
	t.Helper()
	w, err := wallet.New(wallet.Secret{PaymentKey: chaintest.NewActor(name).Key.Seed()}, net, wallet.Enterprise())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// newSoak opens both parties on a ground.
func newSoak(t *testing.T, g ground, c *plutus.Contracts, buyer, seller *wallet.Wallet, base []chain.UTxO) *soak {
	t.Helper()
	s := &soak{T: t, ground: g, ntx: c.Params.NTX, contracts: c, joined: map[chain.TxID]bool{}}
	open := func(w *wallet.Wallet) *payer {
		p, err := openPayer(t.Context(), t.TempDir(), w, g, c, base, soakMargin)
		if err != nil {
			t.Fatal(err)
		}
		p.follow(t, g)
		return p
	}
	s.buyer, s.seller = open(buyer), open(seller)
	s.actor = &escrow.Actor{
		Role: escrow.Requester, Contracts: c, Ledger: handIn{g, s.buyer}, Purse: s.buyer.purse, Book: s.buyer.purse.book,
		Policy: escrow.Policy{DeclineLead: 1000, CommitLead: 1000, Patience: 1000, Grace: 1000}, Validity: soakValidity,
		Facts: func(context.Context, escrow.Key) (escrow.Facts, error) { return escrow.Facts{Verified: true}, nil },
		Log:   slog.New(slog.DiscardHandler),
	}
	return s
}

// handIn is a payer's way to the chain, as escrow.Ledger.
type handIn struct {
	rules
	*payer
}

// Submit implements escrow.Ledger.
func (h handIn) Submit(ctx context.Context, tx []byte) error {
	_, err := h.hand.Submit(ctx, tx)
	return err
}

func (s *soak) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// run takes so many jobs to their end, with a rollback every so many turns.
func (s *soak) run(jobs, undoEvery int, seed uint64) {
	s.Helper()
	rnd := rand.New(rand.NewPCG(seed, seed))
	for s.turn = 1; s.done < jobs; s.turn++ {
		if s.turn%undoEvery == 0 {
			n := 1 + rnd.IntN(soakUndo)
			s.must(s.undo(s.Context(), n))
			s.undone += n
		}
		s.sync()
		s.follow()
		if err := s.actor.Act(s.Context()); err != nil {
			s.Log(err)
		}
		for len(s.jobs) < soakInFlight && s.started < jobs+s.anew {
			if !s.open() {
				break
			}
		}
		if s.turn%7 == 0 {
			s.join()
		}
		s.most, s.sum = max(s.most, len(s.jobs)), s.sum+len(s.jobs)
	}
	s.drain()
}

// sync waits for a block, and until both have read it.
func (s *soak) sync() {
	s.Helper()
	p, err := s.next(s.Context())
	s.must(err)
	for _, who := range []*payer{s.buyer, s.seller} {
		for changed := who.ix.Changed(); who.ix.Tip().Slot < p.Slot || who.ix.Tip().Slot == p.Slot && who.ix.Tip().Point != p; changed = who.ix.Changed() {
			select {
			case <-changed:
			case <-s.Context().Done():
				s.must(s.Context().Err())
			}
		}
	}
}

// follow looks at every job under way: hands its opening in again if it is not there, and notes how long it is paid.
func (s *soak) follow() {
	var left []*soakJob
	for _, j := range s.jobs {
		l, err := s.buyer.purse.book.Lot(s.Context(), j.key)
		s.must(err)
		switch {
		case l.Status == escrow.Approved:
			if j.settled++; j.settled > soakDeep {
				s.done++
				if s.done%200 == 0 {
					fmt.Printf("%d jobs done in %d blocks\n", s.done, s.turn)
				}
				continue
			}
		case l.Status != escrow.Absent && l.Status != escrow.Open:
			s.Fatalf("lot %s is %s", j.key, l.Status)
		default:
			j.settled = 0
		}
		if l.Status == escrow.Absent {
			outcome, err := s.buyer.hand.Submit(s.Context(), j.raw)
			if outcome == chain.Refused {
				s.Fatal(err)
			}
			clock, err := s.Clock(s.Context())
			s.must(err)
			if outcome.Lost() && clock.SlotToTime(s.buyer.ix.Tip().Slot) >= clock.SlotToTime(j.until)+chain.Time(soakMargin.Milliseconds()) {
				s.anew++ // it never can come: another job takes its place
				continue
			}
		}
		left = append(left, j)
	}
	s.jobs = left
}

// coin is a free output of a payer's that has so much.
func (s *soak) coin(p *payer, untx uint64) (chain.UTxO, bool) {
	s.Helper()
	all, err := p.purse.book.Coins(s.Context())
	s.must(err)
	free, _, err := p.kept.Coins(s.Context(), all)
	s.must(err)
	for _, u := range free {
		if u.Value.Of(s.ntx) >= untx && u.Value.Coin > 20_000_000 {
			return u, true
		}
	}
	return chain.UTxO{}, false
}

// open opens a job; false: a party has no free coin for it now.
func (s *soak) open() bool {
	s.Helper()
	seed, ok := s.coin(s.buyer, 0)
	bond, ok2 := s.coin(s.seller, soakBond)
	if !ok || !ok2 {
		return false
	}
	clock, err := s.Clock(s.Context())
	s.must(err)
	tip := s.buyer.ix.Tip().Slot
	now := clock.SlotToTime(tip)
	until, err := clock.TimeToSlot(now + chain.Time(soakValidity.Milliseconds()))
	s.must(err)
	terms := plutus.Terms{
		Seed: seed.Ref, Requester: s.buyer.wallet.Address(), DeclineBy: now + 200_000, CommitBy: now + 1_000_000, ReviewMS: 300_000,
		BondBps: 2000, PenaltyBps: 1000, LotLovelace: soakLot,
	}
	part := plutus.Part{Provider: s.seller.wallet.Address(), PriceUNTX: soakPrice, BondInput: bond, BondChange: s.seller.wallet.Address()}
	refs, err := s.buyer.purse.book.References(s.Context())
	s.must(err)
	draft, err := s.contracts.Open(terms, []plutus.Part{part}, seed, plutus.Frame{From: tip, Until: until, References: refs})
	s.must(err)
	tx, err := s.buyer.purse.Pay(s.Context(), draft, "open")
	if errors.Is(err, chain.ErrInsufficient) {
		return false
	}
	s.must(err)
	s.must(s.seller.kept.Reserve(s.Context(), []chain.OutRef{bond.Ref}, "bond "+tx.ID().String(), clock.SlotToTime(until)))
	vkey, sig, err := s.seller.wallet.SignChecked(tx.Body(), func(chain.TxBody) error { return nil })
	s.must(err)
	s.must(tx.AddWitness(vkey, sig))
	id, err := terms.JobID()
	s.must(err)
	s.started++
	s.jobs = append(s.jobs, &soakJob{key: escrow.Key{Job: id, Provider: s.seller.wallet.PaymentKey()}, raw: tx.Bytes(), until: until})
	if outcome, err := s.buyer.hand.Submit(s.Context(), tx.Bytes()); outcome == chain.Refused {
		s.Fatal(err)
	}
	return true
}

// join is what a provider does with the small outputs that settlements leave it.
func (s *soak) join() {
	s.Helper()
	p := s.seller
	all, err := p.purse.book.Coins(s.Context())
	s.must(err)
	free, _, err := p.kept.Coins(s.Context(), all)
	s.must(err)
	clock, err := s.Clock(s.Context())
	s.must(err)
	tip := p.ix.Tip().Slot
	until, err := clock.TimeToSlot(clock.SlotToTime(tip) + chain.Time(soakValidity.Milliseconds()))
	s.must(err)
	d, worth := p.wallet.ConsolidationDraft(free, s.ntx, tip, until)
	if !worth {
		return
	}
	tx, err := p.purse.Pay(s.Context(), d, "consolidate")
	s.must(err)
	s.joined[tx.ID()] = true
	if outcome, err := p.hand.Submit(s.Context(), tx.Bytes()); outcome == chain.Refused {
		s.Fatal(err)
	}
}

// drain waits until every reservation has expired: nothing is lost in one.
func (s *soak) drain() {
	s.Helper()
	for {
		s.sync()
		clock, err := s.Clock(s.Context())
		s.must(err)
		left := 0
		for _, p := range []*payer{s.buyer, s.seller} {
			s.must(p.kept.Expire(s.Context(), clock.SlotToTime(p.ix.Tip().Slot), chain.Time(soakMargin.Milliseconds())))
			all, err := p.kept.All(s.Context())
			s.must(err)
			left += len(all)
		}
		if left == 0 {
			return
		}
	}
}

// balance is what is at a payer's address, as its index has it.
func (s *soak) balance(p *payer) (v chain.Value) {
	s.Helper()
	all, err := p.purse.book.Coins(s.Context())
	s.must(err)
	for _, u := range all {
		v, err = v.Add(u.Value)
		s.must(err)
	}
	return v
}

// fees are what the transactions cost that are in the chain and that a payer had a coin in: those that joined outputs, and
// the others.
func (s *soak) fees(p *payer) (joins, others chain.Lovelace) {
	s.Helper()
	events, err := p.ix.EventsSince(s.Context(), 0, 1<<30)
	s.must(err)
	for _, e := range events {
		if e.Handler != "fees/1" {
			continue
		}
		var id chain.TxID
		s.must(id.UnmarshalText([]byte(e.Key[len("fee/"):])))
		fee, ok, err := blocks{&party{ix: p.ix}}.Fee(s.Context(), id)
		s.must(err)
		if !ok {
			s.Fatalf("no fee of %s", id)
		}
		if s.joined[id] {
			joins += fee
		} else {
			others += fee
		}
	}
	return joins, others
}

// reconcile holds both balances, to the lovelace and the µNTX, against what was paid.
func (s *soak) reconcile(buyer, seller chain.Value, jobs int) {
	s.Helper()
	_, paid := s.fees(s.buyer)
	joins, _ := s.fees(s.seller)
	untx := uint64(jobs) * soakPrice
	gotB, gotS := s.balance(s.buyer), s.balance(s.seller)
	if gotB.Coin != buyer.Coin-paid || gotB.Of(s.ntx) != buyer.Of(s.ntx)-untx {
		s.Errorf("requester: %d lovelace, %d µNTX; want %d, %d", gotB.Coin, gotB.Of(s.ntx), buyer.Coin-paid, buyer.Of(s.ntx)-untx)
	}
	if gotS.Coin != seller.Coin-joins || gotS.Of(s.ntx) != seller.Of(s.ntx)+untx {
		s.Errorf("provider: %d lovelace, %d µNTX; want %d, %d", gotS.Coin, gotS.Of(s.ntx), seller.Coin-joins, seller.Of(s.ntx)+untx)
	}
	lots, err := s.buyer.purse.book.Lots(s.Context())
	s.must(err)
	paidLots := 0
	for _, l := range lots {
		if l.Status == escrow.Approved {
			paidLots++
		}
	}
	if paidLots != jobs || len(lots) != jobs {
		s.Errorf("%d lots, %d of them paid, of %d jobs", len(lots), paidLots, jobs)
	}
	if s.most < 8 {
		s.Errorf("only %d jobs in flight", s.most)
	}
	fmt.Printf("jobs %d   in flight %d at most, %d on average   blocks %d, %d undone   opened anew %d\n",
		jobs, s.most, s.sum/s.turn, s.turn, s.undone, s.anew)
	fmt.Printf("requester paid %d µNTX and %d lovelace of fees; has %d µNTX, %d lovelace\n", untx, paid, gotB.Of(s.ntx), gotB.Coin)
	fmt.Printf("provider got %d µNTX and paid %d lovelace to join outputs; has %d µNTX, %d lovelace\n", untx, joins, gotS.Of(s.ntx), gotS.Coin)
}

// memory is a ledger in memory as the ground.
type memory struct{ *chaintest.Ledger }

func (m memory) Params(context.Context) (chain.Params, error) { return m.Ledger.Params(), nil }
func (m memory) Clock(context.Context) (chain.Clock, error)   { return m.Ledger.Clock(), nil }
func (m memory) Tip(context.Context) (chain.Point, error)     { return m.Ledger.Tip(), nil }
func (m memory) Submit(_ context.Context, tx []byte) error    { return m.Ledger.Submit(tx) }
func (m memory) undo(_ context.Context, blocks int) error     { return m.Rollback(blocks) }

func (m memory) InMempool(_ context.Context, id chain.TxID) (bool, error) {
	return m.Ledger.InMempool(id), nil
}

func (m memory) next(context.Context) (chain.Point, error) {
	b, err := m.Forge(1)
	return b.Point, err
}

// TestSoakLedger: the bulk of the jobs, on a ledger in memory with the real rules and the real scripts.
func TestSoakLedger(t *testing.T) {
	jobs := 2000
	if v := os.Getenv("SOAK_JOBS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		jobs = n
	}
	net := chaintest.Network()
	ntx := chain.AssetID{Policy: chain.ScriptHash{0x77}, Name: "tNTX"}
	c, err := plutus.New(net, plutus.Devnet(ntx))
	if err != nil {
		t.Fatal(err)
	}
	buyer, seller := newPayerWallet(t, "buyer", net), newPayerWallet(t, "seller", net)
	var base []chain.UTxO
	sums := map[string]chain.Value{}
	for _, name := range []string{"buyer", "seller"} {
		a := chaintest.NewActor(name)
		for i := range uint32(soakCoins) {
			base = append(base, a.Coin(i, chain.Coins(soakADA*1_000_000).With(ntx, 10_000_000_000)))
		}
		base = append(base, a.Coin(soakCoins, chain.Coins(wallet.CollateralLovelace)))
		for _, u := range base {
			if u.Address == a.Address {
				if sums[name], err = sums[name].Add(u.Value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for i, o := range c.Deploy(plutus.Frame{}).Outputs {
		u := chaintest.NewActor("publisher").Coin(uint32(i), chain.Coins(100_000_000))
		u.Address, u.Script = o.Address, o.Script
		base = append(base, u)
	}
	l := chaintest.New(chaintest.Params(), chaintest.Clock(), net, base)
	for range soakUndo + 1 { // blocks to take back
		if _, err := l.Forge(1); err != nil {
			t.Fatal(err)
		}
	}
	s := newSoak(t, memory{l}, c, buyer, seller, base)
	s.sync()
	s.run(jobs, 9, 1)
	s.reconcile(sums["buyer"], sums["seller"], jobs)
}
