package plutus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// world is a job on a test network: in memory, where its moments are fixed and its outputs made up, or on a node.
type world struct {
	*Contracts
	moments
	clock               chain.Clock
	ledger              chain.Params
	requester, stranger chaintest.Actor
	providers           []chaintest.Actor // in ascending order of keys
	addresses           []chain.Address   // where they are paid: the second has a stake key
	terms               Terms
	job                 JobID
	contested           Terms // of a job like it, with vouchers and disputes
	sliced              Terms // of another one, in slices
	sliceSeed           chain.UTxO
	published           []chain.UTxO // all scripts: transitions of slices are too large with theirs attached
	seedCoin            chain.UTxO
	other               func(n byte) Terms          // nil: terms with another rest
	real                func(chain.UTxO) chain.UTxO // the output of these contents on a chain; nil: as it is
}

// moments are the slots in which things happen: a transition is tried from its own slot on, for span slots.
type moments struct {
	open, work, refund, claim chain.Slot // decline: as open; commit and approve: as work
	declineBy, commitBy       chain.Slot
	commitEnd                 chain.Slot // until when commitments were valid
	span                      chain.Slot
	reviewMS                  uint64

	dispute, verdict, lapse chain.Slot // close: as work; concede: as verdict
	disputeEnd              chain.Slot // until when disputes were valid
	verdictMS               uint64
}

// fixed are the moments of a world in memory, where a review takes an hour.
func fixed() moments {
	return moments{
		open: openFrom, work: workFrom, refund: 9000, claim: 9500, declineBy: 4000, commitBy: 9000,
		commitEnd: workFrom + 900, span: 900, reviewMS: 3_600_000,
		dispute: 8000, disputeEnd: 8900, verdict: 9600, lapse: 12500, verdictMS: 3_600_000,
	}
}

const (
	price    = 25_000_000
	bondBps  = 2000
	bond     = price * bondBps / wholeBps
	ada      = 2_000_000
	openFrom = 1000
	workFrom = 5000
)

// ntx stands for NTX. Anybody can mint it and dust, so that a test on a node can.
var ntx = chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(ntxScript)), Name: "NTX"}

const (
	ntxScript  = 77
	dustScript = 5
)

func at(s chain.Slot) chain.Time { return chaintest.Clock().SlotToTime(s) }

func (w *world) at(s chain.Slot) chain.Time { return w.clock.SlotToTime(s) }

func frame(from chain.Slot) Frame { return Frame{From: from, Until: from + 900} }

func (w *world) frame(from chain.Slot) Frame { return Frame{From: from, Until: from + w.span} }

// ends makes a draft end at a slot, from as early as may be.
func (w *world) ends(d *chain.Draft, until chain.Slot) {
	d.Until = until
	if until > d.From+w.longest() || d.From >= until {
		d.From = until - w.span
	}
}

// longest is the longest range in slots.
func (w *world) longest() chain.Slot {
	return chain.Slot(w.Params.MaxRangeMS) / chain.Slot(w.at(2)-w.at(1))
}

func newWorld(tb testing.TB, blueprint []byte) *world {
	tb.Helper()
	c, err := build(chaintest.Network(), Live(ntx), blueprint)
	if err != nil {
		tb.Fatal(err)
	}
	requester := chaintest.NewActor("requester")
	return worldOf(tb, c, fixed(), chaintest.Clock(), chaintest.Params(), requester.Coin(100, chain.Coins(5_000_000)))
}

// worldOf is a world at some moments of a chain, whose job is opened with a coin of the requester's.
func worldOf(tb testing.TB, c *Contracts, m moments, clk chain.Clock, p chain.Params, seed chain.UTxO) *world {
	tb.Helper()
	w := &world{
		Contracts: c, moments: m, clock: clk, ledger: p, seedCoin: seed,
		requester: chaintest.NewActor("requester"), stranger: chaintest.NewActor("stranger"),
	}
	for i := range 3 {
		w.providers = append(w.providers, chaintest.NewActor(fmt.Sprint("provider", i)))
	}
	slices.SortFunc(w.providers, func(a, b chaintest.Actor) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	for i, p := range w.providers {
		a := p.Address
		if i == 1 {
			a = chain.Base(c.Network, p.Hash, chaintest.NewActor("stake").Hash)
		}
		w.addresses = append(w.addresses, a)
	}
	w.terms = Terms{
		Seed: w.seed().Ref, Requester: w.requester.Address, DeclineBy: w.at(w.declineBy), CommitBy: w.at(w.commitBy), ReviewMS: m.reviewMS,
		BondBps: bondBps, PenaltyBps: 1000, LotLovelace: ada, Rest: [32]byte{1, 2, 3},
	}
	w.contested = contest(w.terms, m.verdictMS)
	w.sliced, w.sliceSeed = w.contested, seed
	w.sliced.Rest[30] = 1
	for i, o := range append(c.Deploy(Frame{}).Outputs, c.DeploySlices(Frame{}).Outputs...) {
		w.published = append(w.published, chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{0xd0}, Index: uint32(i)}, Output: o})
	}
	var err error
	if w.job, err = w.terms.JobID(); err != nil {
		tb.Fatal(err)
	}
	return w
}

