//go:build onnode

package plutus

import (
	"errors"
	"fmt"
	"maps"
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
	lots  map[chain.OutRef]chain.UTxO
	first map[string]byte // by a lot's contents: where it stands among the inputs of a draft
}

// job is an opening that this arena needs, with the lots it needs of it, by provider.
type job struct {
	terms  Terms
	seed   chain.UTxO
	wanted map[int]chain.Output
	lots   map[int]chain.UTxO
	sliced []*slicing // in slices instead
}

// slicing is a slice that an arena needs of a job.
type slicing struct {
	of    []int // providers
	want  chain.Output
	place byte // where it stands among the inputs of a draft
	made  chain.UTxO
}

func newJob(t Terms, seed chain.UTxO) *job {
	return &job{terms: t, seed: seed, wanted: map[int]chain.Output{}, lots: map[int]chain.UTxO{}}
}

// at the times of an arena: how long ranges are, in slots, and how long a review.
const (
	longSpan  = 1800
	shortSpan = 450
	reviewMS  = 10_000
	verdictMS = 20_000
)

// waits says whether a deadline has to pass before a transition.
func waits(kind string) bool {
	return slices.Contains([]string{"refund", "claim", "lapse", "dissolve"}, kind)
}

// newArena makes a world that begins now. Its deadlines are long or short.
func newArena(tb testing.TB, f *field, kind string, span chain.Slot) *arena {
	tb.Helper()
	now := f.now(tb)
	a := &arena{
		field: f, world: f.world(tb, f.momentsFrom(now, span)),
		jobs: map[JobID]*job{}, coins: map[string][]chain.UTxO{}, lots: map[chain.OutRef]chain.UTxO{}, first: map[string]byte{},
	}
	a.jobs[a.job] = newJob(a.terms, a.seed())
	contestedSeed := a.seed()
	if kind != "contested" && kind != "start, contested" { // one seed opens one job
		contestedSeed = f.fund(tb, f.seedOutput())[0]
		a.contested.Seed = contestedSeed.Ref
	}
	a.jobs[a.contestedJob()] = newJob(a.contested, contestedSeed)
	if kind != "start, contested" {
		a.sliceSeed = f.fund(tb, f.seedOutput())[0]
		a.sliced.Seed = a.sliceSeed.Ref
	}
	a.jobs[a.slicedJob()] = newJob(a.sliced, a.sliceSeed)
	a.world.real = func(u chain.UTxO) chain.UTxO {
		if v, ok := a.twin(u); ok {
			u.Ref = v.Ref // whatever is changed about it
		}
		return u
	}
	byNumber := map[byte]Terms{}
	a.world.other = func(n byte) Terms {
		if t, ok := byNumber[n]; ok {
			return t
		}
		seed := f.fund(tb, f.seedOutput())[0]
		t := a.terms
		t.Seed, t.Rest[31] = seed.Ref, n
		byNumber[n] = t
		for _, t := range []Terms{t, contest(t, verdictMS)} {
			a.jobs[jobID(t.pack())] = newJob(t, seed)
		}
		return t
	}
	return a
}

// twin is the real lot of the same job, provider and state as one that is made up.
func (a *arena) twin(u chain.UTxO) (chain.UTxO, bool) {
	if j, of := a.slicing(u); j != nil {
		for _, s := range j.sliced {
			if slices.Equal(s.of, of) {
				return s.made, s.made.Ref != chain.OutRef{}
			}
		}
		return u, false
	}
	l, err := a.read(u)
	if err != nil || a.jobs[l.Job] == nil {
		return u, false
	}
	v, ok := a.jobs[l.Job].lots[slices.Index(a.addresses, l.Provider)]
	return v, ok && a.stateOf(v.Output) == l.State
}

// slicing says of which job and which providers a slice is; nil: it is none.
func (a *arena) slicing(u chain.UTxO) (*job, []int) {
	for id, q := range u.Value.Assets {
		j := a.jobs[JobID([]byte(id.Name + string(make([]byte, len(JobID{}))))[:len(JobID{})])]
		if id.Policy != a.Slices.Policy || q != 1 || j == nil || u.Address != a.Slices.Address {
			continue
		}
		for _, of := range [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}} {
			o, err := a.sliceOutput(Slice{Shares: a.shares(of...)})
			if err != nil {
				panic(err)
			}
			if string(definite(o.Datum)) == string(definite(u.Datum)) {
				return j, of
			}
		}
	}
	return nil, nil
}

