package tally_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tallycompute/tally"

// row is how high a package stands: imports point to lower rows only, and inside a row only to one's parent.
func row(pkg string) int {
	switch pkg {
	case "chain", "executor", "executor/collective/kernel":
		return 0
	case "market", "plutus":
		return 1
	case "deployments", "escrow", "market/p2p", "market/dht", "market/trust":
		return 2
	case "market/agree":
		return 3
	case "provider", "market/requester", "market/attester":
		return 4
	case "testnet/images", "testnet/measure":
		return 5
	case "testnet", "testnet/simtrust":
		return 6
	case "cmd/tally":
		return 7
	}
	switch top, _, _ := strings.Cut(pkg, "/"); top {
	case "executor":
		return 1
	case "chain":
		return 2
	}
	return -1
}

// doesIO are the packages that talk to disks, engines, nodes and peers.
var doesIO = []string{
	"chain/index", "chain/node", "chain/wallet", "executor/bundle", "executor/collective", "executor/container",
	"market/agree", "market/attester", "market/dht", "market/p2p", "market/requester", "provider",
}

// pure are the packages without I/O and without a clock.
var pure = []string{"chain", "escrow", "market", "market/trust", "plutus"}

// helper says whether a package exists for tests only, as chain/chaintest does.
func helper(pkg string) bool {
	return slices.ContainsFunc(strings.Split(pkg, "/"), func(elem string) bool { return strings.HasSuffix(elem, "test") })
}

// source is one Go file of the main module, with its directory as the package's path.
type source struct {
	name, pkg string
	test      bool
	ast       *ast.File
	fset      *token.FileSet
}

func (s source) imports(t *testing.T) (paths []string) {
	t.Helper()
	for _, i := range s.ast.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// ours is an import's path inside the module, if it is one of ours.
func ours(p string) (string, bool) { return strings.CutPrefix(p, module+"/") }

// sources parses every Go file below a directory, whatever its build tags say: each system's files count.
func sources(t *testing.T, below string) (all []source) {
	t.Helper()
	for _, name := range tracked(t) {
		if path.Ext(name) != ".go" || !strings.HasPrefix(name, below) {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.FromSlash(name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), f, fset})
	}
	return all
}

// mainModule are the files of the main module only.
func mainModule(t *testing.T) (all []source) {
	for _, s := range sources(t, "") {
		if !strings.HasPrefix(s.name, "testnet/devnet/") && s.pkg != "." {
			all = append(all, s)
		}
	}
	if len(all) < 100 {
		t.Fatalf("%d Go files found: run this in the source tree", len(all))
	}
	return all
}

// Imports point down only: a package can be read, tested and replaced knowing nothing of who uses it.
func TestImportsPointDown(t *testing.T) {
	for _, s := range mainModule(t) {
		if s.test || helper(s.pkg) {
			continue // a test may stand on anything
		}
		from := row(s.pkg)
		if from < 0 {
			t.Errorf("%s: package %s has no row in the architecture", s.name, s.pkg)
		}
		for _, p := range s.imports(t) {
			to, is := ours(p)
			if is && helper(to) {
				t.Errorf("%s imports %s, which is for tests only", s.name, to)
			} else if is && row(to) >= from && to != path.Dir(s.pkg) {
				t.Errorf("%s imports %s, which does not lie below %s", s.name, to, s.pkg)
			}
		}
	}
}

// A package with I/O is imported by cmd, testnet and tests only. Everybody else names the few methods it needs, and
// cmd passes them in: so each decision can be tested without a disk, a node or a peer, and a part can be replaced.
func TestIOIsPassedIn(t *testing.T) {
	for _, s := range mainModule(t) {
		if s.test || helper(s.pkg) || s.pkg == "cmd/tally" || s.pkg == "testnet" || s.pkg == "testnet/images" {
			continue
		}
		for _, p := range s.imports(t) {
			if to, is := ours(p); is && slices.Contains(doesIO, to) {
				t.Errorf("%s imports %s: declare the interface you need and let cmd pass it in", s.name, to)
			}
		}
	}
}

