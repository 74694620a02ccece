package market

import (
	"errors"
	"testing"
)

// FuzzText: amounts, durations and names that people type are written as what reads the same, or are errors.
func FuzzText(f *testing.F) {
	for _, s := range []string{"0.5", "18446744073709.551615", "1h30m", "2 days", Hash{1}.String(), JobID{2}.String(), ReservationID{3}.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNTX(s)
		if err != nil && !errors.Is(err, ErrAmount) {
			t.Fatal(err)
		}
		if again, againErr := ParseNTX(FormatNTX(n)); err == nil && (againErr != nil || again != n) {
			t.Fatalf("%q becomes %d: %v", s, again, againErr)
		}
		if m, err := parseMillis(s); err == nil {
			if again, err := parseMillis(m.String()); err != nil || again != m {
				t.Fatalf("%q becomes %s: %v", s, m, err)
			}
		}
		var h, h2 Hash
		if h.UnmarshalText([]byte(s)) == nil && (h2.UnmarshalText([]byte(h.String())) != nil || h2 != h) {
			t.Fatalf("%q becomes %s", s, h)
		}
		var j, j2 JobID
		if j.UnmarshalText([]byte(s)) == nil && (j2.UnmarshalText([]byte(j.String())) != nil || j2 != j) {
			t.Fatalf("%q becomes %s", s, j)
		}
		var r, r2 ReservationID
		if r.UnmarshalText([]byte(s)) == nil && (r2.UnmarshalText([]byte(r.String())) != nil || r2 != r) {
			t.Fatalf("%q becomes %s", s, r)
		}
	})
}
