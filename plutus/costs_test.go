package plutus

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// used is what the scripts of a draft's transaction take, its size and its fee.
func (w *world) used(tb testing.TB, d chain.Draft, payer chaintest.Actor) (u chain.ExUnits, size int, fee chain.Lovelace) {
	tb.Helper()
	tx, err := w.submit(d, payer)
	if err != nil {
		tb.Fatal(w.Explain(err))
	}
	all, err := chain.Evaluate(tx, tx.Resolved(), chaintest.Params(), chaintest.Clock())
	if err != nil {
		tb.Fatal(err)
	}
	for _, x := range all {
		u.Mem, u.Steps = u.Mem+x.Mem, u.Steps+x.Steps
	}
	b, err := tx.Inspect()
	if err != nil {
		tb.Fatal(err)
	}
	return u, len(tx.Bytes()), b.Fee
}

// publish is all scripts as reference scripts.
func (w *world) publish(tb testing.TB) []chain.UTxO {
	tb.Helper()
	var made []chain.UTxO
	for _, d := range []chain.Draft{w.Deploy(frame(1)), w.DeploySlices(frame(1))} {
		tx, err := w.submit(d, w.stranger)
		if err != nil {
			tb.Fatal(err)
		}
		b, err := tx.Inspect()
		if err != nil {
			tb.Fatal(err)
		}
		made = append(made, b.Outputs...)
	}
	refs := w.FindReferences(made)
	if len(refs) != 5 {
		tb.Fatalf("%d published scripts found", len(refs))
	}
	return refs
}

// claims are n lots of one provider, each of another job.
func (w *world) claims(tb testing.TB, n int) []Lot {
	tb.Helper()
	var lots []Lot
	for i := range n {
		lots = append(lots, w.lotOf(tb, byte(i+1), 0, Committed, w.otherJob(byte(i))))
	}
	return lots
}

// held is how many providers' parts or stakes an output holds.
func (w *world) held(u chain.UTxO) int {
	switch u.Address {
	case w.Address, w.StakeAddress:
		return 1
	case w.Slices.Address:
		for id := range u.Value.Assets {
			if id.Policy == w.Slices.Policy {
				return int(id.Name[len(id.Name)-1])
			}
		}
	}
	return 0
}

// TestCosts bounds what the transitions cost, by reference.
func TestCosts(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	refs := w.publish(t)
	f := frame(9500)
	f.References = refs
	measure := func(n int) (chain.ExUnits, int, chain.Lovelace) {
		return w.used(t, must(w.Claim(w.claims(t, n), f))(t), w.providers[0])
	}
	one, size1, fee1 := measure(1)
	many, size, fee := measure(41)
	mem, steps := (many.Mem-one.Mem)/40, (many.Steps-one.Steps)/40
	t.Logf("scripts: lots' policy %d bytes, slices' %d bytes, stubs %d bytes each, stake %d bytes", len(w.PolicyScript), len(w.Slices.PolicyScript), len(w.StubScript), len(w.StakeScript))
	t.Logf("a lone claim: %d mem, %d steps, %d bytes, %d lovelace", one.Mem, one.Steps, size1, fee1)
	t.Logf("one more claim: %d mem, %d steps, %d bytes, %d lovelace", mem, steps, (size-size1)/40, (fee-fee1)/40)
	if one.Mem > 150_000 || one.Steps > 56_000_000 {
		t.Error("a lone claim is over its target")
	}
	if mem > 50_000 || steps > 20_000_000 {
		t.Error("one more claim is over its target")
	}
	rows := []string{"| Transition | Lots, shares or stakes | Memory | Steps | Bytes | Fee, lovelace |", "|---|---|---|---|---|---|"}
	for _, c := range passing() {
		d := c.draft(w, t)
		if !ofSlices(c.name) { // those refer to published scripts already
			scripts := d.Scripts
			d.References, d.Scripts = nil, nil
			for _, s := range scripts {
				w.Contracts.use(&d, refs, s)
			}
		}
		lots := 0
		for _, in := range d.Inputs {
			lots += w.held(in.UTxO)
		}
		if lots == 0 { // an opening spends its seed and a bond for each lot
			lots = len(d.Inputs) - 1
		}
		u, size, fee := w.used(t, d, c.payer(w))
		rows = append(rows, fmt.Sprintf("| %s | %d | %d | %d | %d | %d |", c.name, lots, u.Mem, u.Steps, size, fee))
	}
	page, err := os.ReadFile("../docs/reference/contracts.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := strings.Join(rows, "\n"); !strings.Contains(string(page), "\n"+table+"\n") {
		t.Errorf("docs/reference/contracts.md does not say what transitions cost:\n%s", table)
	}
}
