//go:build fuzzcontracts

package plutus

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"text/tabwriter"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// seeds are what the mutants of `make fuzz-contracts` grow from: the same mutants in every run.
var seeds = []uint64{20240914, 271828, 314159, 141421}

// mutants is how many there are in a run, unless MUTANTS says otherwise.
const mutants = 100_000

// tally counts what became of the mutants of one transition.
type tally struct{ made, unbalanced, ledger, refused, harmless int }

// TestMutants changes valid transactions of every transition at random, and asks the contracts, the ledger's rules and
// the model: a mutant that contracts and ledger accept and the model calls harmful is a bug. What the model does not
// call harmful may be refused.
func TestMutants(t *testing.T) {
	total := mutants
	if s := os.Getenv("MUTANTS"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range kinds() {
		if !modelled(k) {
			t.Errorf("the model does not know %s: tell mutants_model_test.go what it may do", k)
		}
	}
	worlds := rates(t)
	counts := map[string]*tally{}
	bad := 0
	for _, seed := range seeds {
		for i := range total / len(seeds) {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			c := passing()[rng.IntN(len(passing()))]
			if counts[c.name] == nil {
				counts[c.name] = &tally{}
			}
			m := &mutant{ground: worlds[rng.IntN(len(worlds))], rng: rng, tb: t}
			if err := m.grow(c.draft(m.world, t), c.payer(m.world), counts[c.name]); err != nil {
				t.Errorf("seed %d, mutant %d, %s, %v: %v", seed, i, c.name, m.done, err)
				if bad++; bad > 20 {
					t.Fatal("too many")
				}
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "TRANSITION\tMUTANTS\tUNBALANCED\tREFUSED BY CONTRACTS\tREFUSED BY LEDGER\tACCEPTED, HARMLESS\tACCEPTED, HARMFUL\t")
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		c := counts[name]
		sum += c.made
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, c.made, c.unbalanced, c.refused, c.ledger, c.harmless,
			c.made-c.unbalanced-c.refused-c.ledger-c.harmless)
		if c.harmless == 0 || c.refused == 0 {
			t.Errorf("%s: %d mutants refused, %d accepted: the mutations are too weak or too strong", name, c.refused, c.harmless)
		}
	}
	w.Flush()
	fmt.Printf("%d mutants, %d harmful\n", sum, bad)
}

// ground is a world with its published scripts, and all jobs that have lots in it, with and without vouchers and disputes.
type ground struct {
	*world
	references []chain.UTxO
	jobs       []Terms
	known      map[JobID]Terms
}

// rates are worlds with ordinary and with extreme rates: no bond, the largest that the bond inputs cover, all of it to
// be lost, one of a millionth.
func rates(t *testing.T) (ws []ground) {
	for _, r := range [][2]uint16{{bondBps, 1000}, {0, 0}, {bondBps, bondBps}, {3600, 3600}, {1, 1}} {
		w := newWorld(t, silentBlueprint)
		w.terms.BondBps, w.terms.PenaltyBps = r[0], r[1]
		var err error
		if w.job, err = w.terms.JobID(); err != nil {
			t.Fatal(err)
		}
		g := ground{world: w, references: w.publish(t), jobs: []Terms{w.terms, w.contested, w.sliced}, known: map[JobID]Terms{}}
		for n := range byte(4) {
			g.jobs = append(g.jobs, w.otherJob(n), w.otherContested(n))
		}
		for _, t := range g.jobs {
			g.known[jobID(t.pack())] = t
		}
		ws = append(ws, g)
	}
	return ws
}

// mutant is one valid transaction on its way to something else.
type mutant struct {
	ground
	tb     testing.TB
	rng    *rand.Rand
	d      chain.Draft
	fields map[uint64]any
	done   []string // what was changed
	native bool     // a native script mints, which Check takes for one without its redeemer
}

// grow changes a draft and judges what it became. The error is harm that nobody refused.
func (m *mutant) grow(d chain.Draft, payer chaintest.Actor, n *tally) error {
	n.made++
	m.d = d
	m.d.References, m.d.Scripts = m.references, append(m.d.Scripts, m.StubScript)
	for range 1 + m.rng.IntN(3) {
		of := changes()
		if m.sliceMove() != "" && m.rng.IntN(2) == 0 {
			of = sliceChanges()
		}
		change := of[m.rng.IntN(len(of))]
		m.done = append(m.done, change.name)
		change.do(m)
	}
	for _, mint := range m.d.Mint {
		maps.DeleteFunc(mint.Assets, func(_ string, q int64) bool { return q == 0 })
	}
	paying := purse(payer)
	if m.rng.IntN(8) == 0 {
		paying = purse(m.stranger)
	}
	tx, err := chaintest.Raw{Draft: m.d, Paying: paying, Change: paying[0].Address, Collateral: collateral(payer), Fields: m.fields}.Encode(m.ledger, m.Network)
	if err != nil {
		n.unbalanced++
		return nil
	}
	if _, err := chain.Evaluate(tx, tx.Resolved(), m.ledger, m.clock); err != nil {
		n.refused++
		return nil
	}
	body, err := tx.Inspect()
	if err != nil {
		return err
	}
	judged := &deal{world: m.world, terms: m.known, body: body, resolved: map[chain.OutRef]chain.UTxO{}, signed: tx.Needed()}
	for _, u := range tx.Resolved() {
		judged.resolved[u.Ref] = u
	}
	for _, mint := range m.d.Mint {
		switch mint.Policy {
		case m.Policy:
			judged.action = mint.Redeemer
		case m.Slices.Policy:
			judged.move = mint.Redeemer
		}
	}
	verdict := judged.judge()
	var rule *chain.RuleError
	if err := m.ledgerTakes(tx, m.d.From); err != nil && !(m.native && errors.As(err, &rule) && rule.Rule == "MissingRedeemers") {
		n.ledger++
		return nil
	}
	if errors.Is(verdict, errHarm) {
		return verdict
	}
	n.harmless++
	return verdict
}

// modelled says whether the model knows a transition.
func modelled(k Kind) bool {
	return slices.Contains([]Kind{
		KindOpen, KindCommit, KindApprove, KindClaim, KindRefund, KindDecline,
		KindClose, KindRedeem, KindDispute, KindVerdict, KindConcede, KindLapse, KindBorn,
	}, k)
}
