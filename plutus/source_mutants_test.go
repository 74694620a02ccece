//go:build mutants

package plutus

import (
	"cmp"
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

// equivalent are mutants that no transaction can tell from the contracts, and why.
func equivalent() map[string]string {
	const below = "what attesters sign has no form for a number below 0, and a concession is of 0 or of the price"
	return map[string]string{
		"award.ak award.amount: without the first part": below,
		"award.ak award.slash: without the first part":  below,
	}
}

// TestSourceMutants takes every check of the contracts out in turn, compiles what is left, and runs every case: some
// case must come out otherwise. A survivor is a check that no test needs. CHECK limits it to labels that contain a text.
func TestSourceMutants(t *testing.T) {
	compiler := os.Getenv("AIKEN")
	if compiler == "" {
		compiler = "aiken"
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("contracts")); err != nil {
		t.Fatal(err)
	}
	if got := redCase(t, compile(t, compiler, dir), ""); got != "" {
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
			if !strings.Contains(m.label, os.Getenv("CHECK")) {
				continue
			}
			if err := os.WriteFile(file, []byte(m.source), 0o644); err != nil {
				t.Fatal(err)
			}
			blueprint := compile(t, compiler, dir)
			if blueprint == nil {
				counts["not compiled"]++
				t.Errorf("%s: does not compile", m)
				continue
			}
			first, _, _ := strings.Cut(m.label, ".")
			red := redCase(t, blueprint, first)
			what, _, _ := strings.Cut(red, ": ")
			counts[what]++
			fmt.Printf("%s ← %s\n", m, red)
			if why, ok := equivalent()[m.name()]; ok && red == "" {
				kept = append(kept, m.name()+": "+why)
			} else if red == "" {
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
		fmt.Println("kept:", k)
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

// redCase runs all cases, those of one transition first, and says which comes out otherwise than it should; "": none.
func redCase(t *testing.T, blueprint []byte, first string) string {
	t.Helper()
	w := newWorld(t, blueprint)
	all := everything()
	order := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(btoi(b == first), btoi(a == first)) })
	for _, kind := range order {
		as := all[kind]
		for _, at := range as.list {
			d := as.draft(w, t)
			at.do(w, &d)
			_, err := w.submit(d, as.payer(w))
			if red := w.judged(at.want, err); red != "" {
				return red + ": " + kind + "/" + at.name
			}
		}
		for _, b := range besides() {
			if free(kind) {
				break
			}
			r := chaintest.Raw{Draft: as.draft(w, t), Paying: purse(as.payer(w)), Change: as.payer(w).Address, Collateral: collateral(as.payer(w))}
			b.do(&r)
			tx, err := r.Encode(w.ledger, w.Network)
			if err != nil {
				t.Fatal(err)
			}
			_, err = chain.Evaluate(tx, tx.Resolved(), w.ledger, w.clock)
			if red := w.judged(b.want, err); red != "" {
				return red + ": " + kind + "/" + b.name
			}
		}
	}
	for _, c := range passing() {
		if _, err := w.submit(c.draft(w, t), c.payer(w)); err != nil {
			return "a valid transaction is refused: " + c.name
		}
	}
	return ""
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// judged compares what the mutant says with what it should.
func (w *world) judged(want string, err error) string {
	var se *chain.ScriptError
	switch {
	case want == "" && err != nil:
		return "what must pass is refused"
	case want == "" || want == "redeemer":
		return ""
	case err == nil:
		return "an attack is accepted"
	case errors.As(err, &se):
		code := map[chain.ScriptHash][]byte{
			w.Policy: w.PolicyScript, w.Stub: w.StubScript, w.Stake: w.StakeScript,
			w.Slices.Policy: w.Slices.PolicyScript, w.Slices.Stub: w.Slices.StubScript,
		}[se.Script]
		if got, err := lastTrace(code, se.Context); err != nil || got != want {
			return "another check refuses it"
		}
	}
	return ""
}