// wantSlice is want for a slice among a draft's inputs.
func (a *arena) wantSlice(j *job, of []int, in chain.Input, first map[*job][]*slicing) (bool, error) {
	for id, k := range a.jobs {
		if k != j && k.seed.Ref == j.seed.Ref && (len(k.wanted) > 0 || len(k.sliced) > 0 || first[k] != nil) {
			return false, fmt.Errorf("slices of job %s and another with one seed: %w", id, errImpossible)
		}
	}
	for _, s := range j.sliced {
		if slices.Equal(s.of, of) {
			return string(s.want.Encode()) == string(in.Output.Encode()) && s.place == in.Ref.Tx[0], nil
		}
	}
	if len(j.sliced) > 0 && len(first[j]) == 0 {
		return false, nil
	}
	first[j] = append(first[j], &slicing{of: of, want: in.Output, place: in.Ref.Tx[0]})
	return true, nil
}

// startJob starts a job in the slices wanted, in the transaction that the first of them stands for.
func (a *arena) startJob(tb testing.TB, j *job) {
	tb.Helper()
	var parts []Part
	for _, s := range j.sliced {
		for _, i := range s.of {
			p := a.parts()[i]
			p.BondInput = a.fund(tb, p.BondInput.Output)[0]
			parts = append(parts, p)
		}
	}
	d := must(a.world.Contracts.start(j.terms, parts, j.seed, len(j.sliced[0].of), Frame{From: a.now(tb), Until: a.moments.open + a.span, References: a.references}))(tb)
	for i, s := range j.sliced {
		d.Outputs[i] = s.want
	}
	made := a.submitAs(tb, d, a.requester, j.sliced[0].place)
	for i, s := range j.sliced {
		s.made = made[i]
		a.made[made[i].Ref] = true
	}
}

// momentsFrom are the moments of a world that begins in a slot, where a range takes span slots.
func (f *field) momentsFrom(now, span chain.Slot) moments {
	slot := chain.Slot(f.clock.SlotToTime(2) - f.clock.SlotToTime(1))
	m := moments{
		open: now, work: now, dispute: now, verdict: now, span: span,
		declineBy: now + span + 50, commitBy: now + span + 100, commitEnd: now + span, disputeEnd: now + span,
		reviewMS: reviewMS, verdictMS: verdictMS,
	}
	m.refund, m.claim, m.lapse = m.commitBy, m.commitEnd+reviewMS/slot, m.disputeEnd+verdictMS/slot
	return m
}

