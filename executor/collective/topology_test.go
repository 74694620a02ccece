package collective

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// lines makes a matrix of places: what is in one place is near, and round trips and rates between places are drawn.
func lines(rng *rand.Rand, places []int) *matrix {
	n := len(places)
	m := &matrix{rtt: make([]uint32, n*n), rate: make([]uint32, n*n)}
	for a := range n {
		m.peers = append(m.peers, peer.ID(fmt.Sprint("p", a)))
		for b := range n {
			switch {
			case a == b:
			case places[a] == places[b]:
				m.rtt[a*n+b], m.rate[a*n+b] = 300, 300_000
			default:
				m.rtt[a*n+b], m.rate[a*n+b] = 10_000+rng.Uint32N(100_000), 500+rng.Uint32N(50_000)
			}
		}
	}
	return m
}

// permutations calls f with every order of ranks that begins with 0.
func permutations(n int, f func([]int)) {
	var rest func(ring []int)
	rest = func(ring []int) {
		if len(ring) == n {
			f(ring)
			return
		}
		for r := range n {
			if !slices.Contains(ring, r) {
				rest(append(ring[:len(ring):len(ring)], r))
			}
		}
	}
	rest([]int{0})
}

func costs(rng *rand.Rand, n int) func(a, b int) int64 {
	c := make([]int64, n*n)
	for i := range c {
		c[i] = rng.Int64N(1000)
	}
	return func(a, b int) int64 { return c[a*n+b] }
}

// TestTourIsTheShortest compares with every ring there is, where that can be done.
func TestTourIsTheShortest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 7; n++ {
		for range 40 {
			cost := costs(rng, n)
			least := int64(1) << 60
			permutations(n, func(ring []int) { least = min(least, length(ring, cost)) })
			ring := tour(n, cost)
			if !permutes(ring, n) || ring[0] != 0 || length(ring, cost) != least {
				t.Fatalf("%d ranks: %v costs %d, the best %d", n, ring, length(ring, cost), least)
			}
			again := beginning(improve(nearest(n, n-1, cost), cost), 0)
			if !permutes(again, n) || length(again, cost) < least || length(again, cost) > length(nearest(n, n-1, cost), cost) {
				t.Fatalf("%d ranks: improved to %v, which costs %d; the best %d", n, again, length(again, cost), least)
			}
		}
	}
}

// TestGoodTour compares with the best one at the limit, and is the same each time above it.
func TestGoodTour(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var best, good int64
	for range 10 {
		cost := costs(rng, exactTour)
		best += length(heldKarp(exactTour, cost), cost)
		good += length(improve(nearest(exactTour, 0, cost), cost), cost)
	}
	if good < best || float64(good) > 1.3*float64(best) {
		t.Errorf("ten good rings cost %d, the best ones %d", good, best)
	}
	for _, n := range []int{11, 40, 100, MaxPeers} {
		cost := costs(rng, n)
		ring := tour(n, cost)
		if !permutes(ring, n) || ring[0] != 0 || !slices.Equal(ring, tour(n, cost)) {
			t.Errorf("%d ranks: %v", n, ring)
		}
		if length(ring, cost) >= length(beginning(nearest(n, 0, cost), 0), cost) {
			t.Errorf("%d ranks: no better than going to the nearest", n)
		}
	}
}

func TestPlan(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	near := lines(rng, []int{0, 0, 0, 0})
	near.rate = nil
	if p := choose(near, nil, farTime, true); p.String() != "0 1 2 3" || p.why != nearText {
		t.Errorf("near: %v: %s", p, p.why)
	}
	// Two places, ranks in turns: of the ring's lines two go between them, and in teams each line carries less.
	m := lines(rng, []int{0, 1, 0, 1})
	crossings := func(ring []int) (n int) {
		for i, a := range ring {
			if (a^ring[(i+1)%4])&1 == 1 {
				n++
			}
		}
		return n
	}
	if p := choose(m, nil, farTime, false); crossings(p.ring) != 2 || p.teams != nil || p.rate != m.slowest(p.ring) || !strings.Contains(p.why, "in rank order") {
		t.Errorf("two places: %v: %s", p, p.why)
	}
	for a := range 4 {
		for b := range 4 {
			if (a^b)&1 == 1 {
				m.rtt[a*4+b], m.rate[a*4+b] = 20_000, 10_000
			}
		}
	}
	p := choose(m, nil, farTime, true)
	if len(p.teams) != 2 || !slices.Contains(p.teams[0], 2-p.teams[0][0]) || !strings.HasPrefix(p.String(), "(") {
		t.Errorf("two places in teams: %v: %s", p, p.why)
	}
	// Where only round trips are known, they count.
	far := *m
	far.rate = nil
	if p := choose(&far, nil, farTime, true); crossings(p.ring) != 2 || p.teams != nil || !strings.Contains(p.why, "once round takes") {
		t.Errorf("two places by round trips: %v: %s", p, p.why)
	}
	// A ring stays that is not clearly worse.
	even := lines(rng, []int{0, 1, 2, 3, 4})
	for i := range even.rate {
		even.rtt[i], even.rate[i] = 50_000+rng.Uint32N(2000), 10_000+rng.Uint32N(500)
	}
	there := []int{0, 3, 1, 4, 2}
	if p := choose(even, there, farTime, true); !slices.Equal(p.ring, there) || p.teams != nil {
		t.Errorf("all alike: %v: %s", p, p.why)
	}
	// What goes through a relay is avoided.
	relay := lines(rng, []int{0, 1, 2, 3, 4})
	relay.rate[1*5+0] = 0
	if p := choose(relay, nil, farTime, true); p.ring[1] == 1 {
		t.Errorf("rank 0 sends to rank 1 through a relay: %v", p)
	}
	// The leader is the one with the better lines.
	lead := lines(rng, []int{0, 0, 1, 1})
	for b := range 2 {
		for a := 2; a < 4; a++ {
			for _, i := range []int{a*4 + b, b*4 + a} {
				lead.rtt[i], lead.rate[i] = 40_000, uint32(10_000*(b+1))
			}
		}
	}
	if p := choose(lead, nil, farTime, true); len(p.teams) != 2 || p.teams[0][0] != 1 {
		t.Errorf("rank 1 has the better lines: %v: %s", p, p.why)
	}
}

