package collective

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPaceByCount lets an hour of writes through and counts the bytes of each second.
func TestPaceByCount(t *testing.T) {
	const rate = 1_000_000
	p := &pace{rate: rate}
	rng := rand.New(rand.NewPCG(1, 2))
	start := time.Unix(1_000_000, 0)
	type passage struct {
		at    time.Duration
		bytes int
	}
	var all []passage
	now, total := start, 0
	for now.Sub(start) < time.Hour {
		if rng.IntN(50) == 0 { // the program computes for a while
			now = now.Add(time.Duration(rng.IntN(int(10 * time.Second))))
		}
		n := 1 + rng.IntN(segmentBytes)
		now = now.Add(p.after(now, n))
		all = append(all, passage{now.Sub(start), n})
		total += n
	}
	first, in := 0, 0
	for _, a := range all { // in the second that ends here
		in += a.bytes
		for all[first].at < a.at-time.Second {
			in -= all[first].bytes
			first++
		}
		if in > rate+2*segmentBytes {
			t.Fatalf("%d bytes in the second before %v", in, a.at)
		}
	}
	if total < 3600*rate/2 {
		t.Errorf("%d bytes in an hour: the line stood empty", total)
	}
}

// TestPacedGroup sums as the others do, and no faster than its line allows: by the bytes that were counted.
func TestPacedGroup(t *testing.T) {
	w := newWorld(t, 3, Options{})
	const rate = 4 << 20
	w.services[1].Pace(rate)
	start := time.Now()
	checkSum(t, w, 500_000, false)
	took := time.Since(start)
	var sent, received uint64
	for _, one := range w.groups[1].Traffic() {
		sent, received = sent+one.Sent, received+one.Received
	}
	if sent < 1<<20 || received < 1<<20 {
		t.Fatalf("%d bytes sent and %d received are no test", sent, received)
	}
	for _, n := range []uint64{sent, received} {
		if least := time.Duration(float64(n-2*segmentBytes) / rate * float64(time.Second)); took < least {
			t.Errorf("%d bytes passed in %v, which take %v", n, took, least)
		}
	}
	w.close()
}
