package collective

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A plan is how the ranks of a group are laid out: the same on all of them.
type plan struct {
	// ring are the ranks in the order in which operations go round.
	ring []int
	// teams are ranks near each other, each team's leader first, in the order of the leaders' own ring: what is summed goes
	// up to the leaders, round their ring, and down. Nil: it goes round the one ring.
	teams [][]int
	// local says that all ranks are on one machine: what is small goes through rank 0.
	local bool
	// rate is what the ring should get through, in bytes a second; 0: not known.
	rate float64
	// far says that some lines are long, and why is for people.
	far bool
	why string
}

const (
	// planGain is what a ring may cost at most, of what the one that is there costs, to replace it; nor does it for less
	// than planLeast.
	planGain  = 0.8
	planLeast = 4 * time.Millisecond
	// teamGain is what a sum in teams may take at most, of what it takes round the ring.
	teamGain = 0.9
	// planBytes are the sum for which a ring and teams are compared.
	planBytes = 16 << 20
)

func inRankOrder(n int, why string) *plan { return &plan{ring: ranksUpTo(n), why: why} }

// choose lays out the ranks by what was measured; near are lines that are as good as none. A ring that is there stays
// unless another one is clearly better.
func choose(m *matrix, there []int, near time.Duration, teams bool) *plan {
	n := m.size()
	if m.near(near) {
		return inRankOrder(n, nearText)
	}
	if there == nil {
		there = ranksUpTo(n)
	}
	ring := tour(n, m.cost)
	now, then := length(there, m.cost), length(ring, m.cost)
	if float64(then) > planGain*float64(now) || now-then < planLeast.Microseconds() {
		ring = beginning(there, 0)
	}
	p := &plan{ring: ring}
	if teams {
		if t := m.teams(near); len(t) > 1 && m.teamTime(t) < teamGain*m.ringTime(ring, planBytes) {
			p.teams = t
		}
	}
	return p.explain(m, near)
}

const nearText = "all members are near each other"

// explain fills in what a plan that may be another rank's means here.
func (p *plan) explain(m *matrix, near time.Duration) *plan {
	inOrder := slices.Equal(p.ring, ranksUpTo(len(p.ring)))
	if m.near(near) {
		p.why = nearText
		return p
	}
	p.far, p.rate = true, m.slowest(p.ring)
	ms := func(us int64) time.Duration { return (time.Duration(us) * time.Microsecond).Round(time.Millisecond) }
	takes := "4 MiB over each of its lines in turn take"
	if m.rate == nil {
		takes = "once round takes"
	}
	p.why = fmt.Sprintf("%s %v", takes, ms(length(p.ring, m.cost)))
	if inOrder {
		p.why = "no other order is clearly better: " + p.why
	} else {
		p.why += fmt.Sprintf(", in rank order %v", ms(length(ranksUpTo(len(p.ring)), m.cost)))
	}
	if p.teams != nil {
		p.rate = m.slowest(leaders(p.teams))
		p.why += fmt.Sprintf("; 16 MiB are summed in %.0f ms in teams, in %.0f ms without", 1000*m.teamTime(p.teams), 1000*m.ringTime(p.ring, planBytes))
	}
	return p
}

// String shows the layout, as 0 2 1 3 or (0 2) (1 3).
func (p *plan) String() string {
	if p.teams == nil {
		return strings.Trim(fmt.Sprint(p.ring), "[]")
	}
	var b strings.Builder
	for i, t := range p.teams {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "(%s)", strings.Trim(fmt.Sprint(t), "[]"))
	}
	return b.String()
}

// near says whether all round trips are shorter.
func (m *matrix) near(than time.Duration) bool {
	for a := range m.size() {
		for b := range a {
			if m.trip(a, b) >= than {
				return false
			}
		}
	}
	return true
}

// slowest is the least speed in a ring; 0: not known.
func (m *matrix) slowest(ring []int) float64 {
	var least float64
	for i, a := range ring {
		if s := m.speed(a, ring[(i+1)%len(ring)]); i == 0 || s < least {
			least = s
		}
	}
	return least
}

// ringTime is what a sum of so many bytes takes round a ring, in seconds: each of its lines carries nearly twice the
// bytes, and what comes last has been round it twice.
func (m *matrix) ringTime(ring []int, bytes float64) float64 {
	n := float64(len(ring))
	var round time.Duration
	for i, a := range ring {
		round += m.trip(a, ring[(i+1)%len(ring)]) / 2
	}
	least := m.slowest(ring)
	if least == 0 {
		return float64(avoided)
	}
	return 2*(n-1)/n*bytes/least + 2*(n-1)/n*round.Seconds()
}

