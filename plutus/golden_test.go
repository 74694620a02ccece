package plutus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// TestBlueprintsAreOfTheirSources fails when a contract was changed and not compiled, without needing the compiler.
func TestBlueprintsAreOfTheirSources(t *testing.T) {
	list, err := os.ReadFile("sources.sha256")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(list)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			t.Fatalf("line %q", line)
		}
		listed[name] = sum
	}
	check := func(name string) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if listed[name] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not as it was compiled: run plutus/build.sh", name)
		}
		delete(listed, name)
	}
	check("plutus.json")
	check("traced.json")
	err = filepath.WalkDir("contracts", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "build" {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() && (filepath.Ext(path) == ".ak" || strings.HasPrefix(d.Name(), "aiken.")) {
			check(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range listed {
		t.Errorf("%s is recorded and not there", name)
	}
}

// TestHashes: another hash is another address, where nobody's lots are. These change only with the contracts, and are
// those of the compiler's own "aiken blueprint apply".
func TestHashes(t *testing.T) {
	mainnet, err := Mainnet()
	if err != nil {
		t.Fatal(err)
	}
	preprod, err := Preprod()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		network chain.Network
		params  Params
		policy  string
		address string
	}{
		{"mainnet", chain.Network{Magic: 764824073, ID: 1}, mainnet, "2d38e724b6b734128d43e583758c8e6061049bba21056c114fb931b0", "addr1w9qulmwx0wh3p8f9p9vefg9naunh55vw3jskspju63s2awc3xyet7"},
		{"preprod", chain.Network{Magic: 1}, preprod, "71d6170d628cc0f9e8906c657d281f85aad2f6a558047e90b0a1a3d6", "addr_test1wpsc93knr9va945adh4dafssa7p90l29nq2gwc8azq625qg6yf5kn"},
	} {
		got, err := New(c.network, c.params)
		if err != nil {
			t.Fatal(err)
		}
		if got.Policy.String() != c.policy || got.Address.String() != c.address {
			t.Errorf("%s: policy %s, address %s", c.name, got.Policy, got.Address)
		}
	}
}

// TestStubIsPinned: the policy hashes the stub's code around its own id, so nothing else of the code may
// depend on the id.
func TestStubIsPinned(t *testing.T) {
	code, err := codes(silentBlueprint)
	if err != nil {
		t.Fatal(err)
	}
	before, after, err := around(code[stubTitle])
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, silentBlueprint)
	whole := bytes.Join([][]byte{before, w.Policy[:], after}, nil)
	if !bytes.Equal(whole, append([]byte{3}, w.StubScript...)) {
		t.Errorf("the stub around the policy's id is %x, the policy would hash %x", w.StubScript, whole)
	}
}

func TestParamsThatCannotWork(t *testing.T) {
	for name, f := range map[string]func(*Params){
		"no asset":            func(p *Params) { p.NTX = chain.AssetID{} },
		"long asset name":     func(p *Params) { p.NTX.Name = strings.Repeat("x", 33) },
		"no review":           func(p *Params) { p.MinReviewMS = 0 },
		"review upside down":  func(p *Params) { p.MaxReviewMS = p.MinReviewMS - 1 },
		"endless review":      func(p *Params) { p.MaxReviewMS = 1 << 60 },
		"no range":            func(p *Params) { p.MaxRangeMS = 0 },
		"no horizon":          func(p *Params) { p.MaxHorizonMS = 0 },
		"no lovelace":         func(p *Params) { p.MinLotLovelace = 0 },
		"no least horizon":    func(p *Params) { p.MinHorizonMS = 0 },
		"horizon upside down": func(p *Params) { p.MaxHorizonMS = p.MinHorizonMS - 1 },
		"no verdict":          func(p *Params) { p.MinVerdictMS = 0 },
		"endless verdict":     func(p *Params) { p.MaxVerdictMS = 1 << 60 },
		"too short a delay":   func(p *Params) { p.UnbondMS = p.lifeMS() + p.MaxRangeMS - 1 },
		"no sink":             func(p *Params) { p.Sink = chain.ScriptHash{} },
	} {
		p := Live(ntx)
		f(&p)
		if _, err := New(chain.Network{}, p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
