//go:build onnode

package plutus

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// errImpossible is a transaction that cannot even be written on a chain where only the contracts make lots.
var errImpossible = errors.New("impossible on a chain")

// arena is a world on a field: drafts are made of outputs that are made up, and then real ones of the same contents are
// put in their places.
type arena struct {
	*field
	*world
	jobs  map[JobID]*job
	coins map[string][]chain.UTxO // by contents
	first map[string]byte         // by a lot's contents: where it stands among the inputs of a draft
}

// job is an opening that this arena needs, with the lots it needs of it, by provider.
type job struct {
	terms  Terms
	seed   chain.UTxO
	wanted map[int]chain.Output
	lots   map[int]chain.UTxO
}

// at the times of an arena: how long ranges are, in slots, and how long a review.
const (
	longSpan  = 900
	shortSpan = 300
	reviewMS  = 10_000
)

// newArena makes a world that begins now. Where a deadline has to pass, it is short.
func newArena(tb testing.TB, f *field, kind string) *arena {
	tb.Helper()
	now := f.now(tb)
	span := chain.Slot(longSpan)
	if kind == "refund" || kind == "claim" {
		span = shortSpan
	}
	m := moments{open: now, work: now, declineBy: now + span + 50, commitBy: now + span + 100, commitEnd: now + span, span: span, reviewMS: reviewMS}
	m.refund = m.commitBy
	slot := chain.Slot(f.clock.SlotToTime(2) - f.clock.SlotToTime(1))
	m.claim = m.commitEnd + reviewMS/slot
	a := &arena{field: f, world: f.world(tb, m), jobs: map[JobID]*job{}, coins: map[string][]chain.UTxO{}, first: map[string]byte{}}
	a.jobs[a.job] = &job{terms: a.terms, seed: a.seed(), wanted: map[int]chain.Output{}, lots: map[int]chain.UTxO{}}
	byNumber := map[byte]Terms{}
	a.world.other = func(n byte) Terms {
		if t, ok := byNumber[n]; ok {
			return t
		}
		seed := f.fund(tb, f.seedOutput())[0]
		t := a.terms
		t.Seed, t.Rest[31] = seed.Ref, n
		id, err := t.JobID()
		if err != nil {
			tb.Fatal(err)
		}
		byNumber[n], a.jobs[id] = t, &job{terms: t, seed: seed, wanted: map[int]chain.Output{}, lots: map[int]chain.UTxO{}}
		return t
	}
	return a
}

// begins is the slot from which a transition can be submitted.
func (a *arena) begins(kind string) chain.Slot {
	switch kind {
	case "refund":
		return a.moments.refund
	case "claim":
		return a.moments.claim
	}
	return 0
}

// want says what a draft needs. errImpossible: no chain has it. false: something wanted before is in its way.
func (a *arena) want(d chain.Draft) (bool, error) {
	lots := map[JobID]map[int]chain.Output{}
	count := map[string]int{}
	for _, in := range d.Inputs {
		if a.made[in.Ref] {
			continue
		}
		switch l, err := a.Contracts.ReadLot(in.UTxO, a.contested); {
		case err == nil:
			j, i := a.jobs[l.Job], slices.Index(a.addresses, l.Provider)
			if j == nil || i < 0 {
				return false, fmt.Errorf("a lot of job %s, which nobody opened: %w", l.Job, errImpossible)
			}
			if lots[l.Job] == nil {
				lots[l.Job] = map[int]chain.Output{}
			}
			if _, twice := lots[l.Job][i]; twice {
				return false, fmt.Errorf("two lots of one provider in a job: %w", errImpossible)
			}
			lots[l.Job][i] = in.Output
			if _, known := a.first[string(in.Encode())]; !known {
				a.first[string(in.Encode())] = in.Ref.Tx[0]
			}
			if old, ok := j.wanted[i]; ok && string(old.Encode()) != string(in.Encode()) {
				return false, nil
			}
		case a.hasToken(in.Value):
			return false, fmt.Errorf("a lot token where the contracts put none: %w", errImpossible)
		default:
			key := string(in.Encode())
			count[key]++
			for len(a.coins[key]) < count[key] {
				a.coins[key] = append(a.coins[key], chain.UTxO{Output: in.Output})
			}
		}
	}
	for id, of := range lots {
		for i, o := range of {
			a.jobs[id].wanted[i] = o
		}
	}
	return true, nil
}

// furnish makes everything wanted real: coins, then openings, then commitments.
func (a *arena) furnish(tb testing.TB) {
	tb.Helper()
	var last chain.UTxO
	for key, us := range a.coins {
		for i := range us {
			if us[i].Ref == (chain.OutRef{}) {
				us[i] = a.fund(tb, us[i].Output)[0]
				a.made[us[i].Ref] = true
				last = us[i]
			}
		}
		a.coins[key] = us
	}
	if last.Ref != (chain.OutRef{}) {
		a.settled(tb, last)
	}
	for _, j := range a.jobs {
		if len(j.wanted) > 0 {
			a.openJob(tb, j)
		}
	}
}

