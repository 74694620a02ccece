//go:build mutants

package plutus

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// TestSourceMutants takes every check of the contracts out in turn, compiles what is left, and runs every case: some
// case must come out otherwise. A survivor is a check that no test needs.
func TestSourceMutants(t *testing.T) {
	compiler := os.Getenv("AIKEN")
	if compiler == "" {
		compiler = "aiken"
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("contracts")); err != nil {
		t.Fatal(err)
	}
	if got := verdict(t, compile(t, compiler, dir)); got != "" {
		t.Fatalf("the contracts as they are: %s", got)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.ak"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	var survivors, kept []string
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, ".test.ak") || name == "scenario.ak" {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ms, fixed := mutations(name, string(source))
		kept = append(kept, fixed...)
		for _, m := range ms {
			if err := os.WriteFile(file, []byte(m.source), 0o644); err != nil {
				t.Fatal(err)
			}
			blueprint := compile(t, compiler, dir)
			if blueprint == nil {
				counts["not compiled"]++
				t.Errorf("%s: does not compile", m)
				continue
			}
			red := verdict(t, blueprint)
			what, _, _ := strings.Cut(red, ": ")
			counts[what]++
			fmt.Printf("%s ← %s\n", m, red)
			if red == "" {
				survivors = append(survivors, m.String())
			}
		}
		if err := os.WriteFile(file, source, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Printf("%d mutants: %s\n", counts[what], what)
		total += counts[what]
	}
	for _, k := range kept {
		fmt.Println("not to be taken out, what it names is used:", k)
	}
	if len(survivors) > 0 {
		t.Errorf("survivors:\n%s", strings.Join(survivors, "\n"))
		return
	}
	fmt.Printf("%d mutants, survivors: none\n", total)
}

// compile gives the traced blueprint of the sources in a directory, or nil if they do not compile.
func compile(t *testing.T, compiler, dir string) []byte {
	t.Helper()
	out := filepath.Join(dir, "traced.json")
	cmd := exec.Command(compiler, "build", "--trace-level", "verbose", "--trace-filter", "user-defined", "--out", out)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%v: install the compiler that contracts/aiken.toml names, or say in AIKEN where it is", err)
		}
		t.Logf("%s", said)
		return nil
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verdict runs all cases and says which is the first to come out otherwise than it should; "": none.
func verdict(t *testing.T, blueprint []byte) string {
	t.Helper()
	w := newWorld(t, blueprint)
	for _, c := range passing() {
		if _, err := w.submit(c.draft(w, t), c.payer(w)); err != nil {
			return "a valid transaction is refused: " + c.name
		}
	}
	other := ""
	all := everything()
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		as := all[kind]
		for _, at := range as.list {
			d := as.draft(w, t)
			at.do(w, &d)
			_, err := w.submit(d, as.payer(w))
			if red := judged(at.want, err); strings.HasPrefix(red, accepted) {
				return red + ": " + kind + "/" + at.name
			} else if red != "" && other == "" {
				other = red + ": " + kind + "/" + at.name
			}
		}
		for _, b := range besides() {
			r := chaintest.Raw{Draft: as.draft(w, t), Paying: purse(as.payer(w)), Change: as.payer(w).Address, Collateral: collateral(as.payer(w))}
			b.do(&r)
			tx, err := r.Encode(w.ledger, w.Network)
			if err != nil {
				t.Fatal(err)
			}
			_, err = chain.Evaluate(tx, tx.Resolved(), w.ledger, w.clock)
			if red := judged(b.want, err); strings.HasPrefix(red, accepted) {
				return red + ": " + kind + "/" + b.name
			} else if red != "" && other == "" {
				other = red + ": " + kind + "/" + b.name
			}
		}
	}
	return other
}

const accepted = "an attack is accepted"

// judged compares what the traced build says with what it should.
func judged(want string, err error) string {
	var se *chain.ScriptError
	switch {
	case want == "" && err != nil:
		return "what must pass is refused"
	case want == "" || want == "redeemer":
		return ""
	case err == nil:
		return accepted
	case errors.As(err, &se) && (len(se.Logs) == 0 || se.Logs[len(se.Logs)-1] != want):
		return "another check refuses it"
	}
	return ""
}