// want says what a draft needs. errImpossible: no chain has it. false: something wanted before is in its way.
func (a *arena) want(d chain.Draft) (bool, error) {
	lots := map[JobID]map[int]chain.Output{}
	count, first := map[string]int{}, map[string]byte{}
	started := map[*job][]*slicing{}
	for _, in := range d.Inputs {
		if a.made[in.Ref] {
			continue
		}
		switch l, err := a.read(in.UTxO); {
		case a.hasSliceToken(in.Value):
			j, of := a.slicing(in.UTxO)
			if j == nil {
				return false, fmt.Errorf("a slice that nobody started: %w", errImpossible)
			}
			if fits, err := a.wantSlice(j, of, in, started); !fits {
				return false, err
			}
		case err == nil:
			j, i := a.jobs[l.Job], slices.Index(a.addresses, l.Provider)
			if j == nil || i < 0 {
				return false, fmt.Errorf("a lot of a job that nobody opened: %w", errImpossible)
			}
			for id, k := range a.jobs {
				if id != l.Job && k.seed.Ref == j.seed.Ref && (len(k.wanted) > 0 || lots[id] != nil) {
					return false, fmt.Errorf("lots of two jobs with one seed: %w", errImpossible)
				}
			}
			if lots[l.Job] == nil {
				lots[l.Job] = map[int]chain.Output{}
			}
			if _, twice := lots[l.Job][i]; twice {
				return false, fmt.Errorf("two lots of one provider in a job: %w", errImpossible)
			}
			lots[l.Job][i] = in.Output
			if old, ok := j.wanted[i]; ok && string(old.Encode()) != string(in.Encode()) {
				return false, nil
			}
			key := string(in.Encode())
			if place, known := a.first[key]; known && place != in.Ref.Tx[0] {
				return false, nil // elsewhere among the inputs
			}
			first[key] = in.Ref.Tx[0]
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
	for j, of := range started {
		slices.SortFunc(of, func(x, y *slicing) int { return int(x.place) - int(y.place) })
		j.sliced = of
	}
	maps.Copy(a.first, first)
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
		if len(j.sliced) > 0 {
			a.startJob(tb, j)
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
	made := a.submitAs(tb, d, a.requester, place)
	for i, o := range j.wanted {
		u := made[i]
		if state := a.stateOf(o); state != Open {
			u = a.advance(tb, &w, u, o, state)
		}
		j.lots[i], a.lots[u.Ref], a.made[u.Ref] = u, u, true
		a.settled(tb, u)
	}
}

// read reads a lot of any job of the arena.
func (a *arena) read(u chain.UTxO) (Lot, error) {
	j := a.jobs[a.JobOf(u)]
	if j == nil {
		return a.Contracts.ReadLot(u, a.terms)
	}
	return a.Contracts.ReadLot(u, j.terms)
}

func (a *arena) stateOf(o chain.Output) State {
	l, err := a.read(chain.UTxO{Output: o})
	if err != nil {
		panic(err)
	}
	return l.State
}

// advance takes an open lot to the state that an output has.
func (a *arena) advance(tb testing.TB, w *world, u chain.UTxO, to chain.Output, state State) chain.UTxO {
	tb.Helper()
	l, err := a.read(u)
	if err != nil {
		tb.Fatal(err)
	}
	i := slices.Index(a.addresses, l.Provider)
	d := must(w.Commit(l, w.terms, [32]byte{9}, ClaimAt(w.terms, w.commitEnd, w.clock), Frame{From: a.now(tb), Until: w.commitEnd}))(tb)
	first := a.first[string(to.Encode())]
	if state == Committed {
		d.Outputs[0] = to
		return a.submitAs(tb, d, a.providers[i], first)[0]
	}
	if l, err = a.read(a.submitAs(tb, d, a.providers[i], first)[0]); err != nil {
		tb.Fatal(err)
	}
	d = must(w.Dispute(l, w.terms, Deadline(w.terms, w.disputeEnd, w.clock), Frame{From: a.now(tb), Until: w.disputeEnd}))(tb)
	d.Outputs[0] = to
	return a.submitAs(tb, d, a.requester, first)[0]
}

// submitAs submits a draft whose transaction's id begins with a byte, so that its outputs come to the scripts in the order
// in which they were made up, and gives its outputs.
func (a *arena) submitAs(tb testing.TB, d chain.Draft, payer chaintest.Actor, first byte) []chain.UTxO {
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
	d.References = slices.DeleteFunc(slices.Clone(d.References), func(u chain.UTxO) bool { return slices.ContainsFunc(a.references, sameRef(u)) })
	d.References = append(d.References, a.references...)
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

// realise puts real outputs in the places of a draft's.
func (a *arena) realise(d chain.Draft) chain.Draft {
	d.Inputs = slices.Clone(d.Inputs)
	count := map[string]int{}
	for i, in := range d.Inputs {
		if u, ok := a.lots[in.Ref]; ok {
			d.Inputs[i].UTxO = u
			continue
		}
		if a.made[in.Ref] {
			continue
		}
		if j, of := a.slicing(in.UTxO); j != nil {
			for _, s := range j.sliced {
				if slices.Equal(s.of, of) {
					d.Inputs[i].UTxO = s.made
				}
			}
			continue
		}
		if l, err := a.read(in.UTxO); err == nil {
			d.Inputs[i].UTxO = a.jobs[l.Job].lots[slices.Index(a.addresses, l.Provider)]
			continue
		}
		key := string(in.Encode())
		d.Inputs[i].UTxO = a.coins[key][count[key]]
		count[key]++
	}
	return d
}

func (a *arena) hasSliceToken(v chain.Value) bool {
	for id := range v.Assets {
		if id.Policy == a.Slices.Policy {
			return true
		}
	}
	return false
}

func sameRef(u chain.UTxO) func(chain.UTxO) bool {
	return func(v chain.UTxO) bool { return v.Ref == u.Ref }
}
