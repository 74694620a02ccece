package market

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ShardFiles is what a shard left in OutputDir: slash-separated paths relative to it.
type ShardFiles struct {
	Index uint32
	Files []string
}

// Source is one shard's file.
type Source struct {
	Shard uint32 `json:"shard"`
	Path  string `json:"path"` // relative to OutputDir
}

// Gathered is one step of gathering: what becomes of these sources, which are in shard order. For GatherReduce there is
// one step an output, its Sources are all files of all shards, and Dest is the output's directory or file.
type Gathered struct {
	Dest    string   `json:"dest"` // relative to the results' directory
	Gather  Gather   `json:"gather"`
	Script  string   `json:"script,omitempty"`
	Sources []Source `json:"sources"`
}

// GatherPlan says how the outputs of the shards at hand become one, whatever order they arrived in:
//
//   - first: each path from the lowest shard that has it
//   - concat: each path's contents one after the other in shard order
//   - files: shard i's path p as shard-i/p
//   - reduce: everything to one call of the script
//
// A file belongs to the output with the longest path that it is in; files in none are not gathered.
func GatherPlan(outputs []Output, shards []ShardFiles) []Gathered {
	shards = slices.SortedFunc(slices.Values(shards), func(a, b ShardFiles) int { return cmp.Compare(a.Index, b.Index) })
	claimed := make([][]Source, len(outputs))
	for _, s := range shards {
		for _, f := range slices.Sorted(slices.Values(s.Files)) {
			if at := claimant(outputs, f); at >= 0 {
				claimed[at] = append(claimed[at], Source{s.Index, f})
			}
		}
	}
	var plan []Gathered
	for i, o := range outputs {
		plan = append(plan, gather(o, claimed[i])...)
	}
	return plan
}

// claimant is the index of the output that file f belongs to, or -1.
func claimant(outputs []Output, f string) int {
	best := -1
	for i, o := range outputs {
		if within(path.Join(OutputDir, f), o.Path) && (best < 0 || len(o.Path) > len(outputs[best].Path)) {
			best = i
		}
	}
	return best
}

func gather(o Output, from []Source) (steps []Gathered) {
	if len(from) == 0 {
		return nil
	}
	if o.Gather == GatherReduce {
		dest := strings.TrimPrefix(strings.TrimPrefix(o.Path, OutputDir), "/")
		return []Gathered{{Dest: cmp.Or(dest, "."), Gather: o.Gather, Script: o.Script, Sources: from}}
	}
	at := map[string]int{}
	for _, s := range from {
		dest := s.Path
		if o.Gather == GatherFiles {
			dest = path.Join("shard-"+strconv.FormatUint(uint64(s.Shard), 10), s.Path)
		}
		ix, seen := at[dest]
		switch {
		case !seen:
			at[dest] = len(steps)
			steps = append(steps, Gathered{Dest: dest, Gather: o.Gather, Sources: []Source{s}})
		case o.Gather == GatherConcat:
			steps[ix].Sources = append(steps[ix].Sources, s)
		}
	}
	slices.SortFunc(steps, func(a, b Gathered) int { return cmp.Compare(a.Dest, b.Dest) })
	return steps
}
