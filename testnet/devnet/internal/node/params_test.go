package node

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestParametersDocumented looks for every parameter and its value on mainnet in docs/reference/devnet.md.
func TestParametersDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/reference/devnet.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parameters {
		if row := "| `" + p.name + "` | " + p.mainnet + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("no row %q", row)
		}
	}
}

func TestCheckParams(t *testing.T) {
	for _, x := range []struct {
		name, value string
		good        bool
	}{
		{"txFeeFixed", "0", true},
		{"txFeeFixed", "155382", true},
		{"priceMemory", "0.5", true},
		{"txFeeFixed", "0.5", false},
		{"txFeeFixed", "-1", false},
		{"txFeeFixed", "", false},
		{"txFeeFixed", "1e3", false},
		{"txFeeFixed", "0x10", false},
		{"priceMemory", "1/2", false},
		{"txFeeFixed", "10000000000000000000", false},
		{"minFeeA", "44", false},
	} {
		if err := checkParams(map[string]string{x.name: x.value}); (err == nil) != x.good || err != nil && !errors.Is(err, ErrSettings) {
			t.Errorf("%s=%q: %v", x.name, x.value, err)
		}
	}
}