// openJob opens a job and takes its lots to the states wanted.
func (a *arena) openJob(tb testing.TB, j *job) {
	tb.Helper()
	w := *a.world
	w.terms, w.seedCoin = j.terms, j.seed
	w.job, _ = j.terms.JobID()
	d := w.open(tb)
	for i, in := range d.Inputs[1:] {
		d.Inputs[i+1].UTxO = a.fund(tb, in.Output)[0]
	}
	place := byte(0xf8)
	for i, o := range j.wanted {
		if a.stateOf(o) == Open {
			d.Outputs[i], place = o, min(place, a.first[string(o.Encode())])
		}
	}
	made := a.place(tb, d, a.requester, place)
	for i, o := range j.wanted {
		u := made[i]
		if a.stateOf(o) != Open {
			u = a.advance(tb, &w, u, o)
		}
		j.lots[i] = u
		a.settled(tb, u)
	}
}

func (a *arena) stateOf(o chain.Output) State {
	l, err := a.Contracts.ReadLot(chain.UTxO{Output: o}, a.contested)
	if err != nil {
		panic(err)
	}
	return l.State
}

// advance takes an open lot to the state that an output has.
func (a *arena) advance(tb testing.TB, w *world, u chain.UTxO, to chain.Output) chain.UTxO {
	tb.Helper()
	l, err := a.Contracts.ReadLot(u, a.contested)
	if err != nil {
		tb.Fatal(err)
	}
	f := Frame{From: a.now(tb), Until: w.commitEnd}
	d := must(w.Commit(l, w.terms, [32]byte{9}, ClaimAt(w.terms, f.Until, w.clock), f))(tb)
	d.Outputs[0] = to
	i := slices.Index(a.addresses, l.Provider)
	return a.place(tb, d, a.providers[i], a.first[string(to.Encode())])[0]
}

// place submits a draft whose transaction's id begins with a byte, so that its outputs come to the scripts in the order
// in which they were made up, and gives its outputs.
func (a *arena) place(tb testing.TB, d chain.Draft, payer chaintest.Actor, first byte) []chain.UTxO {
	tb.Helper()
	r := a.raw(tb, d, payer)
	for r.Fee = chaintest.RawFee; ; r.Fee++ {
		tx, err := a.encode(r)
		if err != nil {
			tb.Fatal(err)
		}
		if id := tx.ID(); id[0] != first {
			continue
		}
		if _, err := chain.Evaluate(tx, tx.Resolved(), a.field.ledger, a.field.clock); err != nil {
			tb.Fatal("preparing: ", a.Explain(err))
		}
		if err := a.Submit(a.ctx, tx.Bytes()); err != nil {
			tb.Fatal("preparing: ", err)
		}
		b, err := tx.Inspect()
		if err != nil {
			tb.Fatal(err)
		}
		a.settled(tb, b.Outputs[len(b.Outputs)-1])
		return b.Outputs
	}
}

// raw is the transaction of a draft, paid for by somebody.
func (a *arena) raw(tb testing.TB, d chain.Draft, payer chaintest.Actor) chaintest.Raw {
	tb.Helper()
	d.References = append(slices.Clone(d.References), a.references...)
	coins := a.field.coins(tb, payer)
	r := chaintest.Raw{Draft: d, Change: payer.Address, Collateral: a.collateral[payer.Hash]}
	r.Paying = slices.DeleteFunc(slices.Clone(coins), func(u chain.UTxO) bool { return len(u.Value.Assets) > 0 })
	if len(r.Paying) == 0 {
		r.Paying = a.fund(tb, chain.Output{Address: payer.Address, Value: purse(payer)[1].Value})
		a.settled(tb, r.Paying[0])
	}
	if _, err := r.Encode(a.field.ledger, a.field.Network()); errors.Is(err, chain.ErrInsufficient) {
		r.Paying = coins
	}
	return r
}

// real puts real outputs in the places of a draft's.
func (a *arena) real(d chain.Draft) chain.Draft {
	d.Inputs = slices.Clone(d.Inputs)
	count := map[string]int{}
	for i, in := range d.Inputs {
		if a.made[in.Ref] {
			continue
		}
		if l, err := a.Contracts.ReadLot(in.UTxO, a.contested); err == nil {
			d.Inputs[i].UTxO = a.jobs[l.Job].lots[slices.Index(a.addresses, l.Provider)]
			continue
		}
		key := string(in.Encode())
		d.Inputs[i].UTxO = a.coins[key][count[key]]
		count[key]++
	}
	return d
}
