//go:build properties

package plutus

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/blinklabs-io/plutigo/cek"
	"github.com/blinklabs-io/plutigo/data"
	"github.com/blinklabs-io/plutigo/syn"

	"github.com/tallycompute/tally/chain"
)

// samples are drawn of every property. The Aiken tests of the same properties draw their own.
const samples = 25

// onlyCompiled are properties without a test in Aiken: a script looks at a stake, or at what a slice says, and the
// contracts' types let an inline datum be a lot only.
func onlyCompiled() []string {
	return []string{
		"stakes", "stakes.value", "stakes.owner", "stakes.taken", "stakes.left", "stakes.lovelace", "stakes.stake",
		"award.taken", "unbond", "unbond.datum", "unbond.stake",
		"start", "start.ascending", "start.price", "start.lovelace", "start.datum", "start.lots", "start.slice", "start.mint",
		"settle", "settle.jobs", "settle.signer", "settle.payout", "settle.payee", "settle.stake", "settle.list", "settle.burn",
		"slice.job", "slice.list",
		"leave", "leave.lots", "leave.index", "leave.signer", "leave.root", "leave.lot", "leave.mint", "leave.last",
		"leave.change", "leave.lovelace", "leave.slice",
		"finish", "finish.lots", "finish.burn", "finish.lot", "finish.payout", "finish.mint",
		"dissolve", "dissolve.burn", "dissolve.requester", "dissolve.provider",
	}
}

// TestProperties holds the properties that contracts/lib/properties states against the compiled contracts: what a
// transition's generator makes passes, and what is broken for a check is refused, by the deployed build, and by that
// very check, as the traced build says. Every check of the sources must have refused all its samples, and must have a test in
// Aiken or be onlyCompiled. SEED repeats a run, and CHECK limits it to names that contain a text.
func TestProperties(t *testing.T) {
	draw := exported(t, "properties/all", "sample")
	silent, err := codes(silentBlueprint)
	if err != nil {
		t.Fatal(err)
	}
	traced, err := codes(tracedBlueprint)
	if err != nil {
		t.Fatal(err)
	}
	seed := cmp.Or(os.Getenv("SEED"), rand.Text())
	t.Logf("SEED=%s", seed)
	tests := aikenTests(t)
	passing, refusing := 0, 0
	var missing []string
	for _, name := range slices.Concat(transitions(), sourceChecks(t)) {
		if !strings.Contains(name, os.Getenv("CHECK")) {
			continue
		}
		positive := slices.Contains(transitions(), name)
		if mark, ok := tests[strings.ReplaceAll(name, ".", "_")]; ok == slices.Contains(onlyCompiled(), name) || ok && positive != (mark == "") {
			t.Errorf("%s: there must be one test of it in Aiken, that passes or fails as it does, or a word why not", name)
		}
		held := 0
		for i := range samples {
			s, err := draw.sample(name, fmt.Sprint(seed, "/", i))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if traced[s.script] == nil {
				t.Fatalf("%s: no script %q", name, s.script)
			}
			want := name
			if positive {
				want = ""
			}
			if got := s.refusal(t, traced[s.script]); got != want {
				t.Errorf("%s, sample %d: refused by %q", name, i, got)
				break
			}
			if got := s.refusal(t, silent[s.script]); (got == "") != positive {
				t.Errorf("%s, sample %d: the deployed build differs from the traced one", name, i)
				break
			}
			held++
		}
		switch {
		case held < samples:
			missing = append(missing, name)
		case positive:
			passing++
		default:
			refusing++
		}
	}
	if len(missing) > 0 {
		t.Errorf("missing: %s", strings.Join(missing, ", "))
	}
	if t.Failed() {
		return
	}
	fmt.Printf("contracts: %d kinds of transactions pass, %d checks refuse, %d samples each; missing: none\n", passing, refusing, samples)
	fmt.Printf("contracts: not in Aiken's own tests: %s\n", strings.Join(onlyCompiled(), ", "))
}