// TestMatrixOfSome keeps of a matrix what is between those who are left.
func TestMatrixOfSome(t *testing.T) {
	m := lines(rand.New(rand.NewPCG(7, 8)), []int{0, 1, 2, 3})
	v := View{}
	for _, r := range []int{3, 1} {
		v.Peers = append(v.Peers, peer.AddrInfo{ID: m.peers[r]})
	}
	some := m.among(v)
	if some.rtt[1] != m.rtt[3*4+1] || some.rate[2] != m.rate[1*4+3] || some.trip(0, 1) != m.trip(3, 1) || some.speed(0, 1) != m.speed(3, 1) {
		t.Errorf("%v of %v", some, m)
	}
	v.Peers = append(v.Peers, peer.AddrInfo{ID: "a stranger"})
	if m.among(v) != nil || (*matrix)(nil).among(v) != nil || (*matrix)(nil).digest() != 0 || some.digest() == m.digest() {
		t.Error("a matrix of a stranger")
	}
}

// TestSchedule tries every line within a place, and between places those of two ranks each; never two at once between two
// places in one direction, nor two from or to a rank.
func TestSchedule(t *testing.T) {
	for _, of := range [][]int{{0, 0, 0}, {0, 1, 2, 3}, {0, 1, 0, 1}, {0, 0, 0, 1, 1, 2, 0}} {
		m := lines(rand.New(rand.NewPCG(9, 9)), of)
		places := m.places(farTime)
		tried := map[[2]int]bool{}
		for _, r := range schedule(places) {
			heard, far := map[int]bool{}, map[[2]int]bool{}
			for from, to := range r {
				line, between := [2]int{from, to}, [2]int{of[from], of[to]}
				if from == to || tried[line] || heard[to] || far[between] {
					t.Errorf("%v: the line %v in %v", places, line, r)
				}
				tried[line], heard[to], far[between] = true, true, of[from] != of[to]
			}
		}
		for a, from := range of {
			for b, to := range of {
				if a != b && !tried[[2]int{a, b}] && (from == to || slices.Index(places[from], a) < doors && slices.Index(places[to], b) < doors) {
					t.Errorf("%v: nobody tries the line from %d to %d", places, a, b)
				}
			}
		}
	}
}

func FuzzRow(f *testing.F) {
	f.Add(encodeRow([]uint32{5, 0, 7}), uint8(3), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, n, self uint8) {
		row, err := decodeRow(b, int(n), int(self), 1, maxRTT)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeRow(row), b) || slices.Max(row) > maxRTT || row[self] != 0 {
			t.Fatalf("%x decodes to %v", b, row)
		}
	})
}

func FuzzPlan(f *testing.F) {
	f.Add((&plan{ring: []int{0, 2, 1, 3}, teams: [][]int{{2, 0}, {1, 3}}}).encode())
	f.Add(inRankOrder(5, "").encode())
	f.Add((&plan{ring: []int{0, 1, 2}, local: true}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePlan(b, len(b)/4)
		if err != nil {
			return
		}
		if !bytes.Equal(p.encode(), b) || !permutes(p.ring, len(b)/4) || p.teams != nil && !permutes(slices.Concat(p.teams...), len(b)/4) {
			t.Fatalf("%x decodes to %+v", b, p)
		}
	})
}

// A strain is felt after some time, not at once; what carries on well ends it; and what comes to nothing is looked at less.
func TestStrain(t *testing.T) {
	var s strain
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }
	op := func(rate float64) {
		end := s.begin(clock)
		now = now.Add(time.Second)
		end(int(rate))
	}
	s.expect(0)
	op(10e6)
	s.expect(90e6)
	for range strainPatience - 1 {
		op(10e6)
	}
	op(80e6)
	for range strainPatience - 1 {
		op(10e6)
	}
	if s.felt() {
		t.Error("felt too early")
	}
	if op(10e6); !s.felt() {
		t.Error("not felt")
	}
	s.expect(90e6)
	for range 2*strainPatience - 1 {
		op(10e6)
	}
	if s.felt() {
		t.Error("felt as early as the first time, of which nothing came")
	}
	if op(10e6); !s.felt() {
		t.Error("not felt the second time")
	}
}
