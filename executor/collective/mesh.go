package collective

import (
	"errors"
	"fmt"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// An exchange is what every rank sends every other directly. Segment by segment, and at step d of each segment, rank r
// sends to rank r+d and reads from rank r-d: all read what the others send at that time, so that nobody waits in a circle.
type exchange struct {
	segment int
	out, in []int // the bytes to and from each rank
	// fill gives bytes lo to hi of what goes to a rank.
	fill func(to, lo, hi int) ([]byte, error)
	// into is where bytes lo to hi of a rank's are read.
	into func(from, lo, hi int) []byte
	// done sees them there; nil: that was all.
	done func(from, lo, hi int) error
}

// mesh runs the exchanges one after another: the headers are sent once.
func (l *lane) mesh(h header, x exchange) error {
	n, me := l.g.Size(), l.g.Rank()
	steps := func(bytes []int, sign int, f func(r, lo, hi int) error) error {
		for lo, more := 0, true; more; lo += x.segment {
			more = false
			for d := 1; d < n; d++ {
				r := mod(me+sign*d, n)
				if lo >= bytes[r] {
					continue
				}
				more = true
				if err := f(r, lo, min(lo+x.segment, bytes[r])); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return l.both(func() error {
		return steps(x.out, 1, func(r, lo, hi int) error {
			b, err := x.fill(r, lo, hi)
			if err != nil {
				return err
			}
			if err := l.pipes[r].write(b, hi-lo); err != nil {
				return l.broken(l.pipes[r], h, err)
			}
			return nil
		})
	}, func() error {
		return steps(x.in, -1, func(r, lo, hi int) error {
			if err := l.pipes[r].readPayload(x.into(r, lo, hi)); err != nil {
				return l.broken(l.pipes[r], h, err)
			}
			if x.done != nil {
				return x.done(r, lo, hi)
			}
			return nil
		})
	})
}

// headers tells every rank what this one is in, and hears it from them. bytes are those between it and us, if they
// differ between pairs.
func (l *lane) headers(h header, out, in []int) error {
	of := func(bytes []int, r int) header {
		one := h
		if bytes != nil {
			one.bytes = uint64(bytes[r])
		}
		return one
	}
	for r, p := range l.pipes {
		if p == nil {
			continue
		}
		var b [headerBytes]byte
		of(out, r).put(b[:])
		if err := p.write(b[:], 0); err != nil {
			return l.broken(p, h, err)
		}
	}
	for r, p := range l.pipes {
		if p == nil {
			continue
		}
		if err := l.expect(p, of(in, r)); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) allToAll(h header, o Operation) error {
	me := l.g.Rank()
	out, in := split(o.Src, o.Counts), split(o.Dst, o.Receive)
	copy(in[me], out[me])
	if err := l.headers(h, o.Counts, o.Receive); err != nil {
		return err
	}
	return l.mesh(h, exchange{
		segment: segmentBytes, out: o.Counts, in: o.Receive,
		fill: func(to, lo, hi int) ([]byte, error) { return out[to][lo:hi], nil },
		into: func(from, lo, hi int) []byte { return in[from][lo:hi] },
	})
}

// same is a number for each rank.
func same(n, each int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = each
	}
	return all
}

// reduceScatter has each rank fold what the others send of its part: its own first, then theirs from the rank before it
// backwards.
func (l *lane) reduceScatter(h header, o Operation) error {
	n, me := l.g.Size(), l.g.Rank()
	parts := split(o.Src, o.Counts)
	if n == 1 {
		copy(o.Dst, parts[me])
		return nil
	}
	if err := l.headers(h, nil, nil); err != nil {
		return err
	}
	return l.mesh(h, exchange{
		segment: segmentBytes, out: o.Counts, in: same(n, len(o.Dst)),
		fill: func(to, lo, hi int) ([]byte, error) { return parts[to][lo:hi], nil },
		into: func(_, lo, hi int) []byte { return l.segment()[:hi-lo] },
		done: func(from, lo, hi int) error {
			own := o.Dst[lo:hi]
			if from == mod(me-1, n) {
				own = parts[me][lo:hi]
			}
			kernel.Fold(o.Type, o.Reduce, o.Dst[lo:hi], own, l.segment()[:hi-lo])
			if o.Reduce == Mean && from == mod(me+1, n) {
				kernel.Divide(o.Type, o.Dst[lo:hi], n)
			}
			return nil
		},
	})
}

const (
	packedBlock  = kernel.Block + 4 // a block as int8, with its scale
	packedBlocks = 128              // in a segment
)

// int8Reduce rounds twice, whatever the number of ranks: each rank rounds what it sends to the one that folds a part,
// and that one rounds the result, which all widen, itself too.
func (l *lane) int8Reduce(h header, o Operation) error {
	n, me := l.g.Size(), l.g.Rank()
	const line = 4 * kernel.Block
	part := func(b []byte, r int) []byte { return chunk(b, n, r, line) }
	packed := make([]int, n)
	for r := range packed {
		packed[r] = kernel.Int8Bytes(len(part(o.Src, r)) / 4)
	}
	values := func(lo, hi int) (from, to int) { // the float32 bytes behind packed bytes; whole blocks but for the last
		blocks := (hi - lo + packedBlock - 1) / packedBlock
		from = lo / packedBlock * line
		return from, from + 4*(hi-lo-4*blocks)
	}
	send, round := newPacker(o), newPacker(o)
	if l.packed == nil {
		l.packed = make([]byte, packedBlocks*packedBlock)
	}
	out := l.packed
	if err := l.headers(h, nil, nil); err != nil {
		return err
	}
	mine, result := part(o.Dst, me), l.buffer(packed[me])
	err := l.mesh(h, exchange{
		segment: len(out), out: packed, in: same(n, packed[me]),
		fill: func(to, lo, hi int) ([]byte, error) {
			a, b := values(lo, hi)
			var residual []byte
			if o.Residual != nil {
				residual = part(o.Residual, to)[a:b]
			}
			first, _ := bounds(len(o.Src), n, to, line)
			return out[:hi-lo], send.pack(out[:hi-lo], part(o.Src, to)[a:b], residual, (first+a)/4)
		},
		into: func(_, lo, hi int) []byte { return l.segment()[:hi-lo] },
		done: func(from, lo, hi int) error {
			a, b := values(lo, hi)
			own := mine[a:b]
			if from == mod(me-1, n) {
				own = part(o.Src, me)[a:b]
			}
			kernel.AddInt8(mine[a:b], own, l.segment()[:hi-lo])
			if from != mod(me+1, n) {
				return nil
			}
			if o.Reduce == Mean { // and round, while it is at hand
				kernel.Divide(F32, mine[a:b], n)
			}
			var residual []byte
			if o.Residual != nil {
				residual = part(o.Residual, me)[a:b]
			}
			first, _ := bounds(len(o.Src), n, me, line)
			if err := round.pack(result[lo:hi], mine[a:b], residual, (first+a)/4); err != nil {
				return err
			}
			kernel.UnpackInt8(mine[a:b], result[lo:hi], len(o.Dst))
			return nil
		},
	})
	if err != nil {
		return err
	}
	return l.mesh(h, exchange{
		segment: len(out), out: same(n, packed[me]), in: packed,
		fill: func(_, lo, hi int) ([]byte, error) { return result[lo:hi], nil },
		into: func(_, lo, hi int) []byte { return l.segment()[:hi-lo] },
		done: func(from, lo, hi int) error {
			a, b := values(lo, hi)
			kernel.UnpackInt8(part(o.Dst, from)[a:b], l.segment()[:hi-lo], len(o.Dst))
			return nil
		},
	})
}

// notFinite names the value that has no place in the operation's wire format; at is where what was looked at begins.
func notFinite(o Operation, at int, err error) error {
	var e *kernel.NotFinite
	if errors.As(err, &e) {
		return fmt.Errorf("%w: %v: value %d is not finite, and cannot travel %v", ErrValue, o, at+e.At, o.Wire)
	}
	return err
}

// A packer rounds to int8 and, if the operation has memory for it, remembers what was lost.
type packer struct {
	of        Operation
	sum, lost []byte // a segment's
}

func newPacker(o Operation) packer {
	p := packer{of: o}
	if o.Residual != nil {
		p.sum, p.lost = make([]byte, packedBlocks*4*kernel.Block), make([]byte, packedBlocks*4*kernel.Block)
	}
	return p
}

// pack rounds src and what was lost of it before, if residual is not nil; at is where src begins in its tensor.
func (p packer) pack(dst, src, residual []byte, at int) error {
	if residual != nil {
		sum := p.sum[:len(src)]
		kernel.Fold(F32, Sum, sum, src, residual)
		src = sum
	}
	if err := kernel.PackInt8(dst, src); err != nil {
		return notFinite(p.of, at, err)
	}
	if residual != nil {
		lost := p.lost[:len(src)]
		kernel.UnpackInt8(lost, dst, len(lost))
		kernel.Subtract(residual, src, lost)
	}
	return nil
}