// transitions are the properties of what passes.
func transitions() []string {
	return []string{
		"open", "commit", "approve", "claim", "refund", "decline", "close", "redeem", "dispute", "verdict", "concede",
		"lapse", "stakes", "unbond", "withdraw", "slash", "born", "start", "settle", "leave", "finish", "dissolve",
	}
}

// sourceChecks are the labels in the contracts' sources, and that of a redeemer that cannot be read.
func sourceChecks(t *testing.T) []string {
	t.Helper()
	labels := []string{"redeemer"}
	files, err := filepath.Glob("contracts/*/*.ak")
	if err != nil {
		t.Fatal(err)
	}
	label := regexp.MustCompile(`trace @"([^"]+)"`)
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range label.FindAllStringSubmatch(string(source), -1) {
			labels = append(labels, m[1])
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// aikenTests are the properties that the Aiken tests hold against the contracts: " fail" where they must be refused.
func aikenTests(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("contracts/validators/properties_*.test.ak")
	if err != nil {
		t.Fatal(err)
	}
	test := regexp.MustCompile(`(?m)^test (\w+)\(\s*case via any\((?:\w+|\w+\("([^"]+)", _\))\),?\s*\)( fail)? \{$`)
	tests := map[string]string{}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range test.FindAllStringSubmatch(string(source), -1) {
			if m[2] != "" && strings.ReplaceAll(m[2], ".", "_") != m[1] {
				t.Errorf("%s: test %s is of %s", f, m[1], m[2])
			}
			tests[m[1]] = m[3]
		}
	}
	return tests
}

// function is one of the sources', compiled.
type function struct{ code []byte }

func exported(t *testing.T, module, name string) function {
	t.Helper()
	compiler := os.Getenv("AIKEN")
	if compiler == "" {
		compiler = "aiken"
	}
	out, err := exec.Command(compiler, "export", "--module", module, "--name", name, "contracts").Output()
	if err != nil {
		t.Fatalf("%v: install the compiler that contracts/aiken.toml names, or say in AIKEN where it is", err)
	}
	var f struct {
		Code string `json:"compiledCode"`
	}
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatal(err)
	}
	code, err := hex.DecodeString(f.Code)
	if err != nil {
		t.Fatal(err)
	}
	return function{code}
}

// sample is what a property says that a script sees.
type sample struct {
	script     string // its title in the blueprint
	parameters []data.PlutusData
	context    data.PlutusData
}

func (f function) sample(name, seed string) (s sample, err error) {
	p, err := program(f.code)
	if err != nil {
		return s, err
	}
	digest := sha256.Sum256([]byte(seed))
	for _, arg := range [][]byte{[]byte(name), digest[:]} {
		p.Term = &syn.Apply[syn.DeBruijn]{Function: p.Term, Argument: &syn.Constant{Con: &syn.Data{Inner: data.NewByteString(arg)}}}
	}
	m := cek.NewMachine[syn.DeBruijn](cek.LanguageVersionV3, 200, nil)
	m.ExBudget = cek.ExBudget{Mem: 1 << 62, Cpu: 1 << 62}
	term, err := m.Run(p.Term)
	if err != nil {
		return s, fmt.Errorf("no such property, or it cannot be made: %w", err)
	}
	bad := fmt.Errorf("a sample of another form: %w", ErrParams)
	constant, ok := term.(*syn.Constant)
	if !ok {
		return s, bad
	}
	result, ok := constant.Con.(*syn.Data)
	if !ok {
		return s, bad
	}
	all, ok := result.Inner.(*data.List)
	if !ok || len(all.Items) != 3 {
		return s, bad
	}
	title, ok1 := all.Items[0].(*data.ByteString)
	fixed, ok2 := all.Items[1].(*data.List)
	if !ok1 || !ok2 {
		return s, bad
	}
	return sample{string(title.Inner), fixed.Items, all.Items[2]}, nil
}

// refusal is the last check before a script refuses; "": it accepts.
func (s sample) refusal(t *testing.T, code []byte) string {
	t.Helper()
	script, err := apply(code, s.parameters...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Trace(script, s.context); err == nil {
		return ""
	}
	label, err := lastTrace(script, s.context)
	if err != nil {
		t.Fatal(err)
	}
	return label
}
