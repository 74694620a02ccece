package market

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestParseNTX(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "1": 1e6, "0.5": 500_000, "400": 400e6, "0.000001": 1, "0.510000": 510_000, "18446744073709.551615": 1<<64 - 1,
	} {
		if got, err := ParseNTX(s); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", ".5", "5.", "-1", "+1", "1e3", "1_000", "0.0000001", "18446744073709.551616", "1.2.3", " 1", "٣", "NaN"} {
		if got, err := ParseNTX(s); !errors.Is(err, ErrAmount) {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "untx")
		if back, err := ParseNTX(FormatNTX(n)); err != nil || back != n {
			t.Fatalf("%d → %s → %d, %v", n, FormatNTX(n), back, err)
		}
	})
}

// The price can be had back from price + bond, as the contracts do it.
func TestBondKeepsPrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price, bps := rapid.Uint64Range(1, maxPrice).Draw(t, "price"), rapid.Uint16Range(0, 10_000).Draw(t, "bps")
		sum := price + Bond(price, bps)
		d := 10_000 + uint64(bps)
		// ⌈sum·10000/d⌉ without overflow: sum = q·d + r
		q, r := sum/d, sum%d
		if back := q*10_000 + (r*10_000+d-1)/d; back != price {
			t.Fatalf("price %d, bond rate %d: back %d", price, bps, back)
		}
	})
	if Bond(1_000_000, 2000) != 200_000 || Penalty(999, 1000) != 99 || Bond(1<<63, 10_000) != 1<<63 {
		t.Error("bond or penalty")
	}
}

func TestMillisString(t *testing.T) {
	for want, m := range map[string]Millis{"1m30s": 90 * Second, "10m": 10 * Minute, "6h": 6 * Hour, "48h": 2 * Day, "1.5s": 1500, "0s": 0, "1h0m1s": Hour + Second} {
		if got := m.String(); got != want {
			t.Errorf("%d: %s, want %s", m, got, want)
		}
		if back, err := parseMillis(want); err != nil || back != m {
			t.Errorf("%s: %d, %v", want, back, err)
		}
	}
	if Millis(1001).Seconds() != 2 || Millis(-1).Seconds() != 0 {
		t.Error("seconds are not rounded up")
	}
}
