package collective

import (
	"sync"
	"time"
)

const (
	// strained is the share of what was measured below which a line is not what it was.
	strained = 1.0 / 3
	// strainBytes and strainTime are what is looked at together at least.
	strainBytes = 4 << 20
	strainTime  = 100 * time.Millisecond
	// strainPatience is how many times in a row that must be so; twice as many each time that nothing came of it.
	strainPatience, mostPatience = 5, 5 << 10
)

// A strain compares what comes round the ring with what was measured before the ring was laid out.
type strain struct {
	mu       sync.Mutex
	expected float64 // bytes a second; 0: not known
	active   int     // operations under way
	since    time.Time
	bytes    int
	low      int // times in a row
	patience int
	changed  bool
}

// expect begins anew, with more patience if nothing has come of the last time.
func (s *strain) expect(rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.patience == 0 {
		s.patience = strainPatience
	} else if s.changed {
		s.patience = min(2*s.patience, mostPatience)
	}
	s.expected, s.bytes, s.low, s.changed = rate, 0, 0, false
}

// begin is when the first bytes of an operation come; what it gives, when so many have come.
func (s *strain) begin(now func() time.Time) (end func(bytes int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active++; s.active == 1 {
		s.since = now()
		s.bytes = 0
	}
	return func(bytes int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bytes += bytes
		if s.active--; s.active == 0 {
			s.look(now().Sub(s.since))
		}
	}
}

// look counts what has come while any operation was under way.
func (s *strain) look(took time.Duration) {
	if s.expected == 0 || s.bytes < strainBytes || took < strainTime {
		return
	}
	if float64(s.bytes)/took.Seconds() >= strained*s.expected {
		s.low = 0
		return
	}
	if s.low++; s.low >= s.patience {
		s.changed = true
	}
}

// felt says whether the lines should be measured again.
func (s *strain) felt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
