//go:build onnode

package plutus

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
)

// row is what became of one attempt on the node.
type row struct {
	section, kind, name string
	want, refused       string // the check or the ledger rule; "" if it must pass
	passed              bool
	why                 string // if not passed
}

// report collects the rows of a run.
type report struct {
	rows       []row
	impossible []row
}

func (r *report) add(t *testing.T, x row) {
	t.Helper()
	r.rows = append(r.rows, x)
	if !x.passed {
		t.Errorf("%s/%s: want %q, got %q: %s", x.kind, x.name, x.want, x.refused, x.why)
	}
}

// AttackOnNode tries everything as signed transactions on a node, and writes what came of it.
func AttackOnNode(t *testing.T, n *node.Node, bank chaintest.Actor) {
	f := newField(t, n, bank)
	f.register(t)
	r := &report{}
	all := everything()
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		t.Run(kind, func(t *testing.T) { f.attack(t, r, kind, all[kind]) })
	}
	r.inert(t, f)
	r.witness(t)
	r.write(t)
}

// attack tries one transition: everything that must be refused on the same outputs, of which the unbroken transaction
// is accepted last; and what must pass, each on outputs of its own.
func (f *field) attack(t *testing.T, r *report, kind string, as attacks) {
	span := chain.Slot(longSpan)
	if waits(kind) {
		span = shortSpan
	}
	main := newArena(t, f, kind, span)
	whole := as.draft(main.world, t)
	if _, err := main.want(whole); err != nil {
		t.Fatal(err)
	}
	type trial struct {
		attack
		*arena // nil: not prepared yet
	}
	var trials, own []trial
	for _, at := range as.list {
		d := as.draft(main.world, t)
		at.do(main.world, &d)
		fits, err := main.want(d)
		switch {
		case at.want != "" && err != nil:
			r.impossible = append(r.impossible, row{kind: kind, name: at.name, want: at.want, why: err.Error()})
		case at.want != "" && fits && d.From < whole.Until:
			trials = append(trials, trial{at, main})
		default:
			own = append(own, trial{at, nil})
		}
	}
	main.furnish(t)
	if waits(kind) { // all at once
		for i := range own {
			own[i].arena = f.alone(t, r, kind, as, own[i].attack)
		}
	}
	for _, x := range trials {
		f.try(t, r, kind, as, x.attack, x.arena)
	}
	for _, b := range breaches() {
		f.breach(t, r, kind, as, b, main)
	}
	f.try(t, r, kind, as, attack{"the transaction that all of these break", "", func(*world, *chain.Draft) {}}, main)
	for _, x := range own {
		if !waits(kind) {
			x.arena = f.alone(t, r, kind, as, x.attack)
		}
		if x.arena != nil {
			f.try(t, r, kind, as, x.attack, x.arena)
		}
	}
}

// alone prepares an arena for one attempt; nil: it cannot be on a chain.
func (f *field) alone(t *testing.T, r *report, kind string, as attacks, at attack) *arena {
	t.Helper()
	a := newArena(t, f, kind, shortSpan)
	d := as.draft(a.world, t)
	at.do(a.world, &d)
	if _, err := a.want(d); err != nil {
		r.impossible = append(r.impossible, row{kind: kind, name: at.name, want: at.want, why: err.Error()})
		return nil
	}
	a.furnish(t)
	return a
}

// try submits one attempt.
func (f *field) try(t *testing.T, r *report, kind string, as attacks, at attack, a *arena) {
	t.Helper()
	d := as.draft(a.world, t)
	at.do(a.world, &d)
	f.reach(t, d.From)
	x := row{section: "attack", kind: kind, name: at.name, want: at.want}
	if at.want == "" {
		x.section = "must pass"
	}
	tx, err := a.encode(a.raw(t, a.realise(d), as.payer(a.world)))
	if err != nil {
		x.why = err.Error()
		r.add(t, x)
		return
	}
	f.judge(t, r, x, tx)
}

// judge submits a transaction and compares who refuses it: on the node a script says only that it refuses, and which
// check it was is found out by running the traced build on the same transaction.
func (f *field) judge(t *testing.T, r *report, x row, tx *chain.Tx) {
	t.Helper()
	_, evaluated := chain.Evaluate(tx, tx.Resolved(), f.ledger, f.clock)
	submitted := f.Submit(f.ctx, tx.Bytes())
	switch {
	case submitted == nil:
		b, err := tx.Inspect()
		if err != nil {
			t.Fatal(err)
		}
		f.settled(t, b.Outputs[len(b.Outputs)-1])
	case !errors.Is(submitted, node.ErrRejected):
		t.Fatal(submitted)
	case ledgerRule(submitted) == "ValidationTagMismatch": // a script's refusal
		x.refused = label(f.contracts.Explain(evaluated))
	default:
		x.refused = ledgerRule(submitted)
	}
	if submitted != nil {
		x.why = submitted.Error()
	}
	x.passed = x.refused == x.want
	r.add(t, x)
}

// ledgerRule is the ledger's name of a refusal.
func ledgerRule(err error) string {
	var r *chain.RuleError
	if errors.As(err, &r) {
		return r.Rule
	}
	return err.Error()
}
