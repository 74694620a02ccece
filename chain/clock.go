package chain

import (
	"errors"
	"fmt"
	"math"
)

// ErrHorizon is a slot or time that no clock can place: before the network's start or past what the node's era
// history covers.
var ErrHorizon = errors.New("outside the known eras")

// Era is a stretch of slots of one length. Eras may be empty.
type Era struct {
	FirstSlot  Slot  `json:"first_slot"`
	Start      int64 `json:"start_ms"`       // milliseconds after the network's start
	SlotLength int64 `json:"slot_length_ms"` // milliseconds
}

// Clock turns slots into POSIX time and back, as the ledger does it for scripts. The last era is open; Horizon, if
// not 0, is the first slot that the node would not translate.
type Clock struct {
	SystemStart Time  `json:"system_start_ms"`
	Eras        []Era `json:"eras"`
	Horizon     Slot  `json:"horizon,omitempty"`
}

// Validate refuses eras out of order or that do not join.
func (c Clock) Validate() error {
	if len(c.Eras) == 0 {
		return fmt.Errorf("clock without eras: %w", ErrMalformed)
	}
	for i, e := range c.Eras {
		if e.SlotLength <= 0 && i == len(c.Eras)-1 || e.SlotLength < 0 || e.Start < 0 {
			return fmt.Errorf("era %d: start %d ms, slots of %d ms: %w", i, e.Start, e.SlotLength, ErrMalformed)
		}
		if i == 0 {
			continue
		}
		p := c.Eras[i-1]
		if e.FirstSlot < p.FirstSlot || e.Start != p.Start+int64(e.FirstSlot-p.FirstSlot)*p.SlotLength {
			return fmt.Errorf("era %d does not start where era %d ends: %w", i, i-1, ErrMalformed)
		}
	}
	return nil
}

// SlotToTime is the first millisecond of slot s.
func (c Clock) SlotToTime(s Slot) Time {
	for i := len(c.Eras) - 1; i >= 0; i-- {
		if e := c.Eras[i]; s >= e.FirstSlot {
			return c.SystemStart + Time(e.Start) + Time(s-e.FirstSlot)*Time(e.SlotLength)
		}
	}
	return c.SystemStart
}

// TimeToSlot is the slot in which t lies. ErrHorizon: t is before the start or past the horizon.
func (c Clock) TimeToSlot(t Time) (Slot, error) {
	rel := int64(t - c.SystemStart)
	for i := len(c.Eras) - 1; i >= 0; i-- {
		e := c.Eras[i]
		if rel < e.Start || e.SlotLength <= 0 {
			continue
		}
		s := e.FirstSlot + Slot((rel-e.Start)/e.SlotLength)
		if c.Horizon != 0 && s >= c.Horizon {
			return 0, fmt.Errorf("time %d is slot %d, horizon %d: %w", t, s, c.Horizon, ErrHorizon)
		}
		return s, nil
	}
	return 0, fmt.Errorf("time %d, network start %d: %w", t, c.SystemStart, ErrHorizon)
}

// CeilSlot is the first slot that starts at t or later: the lower bound of a transaction that must not be valid
// before t.
func (c Clock) CeilSlot(t Time) (Slot, error) {
	if t > math.MinInt64 && t <= c.SystemStart {
		return 0, nil
	}
	s, err := c.TimeToSlot(t - 1)
	return s + 1, err
}
