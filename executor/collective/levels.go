package collective

import (
	"slices"
	"time"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// blockBytes is the least that goes up, round and down as one; an operation has at most mostBlocks of them.
const (
	blockBytes = 1 << 20
	mostBlocks = 4
)

func teamBlocks(bytes int) int { return max(1, min(mostBlocks, bytes/blockBytes)) }

// A level is this rank's part in an allreduce in teams. Each team is a chain that begins with its leader: what the ranks
// have is folded up the chain, goes round the leaders' ring, and comes down. Blocks are in all three at once.
type level struct {
	*lane
	h            header
	o            Operation
	heads        cycle
	above, below *pipe // in the chain; nil: there is none
	folded, over chan struct{}
}

func (l *lane) levels(h header, o Operation, teams [][]int) error {
	team := slices.IndexFunc(teams, func(t []int) bool { return slices.Contains(t, l.g.Rank()) })
	at := slices.Index(teams[team], l.g.Rank())
	blocks := teamBlocks(len(o.Src))
	v := level{
		lane: l, h: h, o: o, heads: cycle{leaders(teams), team},
		folded: make(chan struct{}, blocks), over: make(chan struct{}, blocks),
	}
	if at+1 < len(teams[team]) {
		v.below = l.pipes[teams[team][at+1]]
	}
	if at > 0 {
		v.above = l.pipes[teams[team][at-1]]
		return l.g.together(v.up, v.down)
	}
	if v.below == nil {
		return l.g.together(v.round)
	}
	return l.g.together(v.up, v.round, v.down)
}

func (v level) block(b []byte, i int) []byte { return chunk(b, teamBlocks(len(b)), i, cacheLine) }

// up folds what comes from below into what this rank has, and passes it on or, in the leader, leaves it in the result.
func (v level) up() error {
	if v.above != nil {
		if err := v.head(v.above); err != nil {
			return err
		}
	}
	if v.below == nil {
		return v.write(v.above, v.o.Src)
	}
	if err := v.expect(v.below, v.h); err != nil {
		return err
	}
	got, sum := make([]byte, segmentBytes), make([]byte, segmentBytes)
	for i := range teamBlocks(len(v.o.Src)) {
		src, dst := v.block(v.o.Src, i), v.block(v.o.Dst, i)
		for lo := 0; lo < len(src); lo += segmentBytes {
			hi := min(lo+segmentBytes, len(src))
			into := dst[lo:hi]
			if v.above != nil {
				into = sum[:hi-lo]
			}
			if err := v.below.readPayload(got[:hi-lo]); err != nil {
				return v.broken(v.below, v.h, err)
			}
			kernel.Fold(v.o.Type, v.o.Reduce, into, src[lo:hi], got[:hi-lo])
			if v.above != nil {
				if err := v.write(v.above, into); err != nil {
					return err
				}
			}
		}
		v.folded <- struct{}{}
	}
	return nil
}

// round is the leaders' ring.
func (v level) round() error {
	for i := range teamBlocks(len(v.o.Src)) {
		o := v.o
		o.Src, o.Dst = v.block(o.Src, i), v.block(o.Dst, i)
		if o.Residual != nil {
			o.Residual = v.block(o.Residual, i)
		}
		if v.below != nil { // which has left what they have together
			o.Src = o.Dst
			if err := v.wait(v.folded); err != nil {
				return err
			}
		}
		if i == 0 { // all blocks are looked at as one
			end := v.g.strain.begin(time.Now)
			defer end(0)
		}
		hops := v.allReduceHops(o, v.heads)
		if o.Wire == AsBF16 {
			hops = v.bf16Hops(o, v.heads)
		}
		if err := v.ring(v.h, hops, v.heads); err != nil {
			return err
		}
		v.over <- struct{}{}
	}
	return nil
}

// down passes the result on.
func (v level) down() error {
	if v.below != nil {
		if err := v.head(v.below); err != nil {
			return err
		}
	}
	if v.above != nil {
		if err := v.expect(v.above, v.h); err != nil {
			return err
		}
	}
	for i := range teamBlocks(len(v.o.Dst)) {
		if v.above == nil {
			if err := v.wait(v.over); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(v.block(v.o.Dst, i), segmentBytes) {
			if v.above != nil {
				if err := v.above.readPayload(part); err != nil {
					return v.broken(v.above, v.h, err)
				}
			}
			if v.below != nil {
				if err := v.write(v.below, part); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (v level) head(to *pipe) error {
	var b [headerBytes]byte
	v.h.put(b[:])
	if err := to.write(b[:], 0); err != nil {
		return v.broken(to, v.h, err)
	}
	return nil
}

func (v level) write(to *pipe, b []byte) error {
	if err := to.write(b, len(b)); err != nil {
		return v.broken(to, v.h, err)
	}
	return nil
}

// wait is for a block to come from another level of this rank.
func (v level) wait(block <-chan struct{}) error {
	select {
	case <-block:
		return nil
	case <-v.g.done:
		return v.g.Err()
	}
}
