package market

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// assignment is how many shards each candidate of a group takes, or why it cannot be.
type assignment struct {
	group   []candidate // same bond and penalty rates, in rank order
	counts  []uint32
	total   uint64
	code    string
	problem string
}

// best is the cheapest assignment of all groups; among equals that with the larger bond, then the smaller penalty.
// If none reaches, it says how far the market would.
func (n Needs) best(fit []candidate) assignment {
	if n.Shards == 0 || n.Shards > MaxShards || n.Run <= 0 || n.Run > maxRun {
		return assignment{code: ReasonTooFew, problem: fmt.Sprintf("%s for %s cannot be bought", shardsOf(n.Shards), n.Run)}
	}
	var done []assignment
	var most uint32
	cheapest := uint64(0)
	for _, g := range n.groups(fit) {
		if room := capacity(g); room < n.Shards {
			most = max(most, room)
			continue
		}
		a := assignment{group: g, counts: spread(g, n.Shards)}
		if a.total = n.cost(a); a.total > n.Budget {
			a.counts = packed(g, n.Shards)
			a.total = n.cost(a)
		}
		if a.total <= n.Budget {
			done = append(done, a)
		} else if cheapest == 0 || a.total < cheapest {
			cheapest = a.total
		}
	}
	switch {
	case len(done) > 0:
		return slices.MinFunc(done, func(a, b assignment) int {
			x, y := a.group[0], b.group[0]
			return cmp.Or(cmp.Compare(a.total, b.total), cmp.Compare(y.BondBps, x.BondBps), cmp.Compare(x.PenaltyBps, y.PenaltyBps))
		})
	case cheapest > 0:
		return assignment{code: ReasonBudget, total: cheapest, problem: fmt.Sprintf(
			"%s cost %s NTX, the budget is %s NTX", shardsOf(n.Shards), FormatNTX(cheapest), FormatNTX(n.Budget))}
	case len(fit) == 0:
		return assignment{code: ReasonTooFew, problem: "no offer fits"}
	case n.Providers > 0 && len(fit) > int(n.Providers):
		return assignment{code: ReasonTooFew, problem: fmt.Sprintf(
			"%s wanted, and the %d providers that one opening holds have room for %d", shardsOf(n.Shards), n.Providers, most)}
	default:
		return assignment{code: ReasonTooFew, problem: fmt.Sprintf(
			"%s wanted, the offers that fit have room for %d", shardsOf(n.Shards), most)}
	}
}

func (n Needs) cost(a assignment) (untx uint64) {
	for i, c := range a.group {
		untx += n.price(c.Offer, a.counts[i])
	}
	return untx
}

// groups divides candidates by bond and penalty rates and keeps their order. None has more than there is room for.
func (n Needs) groups(fit []candidate) [][]candidate {
	type rates struct{ bond, penalty uint16 }
	at := map[rates]int{}
	var gs [][]candidate
	for _, c := range fit {
		r := rates{c.BondBps, c.PenaltyBps}
		ix, ok := at[r]
		if !ok {
			ix = len(gs)
			at[r], gs = ix, append(gs, nil)
		}
		gs[ix] = append(gs[ix], c)
	}
	for i, g := range gs {
		gs[i] = n.narrowed(g)
	}
	return gs
}

// narrowed are the first of a group, as many as an opening holds; those with most room, if the first have too little.
func (n Needs) narrowed(g []candidate) []candidate {
	most := int(n.Providers)
	if most == 0 || len(g) <= most {
		return g
	}
	if capacity(g[:most]) >= n.Shards {
		return g[:most]
	}
	at := make([]int, len(g))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(i, j int) int { return cmp.Compare(g[j].slots, g[i].slots) })
	at = at[:most]
	slices.Sort(at)
	largest := make([]candidate, most)
	for i, x := range at {
		largest[i] = g[x]
	}
	return largest
}

func capacity(g []candidate) (n uint32) {
	for _, c := range g {
		n = min(n+c.slots, MaxShards)
	}
	return n
}

// spread gives every candidate a shard in rank order, then a second, until all are placed. There is room for all.
func spread(g []candidate, shards uint32) []uint32 {
	counts := make([]uint32, len(g))
	for shards > 0 {
		for i, c := range g {
			if shards > 0 && counts[i] < c.slots {
				counts[i]++
				shards--
			}
		}
	}
	return counts
}

// packed fills each candidate in rank order: the least that it can cost. There is room for all.
func packed(g []candidate, shards uint32) []uint32 {
	counts := make([]uint32, len(g))
	for i, c := range g {
		counts[i] = min(shards, c.slots)
		shards -= counts[i]
	}
	return counts
}

func shardsOf(n uint32) string {
	if n == 1 {
		return "1 shard"
	}
	return strconv.FormatUint(uint64(n), 10) + " shards"
}
