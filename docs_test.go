package tally_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// pages are the texts for people.
func pages(t *testing.T) (names []string) {
	for _, name := range tracked(t) {
		if path.Ext(name) == ".md" && !strings.Contains(name, "/testdata/") {
			names = append(names, name)
		}
	}
	if len(names) < 30 {
		t.Fatalf("%d pages found", len(names))
	}
	return names
}

// rows are the first cells of a page's table rows that are in code font, each alone.
func rows(text string) (codes []string) {
	for _, line := range strings.Split(text, "\n") {
		cell, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		cell, _, _ = strings.Cut("`"+cell, " |")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			codes = append(codes, m[1])
		}
	}
	return codes
}

// same reports what a page says and the source does not, and the other way round.
func same(t *testing.T, page string, says, is []string) {
	t.Helper()
	for _, s := range says {
		if !slices.Contains(is, s) {
			t.Errorf("%s has %q, the source has not", page, s)
		}
	}
	for _, s := range is {
		if !slices.Contains(says, s) {
			t.Errorf("%s lacks %q", page, s)
		}
	}
	if len(is) == 0 {
		t.Errorf("%s: nothing in the source to compare with", page)
	}
}

// find lists the first groups of a pattern in files.
func find(t *testing.T, pattern string, names ...string) (found []string) {
	t.Helper()
	for _, name := range names {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, name), -1) {
			if !slices.Contains(found, m[1]) {
				found = append(found, m[1])
			}
		}
	}
	return found
}

// suffixed are the tracked files with a suffix.
func suffixed(t *testing.T, suffix string) (names []string) {
	for _, name := range tracked(t) {
		if strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	return names
}

// Every link to a file of the tree, and to a heading in it, leads somewhere.
func TestLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, name := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s: no such heading", name, m[1])
			}
		}
	}
}

// anchors are the names that headings get when a page is shown.
func anchors(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		s := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(s, " ", "-"))
	}
	return names
}

// Every page of docs can be reached from docs/README.md.
func TestPagesAreReachable(t *testing.T) {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] || path.Ext(name) != ".md" {
			return
		}
		seen[name] = true
		for _, m := range regexp.MustCompile(`\]\(([^)\s#]+)[^)]*\)`).FindAllStringSubmatch(read(t, name), -1) {
			if to := path.Join(path.Dir(name), m[1]); strings.HasPrefix(to, "docs/") {
				visit(to)
			}
		}
	}
	visit("docs/README.md")
	for _, name := range pages(t) {
		if strings.HasPrefix(name, "docs/") && !seen[name] {
			t.Errorf("%s cannot be reached from docs/README.md", name)
		}
	}
}

// Every `make x` in a page is a target with a description.
func TestMakeTargetsExist(t *testing.T) {
	targets := find(t, `(?m)^([a-z-]+):.*## `, "Makefile")
	for _, name := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^\\s*\\$ )make ([a-z-]+)").FindAllStringSubmatch(read(t, name), -1) {
			if !slices.Contains(targets, m[1]) && m[1] != "help" {
				t.Errorf("%s: make %s: no such target", name, m[1])
			}
		}
	}
}

// The labels of the contracts' checks are those in their source, with the sentences that the program prints.
func TestContractLabels(t *testing.T) {
	const page, slicesPage = "docs/reference/checks.md", "docs/reference/slices.md"
	text := read(t, page)
	checks := read(t, slicesPage)
	text += checks[strings.Index(checks, "## Checks"):]
	labels := find(t, `trace @"([a-z_.]+)"`, suffixed(t, ".ak")...)
	var says []string
	for _, code := range rows(text) {
		if code != "redeemer" {
			says = append(says, code)
		}
	}
	same(t, page, says, labels)
	for _, m := range regexp.MustCompile(`"([a-z_.]+)": +"([^"]+)",`).FindAllStringSubmatch(read(t, "plutus/explain.go"), -1) {
		if !strings.Contains(text, "| `"+m[1]+"` | "+m[2]+" |") {
			t.Errorf("%s does not explain %q as the program does: %s", page, m[1], m[2])
		}
	}
}

