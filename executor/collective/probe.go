package collective

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// A prober sends trains on one lane, and the answerer at the other end says on another lane how long each took to come.

const (
	echoes = 3 // that a round trip is measured by
	// A train is this long at first, and the next one four times that, until one takes trainTime, and four round trips, or
	// is the longest.
	firstTrain, longestTrain = 64 << 10, 4 << 20
	trainTime                = 60 * time.Millisecond
	// probeTime and probeBytes are what a rank spends on longer trains, in all rounds together.
	probeTime  = 4 * time.Second
	probeBytes = 32 << 20
	// mostAsked is more than an honest rank asks at a time.
	mostAsked = 8

	probeFrame, answerFrame = 4, 8
	probeOver               = 1<<32 - 1
)

// A probe is one rank's view of another: a u32 before each train says how many bytes it has, none for an echo, or all ones
// when that was all. An answer is a u64 of nanoseconds.
type probe struct {
	*survey
	rank int
}

// ask sends so many bytes and gives how long they took to come.
func (p probe) ask(bytes int) (time.Duration, error) {
	out, in := p.out.pipes[p.rank], p.back.pipes[p.rank]
	if err := p.say(uint32(bytes)); err != nil {
		return 0, err
	}
	for left := bytes; left > 0; {
		n := min(left, len(p.train))
		if err := out.write(p.train[:n], 0); err != nil {
			return 0, p.out.broken(out, p.h, err)
		}
		left -= n
	}
	var b [answerFrame]byte
	if err := in.read(b[:]); err != nil {
		return 0, p.back.broken(in, p.h, err)
	}
	took := binary.LittleEndian.Uint64(b[:])
	if took > uint64(maxRTT)*uint64(time.Microsecond) {
		return 0, &PeerError{in.rank, in.id, ErrFrame, fmt.Sprintf("%v: %d bytes took it %d ns", p.h, bytes, took)}
	}
	return time.Duration(took), nil
}

func (p probe) say(bytes uint32) error {
	out := p.out.pipes[p.rank]
	if err := out.write(binary.LittleEndian.AppendUint32(nil, bytes), 0); err != nil {
		return p.out.broken(out, p.h, err)
	}
	return nil
}

// trip measures the round trip.
func (p probe) trip() error {
	best := maxRTT * time.Microsecond
	for range echoes {
		start := time.Now()
		if _, err := p.ask(0); err != nil {
			return err
		}
		best = min(best, time.Since(start))
	}
	if p.g.links[p.rank].local() { // what takes longer are busy cores
		best = min(best, farTime-time.Microsecond)
	}
	p.trips[p.rank] = micros(best)
	return p.say(probeOver)
}

// trains has the other end measure what gets through to it.
func (p probe) trains() error {
	start, sent := time.Now(), 0
	for size := firstTrain; !p.relayed() && size <= longestTrain; size *= 4 {
		took, err := p.ask(size)
		if err != nil {
			return err
		}
		sent += size
		if took >= max(trainTime, 4*time.Duration(p.trips[p.rank])*time.Microsecond) || time.Since(start) >= probeTime/time.Duration(p.share) || sent+4*size > probeBytes/p.share {
			break
		}
	}
	return p.say(probeOver)
}

// relayed says whether what travels between the two goes through a third one, which has better to do than carry trains.
func (p probe) relayed() bool {
	return pathOf(p.g.links[p.rank].ctl.Conn()).relay != ""
}

// answer serves the other end's probes until it has no more of them.
func (p probe) answer() error {
	in, back := p.out.pipes[p.rank], p.back.pipes[p.rank]
	next, asked := firstTrain, 0
	room := make([]byte, firstTrain)
	for {
		var b [probeFrame]byte
		if err := in.read(b[:]); err != nil {
			return p.out.broken(in, p.h, err)
		}
		size := binary.LittleEndian.Uint32(b[:])
		if size == probeOver {
			return nil
		}
		if asked++; size > 0 && (int64(size) != int64(next) || next > longestTrain || p.rates == nil) || asked > mostAsked {
			return &PeerError{in.rank, in.id, ErrFrame, fmt.Sprintf("%v: a train of %d bytes out of its turn", p.h, size)}
		}
		var took time.Duration
		if size > 0 {
			next *= 4
			start := time.Now()
			if err := p.take(in, room, int(size)); err != nil {
				return err
			}
			took = time.Since(start)
			p.rates[p.rank] = kibs(int(size), took)
		}
		if err := back.write(binary.LittleEndian.AppendUint64(nil, uint64(took.Nanoseconds())), 0); err != nil {
			return p.back.broken(back, p.h, err)
		}
	}
}

func (p probe) take(in *pipe, room []byte, bytes int) error {
	for bytes > 0 {
		n := min(bytes, len(room))
		if err := in.read(room[:n]); err != nil {
			return p.out.broken(in, p.h, err)
		}
		bytes -= n
	}
	return nil
}

// together runs parts of an operation beside each other. When one fails, so does the group: the others must not wait for it.
func (g *Group) together(parts ...func() error) error {
	var wg sync.WaitGroup
	for _, f := range parts {
		wg.Go(func() {
			if err := f(); err != nil {
				g.fail(err)
			}
		})
	}
	wg.Wait()
	return g.Err()
}
