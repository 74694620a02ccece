package node

import "time"

// Clock is the chain's clock in one run: slots from SystemStart on, all of one length, in epochs of one length.
type Clock struct {
	start time.Time
	slot  time.Duration
	epoch uint64 // slots
}

// Clock starts at SystemStart.
func (s Settings) Clock() Clock { return Clock{s.SystemStart, s.SlotLength(), s.EpochLength} }

// Slot is the slot at t, 0 before the chain's start.
func (c Clock) Slot(t time.Time) uint64 { return uint64(max(t.Sub(c.start)/c.slot, 0)) }

// Epoch is that of a slot.
func (c Clock) Epoch(slot uint64) uint64 { return slot / c.epoch }

// Since is the time from the chain's start to the start of a slot.
func (c Clock) Since(slot uint64) time.Duration { return time.Duration(slot) * c.slot }

// SecurityParam is k, in blocks. Mainnet's epoch is 10k/f slots (432,000 = 10 · 2,160 / 0.05); this chain's f is 1.
func (s Settings) SecurityParam() uint64 { return max(s.EpochLength/10, 1) }

// Horizon is the slot before which the ledger at slot now translates slots to times: 3k/f slots on, and from there to the
// end of the epoch (ouroboros-consensus, StandardSafeZone).
func (s Settings) Horizon(now uint64) uint64 {
	return s.EpochLength * ((now+3*s.SecurityParam())/s.EpochLength + 1)
}