// The state table is escrow's.
func TestStates(t *testing.T) {
	const page = "docs/reference/states.md"
	text, _, _ := strings.Cut(read(t, page), "\n## ")
	var says, is []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z]+) \| ([a-z]+) \| ([a-z]+) \|$`).FindAllStringSubmatch(text, -1) {
		says = append(says, strings.Join(m[1:], " "))
	}
	for _, r := range escrow.Table() {
		is = append(is, fmt.Sprintf("%s %s %s", r.From, r.On, r.To))
	}
	same(t, page, says, is)
	same(t, page+", phases", rows(read(t, page)), find(t, `Phase += "([a-z]+)"`, "market/requester/event.go"))
}

// jobKeys asks ParseJob which keys it knows, by giving it one that nobody knows, at every place.
func jobKeys(t *testing.T) (keys []string) {
	t.Helper()
	ask := func(text, at string) []string {
		_, err := market.ParseJob([]byte(text))
		if err == nil {
			t.Fatalf("%s: accepted", text)
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			_, field, _ := strings.Cut(line, ": ")
			if field, known, ok := strings.Cut(field, ": unknown key; supported keys: "); ok && field == at+"qqqqqqqqqqqq" {
				return strings.Split(known, ", ")
			}
		}
		return nil
	}
	for _, k := range ask("qqqqqqqqqqqq: 1", "") {
		keys = append(keys, k)
		for _, below := range ask(k+": {qqqqqqqqqqqq: 1}", k+".") {
			if k != "envs" {
				keys = append(keys, k+"."+below)
			}
		}
		for _, below := range ask(k+": [{qqqqqqqqqqqq: 1}]", k+"[0].") {
			keys = append(keys, k+"[]."+below)
		}
	}
	return keys
}

// The job file's keys are those that ParseJob knows, and its defaults those that the page writes out.
func TestJobFile(t *testing.T) {
	const page = "docs/reference/job-file.md"
	text := read(t, page)
	_, table, _ := strings.Cut(text, "\n## Keys")
	table, _, _ = strings.Cut(table, "\n## ")
	same(t, page, rows(table), jobKeys(t))
	var jobs []market.Job
	for _, block := range blocks(text, "yaml") {
		j, err := market.ParseJob([]byte(block))
		if err != nil {
			t.Fatalf("%s:\n%s\n%v", page, block, err)
		}
		for i := range j.Outputs {
			j.Outputs[i].Line = 0
		}
		if j.Inputs == nil {
			j.Inputs = []market.Input{}
		}
		jobs = append(jobs, j)
	}
	if len(jobs) != 2 {
		t.Fatalf("%s: %d job files", page, len(jobs))
	}
	if short, long := jobs[0], jobs[1]; !reflect.DeepEqual(short, long) {
		t.Errorf("%s: the defaults written out are not the defaults:\n%+v\n%+v", page, short, long)
	}
	env, err := market.ShardEnv(market.Task{Shards: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ = strings.Cut(text, "\n## Environment of a shard")
	for name := range maps.Keys(env) {
		if !slices.Contains(rows(table), name) {
			t.Errorf("%s lacks the variable %s", page, name)
		}
	}
}

// Every example is a job file.
func TestExamplesParse(t *testing.T) {
	names := suffixed(t, "/job.yaml")
	if len(names) < 3 {
		t.Fatalf("%d examples", len(names))
	}
	for _, name := range names {
		if _, err := market.ParseJob([]byte(read(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// blocks are a page's fenced blocks of one language, without the indent of a list.
func blocks(text, language string) (found []string) {
	fence := regexp.MustCompile("(?ms)^( *)```" + language + "\n(.*?)^ *```$")
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		found = append(found, strings.TrimPrefix(strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n"), "\n"))
	}
	return found
}

// Exit codes are cmd's.
func TestExitCodes(t *testing.T) {
	const page = "docs/reference/exit-codes.md"
	var says, is []string
	for _, m := range regexp.MustCompile("(?m)^\\| (\\d+) \\| `(exit\\w+)` \\|").FindAllStringSubmatch(read(t, page), -1) {
		says = append(says, m[2]+" "+m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(exit\w+) += (\d+)`).FindAllStringSubmatch(read(t, "cmd/tally/exit.go"), -1) {
		is = append(is, m[1]+" "+m[2])
	}
	same(t, page, says, is)
}

// Settings are those that the sources read.
func TestSettings(t *testing.T) {
	const page = "docs/reference/environment.md"
	var is []string
	for _, name := range tracked(t) {
		if ext := path.Ext(name); ext != ".go" && ext != ".py" && ext != ".sh" && name != "Makefile" || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/tests/") {
			continue
		}
		is = append(is, find(t, `\b(TALLY_[A-Z_]*[A-Z])\b`, name)...)
		for _, s := range find(t, `setting\("([A-Z_]+)"`, name) {
			is = append(is, "TALLY_"+s)
		}
	}
	is = slices.DeleteFunc(is, func(s string) bool { return s == "TALLY_NAME" }) // stands for any of them
	var says []string
	for _, s := range rows(read(t, page)) {
		if strings.HasPrefix(s, "TALLY_") {
			says = append(says, s)
		}
	}
	same(t, page, says, is)
}

