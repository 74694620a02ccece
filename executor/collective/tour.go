package collective

import (
	"cmp"
	"math/bits"
	"slices"
)

const (
	// exactTour is up to how many ranks the best ring is found; above, a good one.
	exactTour = 10
	// tourStarts are those from which a good ring is looked for, and tourKept how many of what they give are improved.
	tourStarts, tourKept = 64, 4
	// longestMove is the longest piece of a ring that is put elsewhere in it, where there are too many ranks to try all.
	longestMove, fewToMove = 3, 40
)

// tour is a ring through n ranks that costs little: the asymmetric travelling salesman's. It is the same for the same costs,
// and begins with rank 0.
func tour(n int, cost func(a, b int) int64) []int {
	if n <= exactTour {
		return heldKarp(n, cost)
	}
	c := make([]int64, n*n)
	for a := range n {
		for b := range n {
			if a != b {
				c[a*n+b] = cost(a, b)
			}
		}
	}
	at := func(a, b int) int64 { return c[a*n+b] }
	var found [][]int
	for s := range min(n, tourStarts) {
		found = append(found, nearest(n, s*n/min(n, tourStarts), at))
	}
	slices.SortStableFunc(found, func(a, b []int) int { return cmp.Compare(length(a, at), length(b, at)) })
	best := found[0]
	for _, t := range found[:min(len(found), tourKept)] {
		if t = improve(t, at); length(t, at) < length(best, at) {
			best = t
		}
	}
	return beginning(best, 0)
}

// length is what a ring costs.
func length(ring []int, cost func(a, b int) int64) (sum int64) {
	for i, a := range ring {
		if b := ring[(i+1)%len(ring)]; a != b {
			sum += cost(a, b)
		}
	}
	return sum
}

// beginning turns a ring so that it begins with a rank.
func beginning(ring []int, with int) []int {
	i := slices.Index(ring, with)
	return slices.Concat(ring[i:], ring[:i])
}

// heldKarp finds the best ring: M. Held, R. M. Karp, "A dynamic programming approach to sequencing problems", 1962.
func heldKarp(n int, cost func(a, b int) int64) []int {
	if n < 3 {
		return ranksUpTo(n)
	}
	m := n - 1 // ranks 1 and up; those of a set are its bits
	type path struct {
		cost int64
		from int
	}
	best := make([]path, m<<m) // of a set that ends in one of its ranks, from rank 0
	for set := 1; set < 1<<m; set++ {
		for last := range m {
			if set>>last&1 == 0 {
				continue
			}
			before := set &^ (1 << last)
			p := path{cost(0, last+1), -1}
			if before != 0 {
				p.cost = int64(1) << 62
			}
			for rest := before; rest != 0; rest &= rest - 1 {
				from := bits.TrailingZeros(uint(rest))
				if c := best[before*m+from].cost + cost(from+1, last+1); c < p.cost {
					p = path{c, from}
				}
			}
			best[set*m+last] = p
		}
	}
	set := 1<<m - 1
	end, least := 0, int64(1)<<62
	for last := range m {
		if c := best[set*m+last].cost + cost(last+1, 0); c < least {
			end, least = last, c
		}
	}
	ring := make([]int, n)
	for i := m; i > 0; i-- {
		ring[i] = end + 1
		from := best[set*m+end].from
		set &^= 1 << end
		end = from
	}
	return ring
}

// nearest goes to the nearest rank that is left, always.
func nearest(n, start int, cost func(a, b int) int64) []int {
	ring, left := []int{start}, ranksUpTo(n)
	left = slices.Delete(left, start, start+1)
	for len(left) > 0 {
		at := ring[len(ring)-1]
		i := 0
		for j := range left {
			if cost(at, left[j]) < cost(at, left[i]) {
				i = j
			}
		}
		ring = append(ring, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return ring
}

// improve puts pieces of a ring elsewhere in it, in their direction, as long as that makes it shorter (or-opt).
func improve(ring []int, cost func(a, b int) int64) []int {
	n := len(ring)
	longest := longestMove
	if n <= fewToMove {
		longest = n - 2
	}
	for range n * n { // each time it gets shorter: this only bounds the work
		next := shorter(ring, longest, cost)
		if next == nil {
			break
		}
		ring = next
	}
	return ring
}

// shorter makes the best move of the first piece that has one, or gives nil.
func shorter(ring []int, longest int, cost func(a, b int) int64) []int {
	n := len(ring)
	for i := range n {
		r := slices.Concat(ring[i:], ring[:i]) // the piece comes first
		for k := 1; k <= longest; k++ {
			first, last, before, after := r[0], r[k-1], r[n-1], r[k]
			saved := cost(before, first) + cost(last, after) - cost(before, after)
			at, most := -1, int64(0)
			for j := k; j < n-1; j++ {
				if gain := saved - cost(r[j], first) - cost(last, r[j+1]) + cost(r[j], r[j+1]); gain > most {
					at, most = j, gain
				}
			}
			if at >= 0 {
				return slices.Concat(r[k:at+1], r[:k], r[at+1:])
			}
		}
	}
	return nil
}

func ranksUpTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
