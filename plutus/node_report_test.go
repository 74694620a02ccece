//go:build onnode

package plutus

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// inert are outputs that anybody can make and that nothing comes of: the ledger takes them, and they are neither lots nor stakes. Using
// one in a transition is among the attacks.
func (r *report) inert(t *testing.T, f *field) {
	t.Helper()
	a := newArena(t, f, "open", shortSpan)
	dusty := a.fake(0xee, 0, Open, false)
	dusty.Value = dusty.Value.With(chain.AssetID{Policy: ntx.Policy, Name: "other"}, 1)
	bloated := a.fake(0xee, 0, Open, false)
	bloated.Datum = raw(data.NewList(slices.Repeat([]data.PlutusData{data.NewByteString(make([]byte, 64))}, 64)...))
	bloated.Value.Coin = 30_000_000
	naked := a.fake(0xee, 0, Open, false)
	naked.Datum = nil
	forged := func(f func(*chain.UTxO)) chain.UTxO {
		u := a.stake(0xee, 0, firstStake, 0).UTxO
		f(&u)
		return u
	}
	staked := a.fake(0xee, 0, Open, true)
	staked.Address = a.staked()
	for _, x := range []struct {
		name string
		u    chain.UTxO
	}{
		{"a look-alike of an open lot without a token", a.fake(0xee, 0, Open, false)},
		{"a look-alike of a committed lot with a foreign token of the right name", a.fake(0xee, 0, Committed, true)},
		{"a look-alike at our stub with a stake part", staked},
		{"NTX and dust at our address", dusty},
		{"a datum of 4 KiB at our address", bloated},
		{"no datum at our address", naked},
		{"a stake that says nothing", forged(func(u *chain.UTxO) { u.Datum = nil })},
		{"a stake that names other contracts", forged(func(u *chain.UTxO) { policyOf(&u.Output, a.world, chain.ScriptHash{1}) })},
		{"a stake with dust", forged(func(u *chain.UTxO) { dust(&u.Output) })},
		{"a stake without NTX", forged(func(u *chain.UTxO) { u.Value = chain.Coins(ada) })},
		{"a stake with a stake part", forged(func(u *chain.UTxO) { u.Address = withStakePart(a.Stake, a.requester.Hash) })},
	} {
		made := f.fund(t, x.u.Output)[0]
		f.settled(t, made)
		_, asLot := f.contracts.ReadLot(made, a.terms)
		_, asStake := f.contracts.ReadStake(made)
		got := row{section: "inert", kind: "-", name: x.name, passed: errors.Is(asLot, ErrLot) && errors.Is(asStake, ErrStake)}
		if !got.passed {
			got.why = "it is read as a lot or as a stake"
		}
		r.add(t, got)
	}
}

// witness lets a provider look at openings that break its checklist, each in one line.
func (r *report) witness(t *testing.T) {
	t.Helper()
	for _, c := range unsafeOpenings() {
		q := newRequest(t)
		c.do(q)
		x := row{section: "witness", kind: "open", name: c.name, want: c.want}
		var u *Unsafe
		if err := q.check(); errors.As(err, &u) {
			x.refused = u.Check
		} else if err != nil {
			x.why = err.Error()
		}
		x.passed = x.refused == x.want
		r.add(t, x)
	}
}

// distinct counts the pairs of transition and check, or ledger rule, that refused something.
func (r *report) distinct() int {
	pairs := map[[2]string]bool{}
	for _, x := range r.rows {
		if x.refused != "" && x.passed && x.section != "witness" {
			pairs[[2]string{strings.NewReplacer("terms", "open", "contested", "open").Replace(x.kind), x.refused}] = true
		}
	}
	return len(pairs)
}

