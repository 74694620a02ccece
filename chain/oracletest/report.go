package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// shown is how many failures of a kind are printed.
const shown = 3

// report prints what was judged and what everyone said.
func (j *jury) report(out io.Writer, took time.Duration) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "shape\ttransactions\tscripts run\tlongest, bytes\tmutants")
	var sum shapeCount
	for _, name := range j.order {
		n := j.shapes[name]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\n", name, n.transactions, n.scripts, n.bytes, n.mutants)
		sum.transactions += n.transactions
		sum.scripts += n.scripts
		sum.mutants += n.mutants
	}
	fmt.Fprintf(t, "all\t%d\t%d\t\t%d\n", sum.transactions, sum.scripts, sum.mutants)
	fmt.Fprintln(t)
	fmt.Fprintln(t, "broken by\ttried\twe refuse\tthe node\tscalus\tcsl and cml\tour name of the rule")
	for _, m := range mutations() {
		n := j.noticed[m.name]
		if n == nil {
			continue
		}
		rule := m.rule
		if rule == "" {
			rule = "(not decoded)"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", m.name, n.tried, n.ours, known(m.node != "", n.node), known(m.scalus != "", n.scalus), known(m.rust, n.rust), rule)
	}
	t.Flush()
	fmt.Fprintln(out)
	seen := map[string]int{}
	for _, f := range j.failures {
		if seen[f.of]++; seen[f.of] <= shown {
			fmt.Fprintln(out, "FAILED", f)
		}
	}
	for _, of := range slices.Sorted(maps.Keys(seen)) {
		if n := seen[of]; n > shown {
			fmt.Fprintf(out, "… and %d more of %s\n", n-shown, of)
		}
	}
	fmt.Fprintf(out, "made by %s, reviewed, signed in their own encodings and taken by the node: %d transactions\n", strings.Join(makers, " and "), len(makers))
	fmt.Fprintf(out, "read from the chain and written the same: %d blocks, %d transactions\n", j.blocks, j.reread)
	fmt.Fprintf(out, "%d transactions, %d mutants, %s\n", sum.transactions, sum.mutants, took.Round(time.Second))
	fmt.Fprintf(out, "%d passed, %d failed\n", j.passed, len(j.failures))
}

// complete fails where there is a way to break transactions by which none was broken.
func (j *jury) complete() {
	for _, m := range mutations() {
		if j.noticed[m.name] == nil {
			j.rule(m.name, "nothing", []string{"no transaction was broken so"})
		}
	}
}

// known is a count of refusals, in parentheses where the judge need not know the rule.
func known(must bool, n int) string {
	if must {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("(%d)", n)
}
