package escrow_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/escrow/escrowtest"
	"github.com/tallycompute/tally/plutus"
)

var ntx = chain.AssetID{Policy: chain.ScriptHash{0x77}, Name: "tNTX"}

const (
	price   = 25_000_000
	bondBps = 2000
	bond    = price / 5
	penalty = price / 10
	ada     = 2_000_000
)

// policy is in milliseconds; a slot is 1000.
var policy = escrow.Policy{DeclineLead: 20_000, CommitLead: 60_000, Patience: 100_000, LeaveStep: 20_000, Grace: 50_000}

// party is an actor with what it knows beside the chain.
type party struct {
	chaintest.Actor
	do    *escrow.Actor
	purse *escrowtest.Purse
	book  *escrowtest.Book
	facts map[escrow.Key]escrow.Facts
	acted []string // transition and number of lots
}

// world is a ledger with a requester and providers, each with a book, a purse and an actor.
type world struct {
	*testing.T
	ledger    *chaintest.Ledger
	contracts *plutus.Contracts
	requester *party
	providers []*party
	jobs      int
	sliced    bool // jobs are opened in slices
}

func newWorld(t *testing.T, providers int, change ...func(*chain.Params)) *world {
	t.Helper()
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(ntx))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, contracts: c}
	names := []chaintest.Actor{chaintest.NewActor("requester")}
	for i := range providers {
		names = append(names, chaintest.NewActor(fmt.Sprint("provider", i)))
	}
	var genesis []chain.UTxO
	for i, a := range names {
		coin := chain.Coins(200_000_000).With(ntx, 1_000_000_000)
		if i == 0 {
			coin = chain.Coins(5_000_000_000).With(ntx, 1_000_000_000_000)
		}
		for n := range uint32(6) {
			genesis = append(genesis, a.Coin(n, coin))
		}
		genesis = append(genesis, a.Coin(9, chain.Coins(10_000_000)))
	}
	params := chaintest.Params()
	for _, f := range change {
		f(&params)
	}
	w.ledger = chaintest.New(params, chaintest.Clock(), chaintest.Network(), genesis)
	for i, a := range names {
		p := w.party(a, escrow.Provider)
		if i == 0 {
			p.do.Role = escrow.Requester
			w.requester = p
			continue
		}
		w.providers = append(w.providers, p)
	}
	return w
}

