package market

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Relaxation is a smallest set of changes to a job file with which these offers would match.
type Relaxation struct {
	Changes   []Change `json:"changes"`
	TotalUNTX uint64   `json:"total_untx"` // what the job would cost then
}

// Change is another value of one field of the job file.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// String is for example "resources.memory_gib: 4 → 2".
func (r Relaxation) String() string {
	parts := make([]string, len(r.Changes))
	for i, c := range r.Changes {
		parts[i] = fmt.Sprintf("%s: %s → %s", c.Field, c.From, c.To)
	}
	return strings.Join(parts, " and ")
}

// knob is a number in the job file that can be lowered.
type knob struct {
	field string
	value func(*Needs) *uint64
	has   func(Capacity) uint64
	write func(uint64) string
}

func knobs() []knob {
	gib := func(mib uint64) string { return decimal(mib, 1024) }
	return []knob{
		{"resources.cpus", func(n *Needs) *uint64 { return &n.Resources.MilliCPU }, func(c Capacity) uint64 { return c.MilliCPU }, cores},
		{"resources.memory_gib", func(n *Needs) *uint64 { return &n.Resources.MemoryMiB }, func(c Capacity) uint64 { return c.MemoryMiB }, gib},
		{"resources.disk_gib", func(n *Needs) *uint64 { return &n.Resources.DiskMiB }, func(c Capacity) uint64 { return c.DiskMiB }, gib},
	}
}

// relax finds, for each field alone, the change closest to what was asked that makes the job match; where only the
// money is then missing, the larger budget goes with it. Relaxations of one field come first.
func relax(n Needs, offers []Offer) (rs []Relaxation) {
	if n.Shards == 0 || n.Shards > MaxShards || n.Run <= 0 || n.Run > maxRun {
		return nil
	}
	rich := n
	rich.Budget = math.MaxUint64
	try := func(field, from, to string, with Needs) {
		r := Relaxation{Changes: []Change{}, TotalUNTX: with.least(offers)}
		if field != "" {
			r.Changes = append(r.Changes, Change{field, from, to})
		}
		if r.TotalUNTX > n.Budget {
			r.Changes = append(r.Changes, Change{"budget.max_ntx", FormatNTX(n.Budget), FormatNTX(r.TotalUNTX)})
		}
		rs = append(rs, r)
	}
	if rich.least(offers) > 0 {
		try("", "", "", rich)
	}
	for _, k := range knobs() {
		for _, base := range []Needs{n, rich} { // within the budget if that is possible
			at := *k.value(&base)
			if to, ok := lower(base, k, offers); ok && to < at {
				*k.value(&base) = to
				try(k.field, k.write(at), k.write(to), base)
				break
			}
		}
	}
	for _, base := range []Needs{n, rich} {
		most := uint32(sort.Search(int(n.Shards), func(i int) bool { // the smallest number that does not match, less one
			with := base
			with.Shards = uint32(i) + 1
			return with.least(offers) == 0
		}))
		if most > 0 && most < n.Shards {
			base.Shards = most
			try("shards.count", strconv.Itoa(int(n.Shards)), strconv.Itoa(int(most)), base)
			break
		}
	}
	slices.SortStableFunc(rs, func(a, b Relaxation) int { return cmp.Compare(len(a.Changes), len(b.Changes)) })
	return rs
}

// least is the smallest total for which n matches, in µNTX, or 0 if it does not.
func (n Needs) least(offers []Offer) uint64 {
	fit, _ := sift(n, offers)
	least := uint64(0)
	for _, g := range n.groups(fit) {
		if capacity(g) < n.Shards {
			continue
		}
		if c := n.cost(assignment{group: g, counts: packed(g, n.Shards)}); c <= n.Budget && (least == 0 || c < least) {
			least = c
		}
	}
	return least
}

// lower is the largest value of k below the present one with which n matches. Asking for less never loses a candidate,
// so the values at which an offer takes one shard more are searched by halving.
func lower(n Needs, k knob, offers []Offer) (uint64, bool) {
	var steps []uint64
	for _, o := range offers {
		for shards := uint64(1); shards <= uint64(min(o.Capacity.Slots, n.Shards)); shards++ {
			if v := k.has(o.Capacity) / shards; v > 0 && v < *k.value(&n) {
				steps = append(steps, v)
			}
		}
	}
	slices.SortFunc(steps, func(a, b uint64) int { return cmp.Compare(b, a) })
	steps = slices.Compact(steps)
	ix := sort.Search(len(steps), func(i int) bool {
		with := n
		*k.value(&with) = steps[i]
		return with.least(offers) > 0
	})
	if ix == len(steps) {
		return 0, false
	}
	return steps[ix], true
}

// decimal is n/scale without trailing zeros, exact for scales that are powers of two or ten up to 1024.
func decimal(n, scale uint64) string {
	return strconv.FormatFloat(float64(n)/float64(scale), 'f', -1, 64)
}
