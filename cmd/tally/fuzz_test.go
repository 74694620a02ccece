package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

// FuzzFiles: the small files of a data directory, damaged, are errors or settings, and never a panic.
func FuzzFiles(f *testing.F) {
	for _, v := range []any{shop{Rate: "0.5", Slots: 2, CPUs: 1.5}, worldFile{PID: 1, Providers: map[string]string{"a": "b"}}} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"attesters": ["x"], "payees": ["y"], "memory_gib": 1e308, "least_share_percent": -1}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		var s shop
		if json.Unmarshal(b, &s) == nil {
			if c, err := s.config(); err == nil && c.Trust.LeastBps > 10_000 {
				t.Fatalf("%+v", c)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "world.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, running, err := readWorld(dir); err != nil && running {
			t.Fatal("running, and unreadable: ", err)
		}
	})
}

// FuzzWords: what people and other machines say is shown in one line of bounded length, and amounts of money are what
// was typed or an error.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"5 NTX 2.5 ADA", "1000000 lovelace", `{"step": 3, "loss": 0.25}`, `{"step": 1e300}`, "pay " + chain.TxID{1}.String(), "\x1b[2J\u202e"} {
		f.Add(s)
	}
	ntx := chain.AssetID{Policy: chain.ScriptHash{1}, Name: "NTX"}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parseAmounts(strings.Fields(s), ntx); err == nil && v.Coin > maxLovelace {
			t.Fatalf("%q is %v", s, v)
		}
		if line := measured(s); strings.ContainsAny(line, "\n\r\x1b\u202e") || utf8.RuneCountInString(line) > 200 {
			t.Fatalf("%q is shown as %q", s, line)
		}
		if tx, ok := payment(wallet.Reservation{Purpose: s}); ok && !strings.HasSuffix(strings.ToLower(s), tx.String()) {
			t.Fatalf("%q names %s", s, tx)
		}
	})
}
