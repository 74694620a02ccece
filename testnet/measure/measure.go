// Package measure is what benchmarks leave: a table for people and a JSON file for programs, in one format for all.
package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// Measure is a line of what a benchmark leaves. Anchor is the same of the public alternative, measured in the same run.
// Ratio is above 1 where ours is faster.
type Measure struct {
	Name         string   `json:"name"`
	Value        float64  `json:"value"`
	Unit         string   `json:"unit"`
	Anchor       *float64 `json:"anchor"`
	AnchorSource *string  `json:"anchor_source"`
	Ratio        *float64 `json:"ratio"`
}

// AgainstTime gives a measured time its anchor: the ratio is the anchor divided by it.
func (m Measure) AgainstTime(anchor float64, source string) Measure {
	return m.against(anchor, source, anchor/m.Value)
}

// AgainstRate gives a measured rate, of which more is better, its anchor: the ratio is the rate divided by the anchor.
func (m Measure) AgainstRate(anchor float64, source string) Measure {
	return m.against(anchor, source, m.Value/anchor)
}

func (m Measure) against(anchor float64, source string, ratio float64) Measure {
	m.Anchor, m.AnchorSource, m.Ratio = &anchor, &source, &ratio
	return m
}

// Table prints measures for people.
func Table(w io.Writer, ms []Measure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVALUE\tUNIT\tANCHOR\tRATIO")
	for _, m := range ms {
		anchor, ratio := "-", "-"
		if m.Anchor != nil {
			anchor, ratio = fmt.Sprintf("%.3f", *m.Anchor), fmt.Sprintf("%.2f", *m.Ratio)
		}
		fmt.Fprintf(t, "%s\t%.3f\t%s\t%s\t%s\n", m.Name, m.Value, m.Unit, anchor, ratio)
	}
	return t.Flush()
}

// Write leaves measures in a JSON file, whole or not at all; its directory is made.
func Write(path string, ms []Measure) error {
	text, err := json.MarshalIndent(ms, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return os.Rename(f.Name(), path)
}