// The ledger's words and the executor's know nothing of the market: they import nothing of ours, and the executor,
// which faces strangers' programs, nothing but the standard library.
func TestBottomStandsAlone(t *testing.T) {
	for _, s := range mainModule(t) {
		if s.test || s.pkg != "chain" && s.pkg != "executor" {
			continue
		}
		for _, p := range s.imports(t) {
			first, _, _ := strings.Cut(p, "/")
			if _, is := ours(p); is || s.pkg == "executor" && strings.Contains(first, ".") {
				t.Errorf("%s imports %s", s.name, p)
			}
		}
	}
}

// The devnet is a child process, never a library, in either direction: its dependencies are a whole Cardano node.
func TestDevnetIsAProcess(t *testing.T) {
	for _, s := range sources(t, "") {
		for _, p := range s.imports(t) {
			to, is := ours(p)
			inside := strings.HasPrefix(s.name, "testnet/devnet/")
			if is && inside != strings.HasPrefix(to, "testnet/devnet") {
				t.Errorf("%s imports %s", s.name, p)
			}
		}
	}
	for _, dep := range deps(t, "./cmd/tally") {
		if strings.HasPrefix(dep, "github.com/blinklabs-io/dingo") || strings.HasPrefix(dep, module+"/testnet/devnet") {
			t.Errorf("cmd/tally depends on %s", dep)
		}
	}
	for _, name := range tracked(t) {
		if path.Base(name) == "go.work" {
			t.Errorf("%s: a workspace would let the node's dependencies reach the product", name)
		}
		if path.Base(name) == "go.mod" && strings.Contains("\n"+read(t, name), "\nreplace ") {
			t.Errorf("%s replaces a module", name)
		}
	}
}

// The core has no I/O and no clock: time is an argument, so that a state is the same whoever folds it, and when.
func TestCoreIsPure(t *testing.T) {
	banned := []string{"os", "os/exec", "net", "net/http", "database/sql", "syscall", "math/rand", "math/rand/v2"}
	for _, s := range mainModule(t) {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, p := range s.imports(t) {
			if slices.Contains(banned, p) {
				t.Errorf("%s imports %s", s.name, p)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker"}, sel.Sel.Name) {
				t.Errorf("%s: time.%s: time is an argument here", s.fset.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

// Below cmd a context is handed down, never made: whoever cancels at the top ends everything.
func TestContextsComeFromAbove(t *testing.T) {
	for _, s := range mainModule(t) {
		if s.test || s.pkg == "cmd/tally" || helper(s.pkg) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == "context" && (sel.Sel.Name == "Background" || sel.Sel.Name == "TODO") {
				t.Errorf("%s: context.%s below cmd", s.fset.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

// A package is one sentence, and doc.go says it. (A program of one file, or a package of one, may say it there.)
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	type pkg struct {
		files, docs int
		docFile     bool
	}
	all := map[string]*pkg{}
	for _, s := range sources(t, "") {
		if s.test {
			continue
		}
		p := all[s.pkg]
		if p == nil {
			p = &pkg{}
			all[s.pkg] = p
		}
		p.files++
		if s.ast.Doc != nil && strings.TrimSpace(s.ast.Doc.Text()) != "" {
			p.docs++
			p.docFile = p.docFile || path.Base(s.name) == "doc.go"
		}
	}
	for name, p := range all {
		switch {
		case p.docs == 0:
			t.Errorf("package %s has no package comment", name)
		case p.docs > 1:
			t.Errorf("package %s has %d package comments; one belongs into doc.go", name, p.docs)
		case p.files > 2 && !p.docFile && !strings.HasSuffix(name, "testnet/devnet"):
			t.Errorf("package %s: its comment is not in doc.go", name)
		}
	}
}

// deps are all packages that a package is built from.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}