// teamTime is what planBytes take in teams. Blocks go up, round and down at once, but for the first one and the last.
func (m *matrix) teamTime(teams [][]int) float64 {
	round := m.ringTime(leaders(teams), planBytes)
	var slow float64
	for _, t := range teams {
		for i := 1; i < len(t); i++ {
			least := min(m.speed(t[i-1], t[i]), m.speed(t[i], t[i-1]))
			if least == 0 {
				return float64(avoided)
			}
			slow = max(slow, planBytes/least)
		}
	}
	return max(round, slow) + 2*slow/float64(teamBlocks(planBytes))
}

// teams are the places of ranks, if there is one of more than one. Leaders are those with the best ring among them.
func (m *matrix) teams(near time.Duration) [][]int {
	n, teams := m.size(), m.places(near)
	if len(teams) == n {
		return nil
	}
	lead := func(team []int, better func(a, b int) bool) {
		best := 0
		for i := range team {
			if better(team[i], team[best]) {
				best = i
			}
		}
		team[0], team[best] = team[best], team[0]
		slices.Sort(team[1:])
	}
	for _, team := range teams {
		away := func(r int) (sum int64) {
			for b := range n {
				if !slices.Contains(team, b) {
					sum += m.cost(r, b) + m.cost(b, r)
				}
			}
			return sum
		}
		lead(team, func(a, b int) bool { return away(a) < away(b) })
	}
	sorted := make([][]int, len(teams))
	for i, at := range tour(len(teams), func(a, b int) int64 { return m.cost(teams[a][0], teams[b][0]) }) {
		sorted[i] = teams[at]
	}
	for i, team := range slices.Concat(sorted, sorted) { // with the others' leaders as they are
		k := len(sorted)
		before, after := sorted[mod(i-1, k)][0], sorted[mod(i+1, k)][0]
		way := func(r int) int64 { return m.cost(before, r) + m.cost(r, after) }
		lead(team, func(a, b int) bool { return way(a) < way(b) })
	}
	return sorted
}

func leaders(teams [][]int) []int {
	all := make([]int, len(teams))
	for i, t := range teams {
		all[i] = t[0]
	}
	return all
}

// A plan on the wire is the ring, a u16 for each rank, with the highest bit of the first set where all are on one machine,
// and the teams' ranks, likewise, with that bit set where a team begins; all zeros without teams.
const (
	onOneMachine = 1 << 15
	teamBegins   = 1 << 15
)

func (p *plan) encode() []byte {
	var b []byte
	for _, r := range p.ring {
		b = binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	if p.local {
		binary.LittleEndian.PutUint16(b, onOneMachine|binary.LittleEndian.Uint16(b))
	}
	for _, t := range p.teams {
		for i, r := range t {
			if i == 0 {
				r |= teamBegins
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(r))
		}
	}
	return append(b, make([]byte, 4*len(p.ring)-len(b))...)
}

// decodePlan reads a plan for n ranks: both its halves are permutations of them.
func decodePlan(b []byte, n int) (*plan, error) {
	if n < 1 || len(b) != 4*n {
		return nil, fmt.Errorf("%w: a plan of %d bytes for %d ranks", ErrFrame, len(b), n)
	}
	p := &plan{}
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[2*i:])) }
	none := true
	for i := range n {
		p.ring = append(p.ring, u16(i))
		x := u16(n + i)
		none = none && x == 0
		if x&teamBegins != 0 {
			p.teams = append(p.teams, nil)
		}
		if last := len(p.teams) - 1; last >= 0 {
			p.teams[last] = append(p.teams[last], x&^teamBegins)
		}
	}
	p.local = p.ring[0]&onOneMachine != 0
	p.ring[0] &^= onOneMachine
	if !permutes(p.ring, n) || p.ring[0] != 0 {
		return nil, fmt.Errorf("%w: a ring that is not one of %d ranks", ErrFrame, n)
	}
	if none {
		p.teams = nil
	} else if len(p.teams) < 2 || !permutes(slices.Concat(p.teams...), n) {
		return nil, fmt.Errorf("%w: teams that are not of %d ranks", ErrFrame, n)
	}
	return p, nil
}

func permutes(ranks []int, n int) bool {
	seen := make([]bool, n)
	for _, r := range ranks {
		if r < 0 || r >= n || seen[r] {
			return false
		}
		seen[r] = true
	}
	return len(ranks) == n
}

// digest identifies a plan and what it was made of.
func (p *plan) digest(m *matrix) uint64 {
	b := binary.LittleEndian.AppendUint64(p.encode(), m.digest())
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

// Layout says in what order operations go round, and why, where lines between ranks are long and this is rank 0.
func (g *Group) Layout() string {
	if p := g.plan.Load(); p.far && g.Rank() == 0 {
		return fmt.Sprintf("ranks are laid out as %v: %s", p, p.why)
	}
	return ""
}

// Layout is of the group as it is: see [Group.Layout].
func (c *Circle) Layout() string {
	if g := c.current(); g != nil {
		return g.Layout()
	}
	return ""
}