func (w *world) party(a chaintest.Actor, role escrow.Role) *party {
	kept, err := wallet.OpenReservations(w.Context(), filepath.Join(w.TempDir(), "wallet.db"))
	w.must(err)
	w.Cleanup(func() { w.must(kept.Close()) })
	p := &party{Actor: a, book: escrowtest.NewBook(w.ledger, w.contracts, a.Hash), facts: map[escrow.Key]escrow.Facts{}}
	p.purse = &escrowtest.Purse{Owner: a, Book: p.book, Kept: kept}
	p.do = &escrow.Actor{
		Role: role, Contracts: w.contracts, Ledger: escrowtest.Node{Ledger: w.ledger}, Purse: p.purse, Book: p.book,
		Policy: policy, Validity: 40 * time.Second, Log: slog.New(slog.DiscardHandler),
		Facts: func(_ context.Context, k escrow.Key) (escrow.Facts, error) { return p.facts[k], nil },
		Acted: func(k escrow.Kind, lots []escrow.Key, _ chain.TxID) {
			p.acted = append(p.acted, fmt.Sprint(k, " ", len(lots)))
		},
	}
	return p
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// block lets n slots pass, makes a block, and lets everyone read it and act.
func (w *world) block(n chain.Slot) {
	w.Helper()
	_, err := w.ledger.Forge(n)
	w.must(err)
	w.act()
}

func (w *world) act() {
	w.Helper()
	for _, p := range append([]*party{w.requester}, w.providers...) {
		w.must(p.book.Sync())
		if err := p.do.Act(w.Context()); err != nil {
			w.Logf("%s cannot act: %v", p.Address, err)
		}
	}
}

// until lets blocks of n slots pass until the time t has come.
func (w *world) until(t chain.Time, n chain.Slot) {
	w.Helper()
	for w.ledger.Now() < t {
		w.block(n)
	}
}

// opened is a job of all providers, on chain.
type opened struct {
	*world
	terms plutus.Terms
	id    plutus.JobID
}

func (w *world) open(providers ...*party) *opened {
	w.Helper()
	return w.openWith(func(*plutus.Terms) {}, providers...)
}

// openWith opens a job after a change of its terms.
func (w *world) openWith(change func(*plutus.Terms), providers ...*party) *opened {
	w.Helper()
	w.jobs++
	seed := w.coin(w.requester)
	now := w.ledger.Now()
	terms := plutus.Terms{
		Seed: seed.Ref, Requester: w.requester.Address, DeclineBy: now + 200_000, CommitBy: now + 1_000_000, ReviewMS: 300_000,
		BondBps: bondBps, PenaltyBps: 1000, LotLovelace: ada, Rest: [32]byte{byte(w.jobs)},
	}
	change(&terms)
	var parts []plutus.Part
	for _, p := range providers {
		parts = append(parts, plutus.Part{Provider: p.Address, PriceUNTX: price, BondInput: w.coin(p), BondChange: p.Address})
	}
	opening, want := w.contracts.Open, escrow.Open
	refs, err := w.requester.book.References(w.Context())
	w.must(err)
	if w.sliced {
		opening, want = w.contracts.Start, escrow.Sliced
	}
	draft, err := opening(terms, parts, seed, plutus.Frame{From: w.ledger.Slot(), Until: w.ledger.Slot() + 100, References: refs})
	w.must(err)
	tx, err := w.requester.purse.Prepare(w.Context(), draft, "open")
	w.must(err)
	w.must(w.requester.Sign(tx))
	for _, p := range providers {
		w.must(p.Sign(tx))
	}
	w.must(w.ledger.Submit(tx.Bytes()))
	id, err := terms.JobID()
	w.must(err)
	o := &opened{w, terms, id}
	w.block(1)
	for _, p := range providers {
		o.is(p, want)
	}
	return o
}

// coin is a free one with NTX.
func (w *world) coin(p *party) chain.UTxO {
	w.Helper()
	all, err := p.book.Coins(w.Context())
	w.must(err)
	free, _, err := p.purse.Kept.Coins(w.Context(), all)
	w.must(err)
	i := slices.IndexFunc(free, func(u chain.UTxO) bool { return u.Value.Of(ntx) >= bond && u.Value.Coin > 10_000_000 })
	if i < 0 {
		w.Fatalf("%s has no free coin", p.Address)
	}
	return free[i]
}

func (o *opened) key(p *party) escrow.Key { return escrow.Key{Job: o.id, Provider: p.Hash} }

func (o *opened) lot(p *party) escrow.Lot {
	o.Helper()
	l, err := p.book.Lot(o.Context(), o.key(p))
	o.must(err)
	return l
}

// is wants a lot to be in a state, on both sides.
func (o *opened) is(p *party, s escrow.Status) {
	o.Helper()
	for _, who := range []*party{p, o.requester} {
		l, err := who.book.Lot(o.Context(), o.key(p))
		o.must(err)
		if l.Status != s {
			o.Fatalf("the lot of %s is %s, not %s", p.Address, l.Status, s)
		}
	}
}

// knows sets what a party knows of provider p's lot.
func (o *opened) knows(who, p *party, f escrow.Facts) { who.facts[o.key(p)] = f }

// ntx is what a party has in its own outputs.
func (p *party) ntx(w *world) (untx uint64) {
	for _, u := range w.ledger.UTxOs(p.Address) {
		untx += u.Value.Of(ntx)
	}
	return untx
}

func (p *party) lovelace(w *world) (l chain.Lovelace) {
	for _, u := range w.ledger.UTxOs(p.Address) {
		l += u.Value.Coin
	}
	return l
}
