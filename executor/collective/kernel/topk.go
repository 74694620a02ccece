package kernel

import (
	"errors"
	"fmt"
	"math"
)

// EntryBytes is what one of the largest values takes: its index, u32, and itself, float32.
const EntryBytes = 8

// ErrEntries are entries that [Largest] does not make.
var ErrEntries = errors.New("no entries")

// Counts are scratch of [Largest]: how many values have some of their bits in common.
type Counts [1 << 16]uint32

// Largest puts the k largest magnitudes of src, which has at least so many and at most 2^32 float32, into dst, an entry
// each, by index; of equal ones the first. A value that is not finite is a *NotFinite error.
func Largest(dst, src []byte, k int, c *Counts) error {
	const sign, low = 1 << 31, 1<<16 - 1
	v := of[uint32](src)
	clear(c[:])
	for _, bits := range v {
		c[bits&^sign>>16]++
	}
	for _, n := range c[0x7f80 : sign>>16] {
		if n > 0 {
			return &NotFinite{firstNotFinite(src)}
		}
	}
	upper, equal := c.find(k)
	clear(c[:])
	for _, bits := range v {
		if bits&^sign>>16 == upper {
			c[bits&low]++
		}
	}
	lower, equal := c.find(equal)
	least := upper<<16 | lower // the smallest magnitude of those k, of which so many are equal to it
	d := of[uint32](dst[:k*EntryBytes])
	for i, bits := range v {
		if bits&^sign < least {
			continue
		}
		if bits&^sign == least {
			if equal == 0 {
				continue
			}
			equal--
		}
		d[0], d[1], d = uint32(i), bits, d[2:]
	}
	return nil
}

// find is the bits of the k-th counted from above, and how many with these bits are among those k.
func (c *Counts) find(k int) (bits uint32, among int) {
	for i := len(c) - 1; ; i-- {
		if n := int(c[i]); k <= n {
			return uint32(i), k
		}
		k -= int(c[i])
	}
}

// AddEntries adds the values of entries, as [Largest] makes them, to dst's. Others are ErrEntries: indices must rise and be
// dst's, values be finite.
func AddEntries(dst, entries []byte) error {
	d, e := of[float32](dst), of[uint32](entries)
	for next := uint64(0); len(e) > 0; e = e[2:] {
		if uint64(e[0]) < next || uint64(e[0]) >= uint64(len(d)) {
			return fmt.Errorf("%w: index %d, where those from %d to below %d may be", ErrEntries, e[0], next, len(d))
		}
		if e[1]&0x7f800000 == 0x7f800000 {
			return fmt.Errorf("%w: value %d is not finite", ErrEntries, e[0])
		}
		d[e[0]] += math.Float32frombits(e[1])
		next = uint64(e[0]) + 1
	}
	return nil
}

// ClearEntries makes the values of entries that [Largest] made of dst zero in it.
func ClearEntries(dst, entries []byte) {
	d, e := of[float32](dst), of[uint32](entries)
	for ; len(e) > 0; e = e[2:] {
		d[e[0]] = 0
	}
}
