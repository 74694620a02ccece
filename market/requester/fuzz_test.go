package requester

import (
	"os"
	"strings"
	"testing"
)

// FuzzMetrics: whatever a stranger's shard calls metrics becomes a table, of a bounded number of columns.
func FuzzMetrics(f *testing.F) {
	f.Add([]byte(`{"step": 1, "loss": 0.5}` + "\n" + `{"step": 2, "loss": "NaN", "x": [1]}`))
	f.Add([]byte("[]\n{}\nnull\n{\"step\": {}}"))
	j := &job{r: &Requester{Deps: Deps{Dir: f.TempDir()}}, rec: &record{ID: "job"}}
	if err := os.MkdirAll(j.dir("metrics"), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(j.metricsFile(0), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := j.writeCSV([]uint32{0}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestColumns: a stranger's shard that gives every row a name of its own cannot make a table of all rows by all rows.
func TestColumns(t *testing.T) {
	j := &job{r: &Requester{Deps: Deps{Dir: t.TempDir()}}, rec: &record{ID: "job"}}
	if err := os.MkdirAll(j.dir("metrics"), 0o700); err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for i := range 5000 {
		rows.WriteString(`{"step": 1, "` + strings.Repeat("x", i%70) + string(rune('a'+i/70)) + `": 1}` + "\n")
	}
	if err := os.WriteFile(j.metricsFile(0), []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.writeCSV([]uint32{0}); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(j.dir("metrics.csv"))
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(table), "\n")
	if n := strings.Count(head, ","); n > maxColumns+1 {
		t.Errorf("%d columns", n)
	}
}
