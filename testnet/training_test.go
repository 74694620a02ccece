package testnet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/tallycompute/tally/testnet"
)

// left writes what a rank leaves: metrics of 20 steps, and parameters.
func left(t *testing.T, change func(m map[string]string, ps []float32) []float32) string {
	t.Helper()
	dir := t.TempDir()
	hashes := map[string]string{"10": "aa", "20": "bb", "accuracy": "0.9"}
	ps := []float32{1, 2, 3}
	if change != nil {
		ps = change(hashes, ps)
	}
	var lines []byte
	for s := 1; s <= 20; s++ {
		hash := ""
		if h := hashes[fmt.Sprint(s)]; h != "" {
			hash = fmt.Sprintf(`, "parameter_hash": %q`, h)
		}
		lines = fmt.Appendf(lines, "{\"time\": %d, \"step\": %d, \"loss\": 0.5%s}\n", s, s, hash)
	}
	lines = fmt.Appendf(lines, "{\"time\": 21, \"step\": 20, \"accuracy\": %s, \"parameter_hash\": %q}\n", hashes["accuracy"], hashes["20"])
	var b []byte
	for _, p := range ps {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p))
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "metrics.jsonl"), lines, 0o600),
		os.WriteFile(filepath.Join(dir, "parameters-10.f32"), b, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCompare(t *testing.T) {
	good := func(map[string]string, []float32) []float32 { return []float32{1, 2, 3.00001} }
	for name, c := range map[string]struct {
		rank, alone func(map[string]string, []float32) []float32
		ok          bool
	}{
		"equal":            {nil, nil, true},
		"rounding":         {good, nil, true},
		"another hash":     {func(m map[string]string, p []float32) []float32 { m["10"] = "cc"; return p }, nil, false},
		"a hash is absent": {func(m map[string]string, p []float32) []float32 { delete(m, "10"); return p }, nil, false},
		"parameters":       {nil, func(_ map[string]string, p []float32) []float32 { p[0] += 0.001; return p }, false},
		"one rank's":       {func(_ map[string]string, p []float32) []float32 { p[2] += 0.001; return p }, nil, false},
		"more parameters":  {nil, func(_ map[string]string, p []float32) []float32 { return append(p, 4) }, false},
		"no number":        {func(_ map[string]string, p []float32) []float32 { p[0] = float32(math.NaN()); return p }, nil, false},
		"accuracy":         {nil, func(m map[string]string, p []float32) []float32 { m["accuracy"] = "0.95"; return p }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, ranks, err := testnet.Split{Ranks: []string{left(t, nil), left(t, c.rank)}}.Compare(left(t, c.alone))
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, testnet.ErrTraining) {
				t.Errorf("%+v, %v", s, err)
			}
			if c.ok && (!s.ParameterHashesEqual || s.Steps != 20 || len(ranks) != 2) {
				t.Errorf("%+v", s)
			}
		})
	}
}
