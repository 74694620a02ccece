package market

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Millis is a span of time in milliseconds, the unit of chain.Time.
type Millis int64

// Spans.
const (
	Second = Millis(1000)
	Minute = 60 * Second
	Hour   = 60 * Minute
	Day    = 24 * Hour
)

// Duration is m for the time package.
func (m Millis) Duration() time.Duration { return time.Duration(m) * time.Millisecond }

// Seconds is m in whole seconds, rounded up: what is billed.
func (m Millis) Seconds() uint64 {
	if m <= 0 {
		return 0
	}
	return uint64((m + Second - 1) / Second)
}

// After is the time m after t.
func (m Millis) After(t chain.Time) chain.Time { return t + chain.Time(m) }

// String is how a job file writes it: 90s, 10m, 1h30m.
func (m Millis) String() string {
	s := m.Duration().String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var spoken = regexp.MustCompile(`(?i)^(\d+(?:\.\d+)?)\s*(s|sec|secs|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)?$`)

// parseMillis reads 90s, 10m, 1h30m. Its error says what to write instead, where that can be told.
func parseMillis(s string) (Millis, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d%time.Millisecond == 0 {
		return Millis(d.Milliseconds()), nil
	}
	parts := spoken.FindStringSubmatch(strings.TrimSpace(s))
	if parts == nil {
		return 0, fmt.Errorf("%q is no duration; write for example 90s, 10m or 6h", s)
	}
	if parts[2] == "" {
		return 0, fmt.Errorf("%q has no unit; write %ss, %sm or %sh", s, parts[1], parts[1], parts[1])
	}
	unit := strings.ToLower(parts[2][:1])
	if unit != "d" {
		return 0, fmt.Errorf("%q is no duration; write %s%s", s, parts[1], unit)
	}
	days, err := time.ParseDuration(parts[1] + "h")
	if err != nil {
		return 0, fmt.Errorf("%q is no duration; write for example 90s, 10m or 6h", s)
	}
	return 0, fmt.Errorf("%q: days are not a unit here; write %s", s, Millis((24 * days).Milliseconds()))
}