// everyone is whoever has a key.
func (w *world) everyone() []chaintest.Actor {
	return append([]chaintest.Actor{w.requester, w.stranger}, w.providers...)
}

func (w *world) seed() chain.UTxO { return w.seedCoin }

// purse is what an actor pays with.
func purse(a chaintest.Actor) []chain.UTxO {
	return []chain.UTxO{
		a.Coin(0, chain.Coins(3_000_000_000).With(ntx, 1_000_000_000_000)),
		a.Coin(1, chain.Coins(500_000_000)), a.Coin(2, chain.Coins(500_000_000)),
	}
}

func collateral(a chaintest.Actor) []chain.UTxO {
	return []chain.UTxO{a.Coin(9, chain.Coins(20_000_000))}
}

// parts are the providers' parts in an opening.
func (w *world) parts() []Part {
	var ps []Part
	for i, p := range w.providers {
		in := p.Coin(50, chain.Coins(7_000_000).With(ntx, 9_000_000))
		in.Address = w.addresses[i]
		ps = append(ps, Part{Provider: w.addresses[i], PriceUNTX: price, BondInput: in, BondChange: w.addresses[i]})
	}
	return ps
}

// lot is provider i's lot on chain, made by a transaction that n tells apart.
func (w *world) lot(tb testing.TB, n byte, i int, s State) Lot {
	tb.Helper()
	return w.lotOf(tb, n, i, s, w.terms)
}

func (w *world) lotOf(tb testing.TB, n byte, i int, s State, t Terms) Lot {
	tb.Helper()
	id, err := t.JobID()
	if err != nil {
		tb.Fatal(err)
	}
	l := Lot{Job: id, State: s, Provider: w.addresses[i], PriceUNTX: price, BondUNTX: BondOf(price, t.BondBps), Lovelace: ada}
	l = w.age(l, t)
	o, err := w.output(l)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := w.ReadLot(w.place(n, o), t)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// place is where an output is: made by a transaction that n tells apart, or on a chain.
func (w *world) place(n byte, o chain.Output) chain.UTxO {
	u := chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{n}, Index: uint32(n)}, Output: o}
	if w.real != nil {
		return w.real(u)
	}
	return u
}

// otherJob is the terms of another job of the same requester's.
func (w *world) otherJob(n byte) Terms {
	if w.other != nil {
		return w.other(n)
	}
	t := w.terms
	t.Rest[31] = n
	return t
}

// open, commit … are drafts that pass.
func (w *world) open(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Open(w.terms, w.parts(), w.seed(), w.frame(w.moments.open)))(tb)
}

func (w *world) commit(tb testing.TB) chain.Draft {
	tb.Helper()
	f := w.frame(w.work)
	return must(w.Commit(w.lot(tb, 1, 0, Open), w.terms, [32]byte{9}, ClaimAt(w.terms, f.Until, w.clock), f))(tb)
}

func (w *world) approve(tb testing.TB) chain.Draft {
	tb.Helper()
	lots := []Lot{w.lot(tb, 1, 0, Open), w.lot(tb, 2, 1, Open), w.lot(tb, 3, 2, Committed)}
	return must(w.Approve(lots, w.terms, w.frame(w.work)))(tb)
}

func (w *world) claim(tb testing.TB) chain.Draft {
	tb.Helper()
	lots := []Lot{w.lot(tb, 1, 0, Committed), w.lotOf(tb, 2, 0, Committed, w.otherJob(1)), w.lotOf(tb, 3, 0, Committed, w.otherJob(2))}
	return must(w.Claim(lots, w.frame(w.moments.claim)))(tb)
}

func (w *world) refund(tb testing.TB) chain.Draft {
	tb.Helper()
	lots := []Lot{w.lot(tb, 1, 0, Open), w.lot(tb, 2, 1, Open), w.lot(tb, 3, 2, Open)}
	return must(w.Refund(lots, w.terms, w.frame(w.moments.refund)))(tb)
}

func (w *world) decline(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Decline(w.lot(tb, 1, 0, Open), w.terms, w.frame(w.moments.open)))(tb)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// submit builds the transaction of a draft with the payer's coins, signs it by everybody it asks, and holds it against
// every rule of the ledger.
func (w *world) submit(d chain.Draft, payer chaintest.Actor) (*chain.Tx, error) {
	tx, err := chain.Balance(d, purse(payer), payer.Address, collateral(payer), w.ledger, w.clock, w.Network)
	if err != nil {
		return nil, err
	}
	for _, k := range tx.Needed() {
		i := slices.IndexFunc(w.everyone(), func(a chaintest.Actor) bool { return a.Hash == k })
		if i < 0 {
			return nil, fmt.Errorf("nobody has key %s", k)
		}
		if err := w.everyone()[i].Sign(tx); err != nil {
			return nil, err
		}
	}
	return tx, chain.Check(tx, tx.Resolved(), w.ledger, w.clock, w.Network, d.From)
}

// label is the check that a refusal names, or "" if there is none.
func label(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Check
	}
	return ""
}
