package collective

import "time"

const (
	// doors are how many ranks of a place are tried on lines to other places: most often they share one, and a ring comes in
	// by one rank and leaves by another.
	doors = 2
	// mostRounds are those in which lines are tried at most. Where it would take more, only round trips count.
	mostRounds = 24
)

// A round are lines that are tried at the same time, from rank to rank. Each rank is at most once at either end of one.
type round map[int]int

// places are the ranks near each other, by the first of each.
func (m *matrix) places(near time.Duration) [][]int {
	n := m.size()
	var places [][]int
	in := make([]bool, n)
	for a := range n {
		if in[a] {
			continue
		}
		in[a] = true
		place := []int{a}
		for i := 0; i < len(place); i++ {
			for b := range n {
				if !in[b] && m.trip(place[i], b) < near {
					in[b] = true
					place = append(place, b)
				}
			}
		}
		places = append(places, place)
	}
	return places
}

// schedule are the rounds in which lines are tried: all within places, and some between them, of which a place has one each
// way at a time.
func schedule(places [][]int) (rounds []round) {
	add := func(r round) {
		if len(r) > 0 {
			rounds = append(rounds, r)
		}
	}
	most := 0
	for _, p := range places {
		most = max(most, len(p))
	}
	for d := 1; d < most; d++ {
		r := round{}
		for _, p := range places {
			for i := range p {
				if d < len(p) {
					r[p[i]] = p[(i+d)%len(p)]
				}
			}
		}
		add(r)
	}
	for d := 1; d < len(places); d++ {
		for i := range doors {
			for j := range doors {
				r := round{}
				for k, from := range places {
					if to := places[(k+d)%len(places)]; i < len(from) && j < len(to) {
						r[from[i]] = to[j]
					}
				}
				add(r)
			}
		}
	}
	return rounds
}