// The fields of summary.json are those of testnet's types, type by type.
func TestSummaryFields(t *testing.T) {
	const page = "docs/reference/summary.md"
	text := read(t, page)
	var types []string
	for _, m := range regexp.MustCompile(`(?ms)^type (\w+) struct \{\n(.*?)^\}`).FindAllStringSubmatch(read(t, "testnet/summary.go"), -1) {
		var is []string
		for _, f := range regexp.MustCompile("`json:\"(\\w+)").FindAllStringSubmatch(m[2], -1) {
			is = append(is, f[1])
		}
		_, section, ok := strings.Cut(text, ": `"+m[1]+"`\n")
		if !ok {
			t.Errorf("%s has no section on %s", page, m[1])
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		same(t, page+", "+m[1], rows(section), is)
		types = append(types, m[1])
	}
	same(t, page, find(t, "(?m)^## .*: `(\\w+)`$", page), types)
}

// The columns that the README explains are those that the demo prints.
func TestDemoColumns(t *testing.T) {
	header := find(t, `"(JOB\\t[^"]+)"`, "testnet/table.go")
	if len(header) != 1 {
		t.Fatalf("headers %q", header)
	}
	_, text, _ := strings.Cut(read(t, "README.md"), "\n## What the demo prints\n")
	text, _, _ = strings.Cut(text, "\n## ")
	same(t, "README.md", rows(text), strings.Split(header[0], `\t`))
}

// The protocols and signing domains are those in the sources.
func TestProtocols(t *testing.T) {
	const page = "docs/reference/protocols.md"
	var is []string
	for _, s := range sources(t, "") {
		if !s.test {
			is = append(is, find(t, `protocol\.ID = "(/tally/[^"]+)"`, s.name)...)
		}
	}
	is = append(is, "/tally/kad/1.0.0")
	text, _, _ := strings.Cut(read(t, page), "\n## ")
	same(t, page, slices.DeleteFunc(rows(text), func(s string) bool { return !strings.HasPrefix(s, "/tally/") }), is)
	domains := find(t, `= "(tally/[a-z]+/\d)"`, "market/sign.go")
	same(t, page, find(t, "`(tally/[a-z]+/\\d)`", page), domains)
}

// The SDK's names are those it exports.
func TestSDKNames(t *testing.T) {
	const page = "docs/reference/python-sdk.md"
	text := read(t, page)
	for _, name := range []string{"executor/python/tally/__init__.py", "executor/python/tally/torch.py"} {
		_, all, _ := strings.Cut(read(t, name), "__all__ = [")
		all, _, _ = strings.Cut(all, "]")
		names := regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(all, -1)
		if len(names) == 0 {
			t.Errorf("%s exports nothing", name)
		}
		for _, m := range names {
			if !strings.Contains(text, "`"+m[1]+"`") && !strings.Contains(text, "`"+m[1]+"(") {
				t.Errorf("%s does not mention %s", page, m[1])
			}
		}
	}
}

// The errors that people look up are those that the program prints.
func TestErrorTexts(t *testing.T) {
	const page = "docs/help/troubleshooting.md"
	var all strings.Builder
	for _, s := range mainModule(t) {
		if !s.test {
			all.WriteString(read(t, s.name))
		}
	}
	heads := find(t, "(?m)^### `([^`]+)`$", page)
	if len(heads) < 10 {
		t.Errorf("%d errors explained", len(heads))
	}
	for _, h := range heads {
		text := h
		if code, ok := strings.CutPrefix(h, "refused ("); ok { // market.Refusal
			text = `= "` + strings.TrimSuffix(code, ")") + `"`
		}
		if !strings.Contains(all.String(), text) {
			t.Errorf("%s: nothing in the source says %q", page, h)
		}
	}
}

// Decisions are numbered without a gap, and each says why, what, and what would change it.
func TestDecisions(t *testing.T) {
	var found []string
	for _, name := range pages(t) {
		if strings.HasPrefix(name, "docs/adr/0") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	for i, name := range found {
		if want := fmt.Sprintf("docs/adr/%04d-", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s: want %s…", name, want)
		}
		for _, head := range []string{"Context", "Decision", "Consequences", "What would change it"} {
			if !strings.Contains(read(t, name), "\n## "+head+"\n\n") {
				t.Errorf("%s has no section %q", name, head)
			}
		}
	}
	if len(found) == 0 {
		t.Error("no decisions")
	}
}