// write prints what became of everything and, if ATTACKS_DOC names a file, leaves it there for the documentation.
func (r *report) write(t *testing.T) {
	t.Helper()
	slices.SortStableFunc(r.rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(slices.Index(sections(), x.section), slices.Index(sections(), y.section)), cmp.Compare(x.kind, y.kind))
	})
	passed := 0
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SECTION\tTRANSITION\tATTEMPT\tMUST BE REFUSED BY\tREFUSED BY")
	for _, x := range r.rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", x.section, x.kind, x.name, cmp.Or(x.want, "-"), cmp.Or(x.refused, "-"))
		if x.passed {
			passed++
		}
	}
	for _, x := range r.impossible {
		fmt.Fprintf(tw, "not on a chain\t%s\t%s\t%s\t%s\n", x.kind, x.name, x.want, x.why)
	}
	if err := tw.Flush(); err != nil {
		t.Fatal(err)
	}
	if name := os.Getenv("ATTACKS_DOC"); name != "" && passed == len(r.rows) {
		if err := os.WriteFile(name, []byte(r.document()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("%d distinct pairs of transition and check refused something; %d attempts cannot be written on a chain\n", r.distinct(), len(r.impossible))
	fmt.Printf("%d passed, %d failed\n", passed, len(r.rows)-passed)
}

// sections are the parts of the table, in order.
func sections() []string { return []string{"attack", "ledger", "must pass", "inert", "witness"} }

// document is the table as a page of the documentation.
func (r *report) document() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Attacks

`+"`make attacks`"+` writes this page. It tries each of these as a signed transaction on a real node with hardened rules
([testnet/devnet](../../testnet/devnet/README.md)), submitted raw: no rule of Tally's own stands before the node's. All
attempts on a transition change one thing in the same transaction, with the same outputs spent; at the end that
transaction itself is accepted, so what was changed was the only fault. (Where the fault is the state of an output, the
attempt has equal outputs of its own.) A script only says that it refuses; which check it was is found out by running the
traced build of the contracts on the same transaction. [Contracts](contracts.md) says what each check is for, and
[the threat model](../explanation/threat-model.md) what all this is worth.

%d attempts; %d distinct pairs of a transition and a check, or a ledger rule, refused something.

`, len(r.rows), r.distinct())
	for _, s := range sections() {
		fmt.Fprintf(&b, "## %s\n\n", map[string]string{
			"attack": "Refused by the contracts", "ledger": "Refused beside the draft: by the contracts, or by the ledger's rule",
			"must pass": "Must pass", "inert": "Accepted but inert: nobody is moved by it, and using it is refused above",
			"witness": "A provider refuses to witness",
		}[s])
		fmt.Fprint(&b, "| Transition | Refused by | Attempts |\n|---|---|---|\n")
		grouped(&b, r.rows, func(x row) (string, bool) { return cmp.Or(x.refused, "–"), x.section == s })
		fmt.Fprintln(&b)
	}
	fmt.Fprint(&b, `## Not on a chain

These need an output that the contracts let nobody make. They are tried against the scripts alone, by the unit tests.

| Transition | What cannot be | Attempts |
|---|---|---|
`)
	grouped(&b, r.impossible, func(x row) (string, bool) { return strings.TrimSuffix(x.why, ": "+errImpossible.Error()), true })
	return b.String()
}

// grouped writes rows that have the same in common, and the same attempts, in one line.
func grouped(b *strings.Builder, rows []row, common func(row) (string, bool)) {
	names, kinds := map[[2]string][]string{}, map[[2]string][]string{}
	var order, merged [][2]string
	for _, x := range rows {
		what, ok := common(x)
		if !ok {
			continue
		}
		key := [2]string{x.kind, what}
		if names[key] == nil {
			order = append(order, key)
		}
		names[key] = append(names[key], x.name)
	}
	for _, key := range order {
		same := [2]string{key[1], strings.Join(names[key], "; ")}
		if kinds[same] == nil {
			merged = append(merged, same)
		}
		kinds[same] = append(kinds[same], key[0])
	}
	for _, m := range merged {
		fmt.Fprintf(b, "| %s | %s | %s |\n", strings.Join(kinds[m], "; "), m[0], m[1])
	}
}
