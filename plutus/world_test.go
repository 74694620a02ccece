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

// world is a job on a test network, some of whose moments are fixed: an opening is valid in [1000, 1900), nobody may
// decline after slot 4000 or commit after 9000, and a review takes an hour.
type world struct {
	*Contracts
	requester, stranger chaintest.Actor
	providers           []chaintest.Actor // in ascending order of keys
	addresses           []chain.Address   // where they are paid: the second has a stake key
	terms               Terms
	job                 JobID
}

const (
	price    = 25_000_000
	bondBps  = 2000
	bond     = price * bondBps / wholeBps
	ada      = 2_000_000
	openFrom = 1000
	workFrom = 5000
)

var ntx = chain.AssetID{Policy: chain.ScriptHash{0x77}, Name: "tNTX"}

func at(s chain.Slot) chain.Time { return chaintest.Clock().SlotToTime(s) }

func frame(from chain.Slot) Frame { return Frame{From: from, Until: from + 900} }

func newWorld(tb testing.TB, blueprint []byte) *world {
	tb.Helper()
	c, err := build(chaintest.Network(), Live(ntx), blueprint)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{Contracts: c, requester: chaintest.NewActor("requester"), stranger: chaintest.NewActor("stranger")}
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
		Seed: w.seed().Ref, Requester: w.requester.Address, DeclineBy: at(4000), CommitBy: at(9000), ReviewMS: 3_600_000,
		BondBps: bondBps, PenaltyBps: 1000, LotLovelace: ada, Rest: [32]byte{1, 2, 3},
	}
	if w.job, err = w.terms.JobID(); err != nil {
		tb.Fatal(err)
	}
	return w
}

// everyone is whoever has a key.
func (w *world) everyone() []chaintest.Actor {
	return append([]chaintest.Actor{w.requester, w.stranger}, w.providers...)
}

func (w *world) seed() chain.UTxO { return w.requester.Coin(100, chain.Coins(5_000_000)) }

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
	if s == Committed {
		l.Root, l.ClaimAt = [32]byte{9}, at(workFrom+900)+chain.Time(t.ReviewMS)
	}
	o, err := w.output(l)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := w.ReadLot(chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{n}, Index: uint32(n)}, Output: o}, t.BondBps)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// otherJob is the terms of another job of the same requester's.
func (w *world) otherJob(n byte) Terms {
	t := w.terms
	t.Rest[31] = n
	return t
}

// open, commit … are drafts that pass.
func (w *world) open(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Open(w.terms, w.parts(), w.seed(), frame(openFrom)))(tb)
}

func (w *world) commit(tb testing.TB) chain.Draft {
	tb.Helper()
	f := frame(workFrom)
	return must(w.Commit(w.lot(tb, 1, 0, Open), w.terms, [32]byte{9}, ClaimAt(w.terms, f.Until, chaintest.Clock()), f))(tb)
}

func (w *world) approve(tb testing.TB) chain.Draft {
	tb.Helper()
	lots := []Lot{w.lot(tb, 1, 0, Open), w.lot(tb, 2, 1, Committed), w.lot(tb, 3, 2, Open)}
	return must(w.Approve(lots, w.terms, frame(workFrom)))(tb)
}

func (w *world) claim(tb testing.TB) chain.Draft {
	tb.Helper()
	lots := []Lot{w.lot(tb, 1, 0, Committed), w.lotOf(tb, 2, 0, Committed, w.otherJob(1)), w.lotOf(tb, 3, 0, Committed, w.otherJob(2))}
	return must(w.Claim(lots, frame(9500)))(tb)
}

func (w *world) refund(tb testing.TB) chain.Draft {
	tb.Helper()
	lots := []Lot{w.lot(tb, 1, 0, Open), w.lot(tb, 2, 1, Open), w.lot(tb, 3, 2, Open)}
	return must(w.Refund(lots, w.terms, frame(9000)))(tb)
}

func (w *world) decline(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Decline(w.lot(tb, 1, 0, Open), w.terms, frame(openFrom)))(tb)
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
	tx, err := chain.Balance(d, purse(payer), payer.Address, collateral(payer), chaintest.Params(), chaintest.Clock(), w.Network)
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
	return tx, chain.Check(tx, tx.Resolved(), chaintest.Params(), chaintest.Clock(), w.Network, d.From)
}

// label is the check that a refusal names, or "" if there is none.
func label(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Check
	}
	return ""
}
