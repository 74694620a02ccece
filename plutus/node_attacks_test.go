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
	main := newArena(t, f, kind)
	if _, err := main.want(as.draft(main.world, t)); err != nil {
		t.Fatal(err)
	}
	type trial struct {
		attack
		*arena
	}
	var trials, own []trial
	for _, at := range as.list {
		if at.want == "" {
			a := newArena(t, f, kind)
			if possible(t, r, a, kind, as, at) {
				own = append(own, trial{at, a})
			}
			continue
		}
		d := as.draft(main.world, t)
		at.do(main.world, &d)
		fits, err := main.want(d)
		switch {
		case err != nil:
			r.impossible = append(r.impossible, row{kind: kind, name: at.name, want: at.want, why: err.Error()})
		case fits:
			trials = append(trials, trial{at, main})
		default:
			a := newArena(t, f, kind)
			if possible(t, r, a, kind, as, at) {
				own = append(own, trial{at, a})
			}
		}
	}
	main.furnish(t)
	for _, x := range own {
		x.arena.furnish(t)
	}
	for _, x := range append(trials, own...) {
		f.reach(t, x.begins(kind))
		f.try(t, r, kind, as, x.attack, x.arena)
	}
	f.reach(t, main.begins(kind))
	for _, b := range breaches() {
		f.breach(t, r, kind, as, b, main)
	}
	f.try(t, r, kind, as, attack{"the transaction that all of these break", "", func(*world, *chain.Draft) {}}, main)
}

// possible prepares an arena for one attempt alone.
func possible(t *testing.T, r *report, a *arena, kind string, as attacks, at attack) bool {
	t.Helper()
	d := as.draft(a.world, t)
	at.do(a.world, &d)
	if _, err := a.want(d); err != nil {
		r.impossible = append(r.impossible, row{kind: kind, name: at.name, want: at.want, why: err.Error()})
		return false
	}
	return true
}

// try submits one attempt.
func (f *field) try(t *testing.T, r *report, kind string, as attacks, at attack, a *arena) {
	t.Helper()
	d := as.draft(a.world, t)
	at.do(a.world, &d)
	x := row{section: "attack", kind: kind, name: at.name, want: at.want}
	if at.want == "" {
		x.section = "must pass"
	}
	tx, err := a.encode(a.raw(t, a.real(d), as.payer(a.world)))
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
