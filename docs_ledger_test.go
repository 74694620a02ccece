package tally_test

import (
	"strings"
	"testing"
)

// The page of ledger rules names every rule that package chain refuses by, and every way in which make oracles breaks a
// transaction, and no others.
func TestLedgerRules(t *testing.T) {
	var rules, mutations []string
	for _, s := range mainModule(t) {
		switch {
		case s.pkg == "chain" && !s.test:
			rules = append(rules, s.name)
		case strings.HasPrefix(s.name, "chain/oracletest/mutation_"):
			mutations = append(mutations, s.name)
		}
	}
	const page = "docs/reference/ledger-rules.md"
	same(t, page, find(t, "(?m)^\\| `(\\w+)` \\|", page), find(t, `(?:refuse\(|RuleError\{)"(\w+)"`, rules...))
	same(t, page, find(t, `"([^"]+)"`, page), find(t, `\{\s*"([^"]+)", "`, mutations...))
}
