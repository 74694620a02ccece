package provider

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzMetrics: whatever a stranger's program leaves as its metrics, what is sent of it is bounded.
func FuzzMetrics(f *testing.F) {
	f.Add([]byte(`{"step": 1, "loss": 0.5}` + "\n"))
	f.Add([]byte(`{"step": 18446744073709551615, "parameter_hash": "` + string(make([]byte, 64)) + `"}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, metricsFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		lines := metricLines(dir)
		lastParameters(lines)
		if got := newest(lines, 10, 100); len(got) > 10 {
			t.Fatalf("%d lines", len(got))
		}
	})
}
