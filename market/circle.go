package market

import (
	"fmt"
	"slices"
)

// Circle is who one shard saw at the end of a job with spares.
type Circle struct {
	Members []uint32 `json:"members"` // ascending; none: of a spare that stood by itself
	// StoodBy are the spares that waited until then and came whenever they were wanted, ascending.
	StoodBy []uint32 `json:"stood_by"`
}

func (c Circle) validate() error {
	for _, all := range [][]uint32{c.Members, c.StoodBy} {
		if len(all) > maxNeighbours+1 || !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			return malformed("a circle of %d members, with %d spares", len(c.Members), len(c.StoodBy))
		}
	}
	return nil
}

// Members is how many shards of the task are at work at a time. Those with higher indices are spares.
func (t Task) Members() uint32 { return t.Shards - min(t.Spares, t.Shards) }

// Spare says whether a shard begins as a spare.
func (t Task) Spare(shard uint32) bool { return shard >= t.Members() }

// Seats finds, among the results at hand, which shards were in a job with spares at its end, and which spares stood by
// until then. Members are those whom more than half of them name, and no other set is named by more; a spare has stood by
// if it says so, and more than half of the members do. ErrMalformed: there are no such members, or too few.
func (t Terms) Seats(results []Result) (Circle, error) {
	saw := map[uint32]Circle{} // of shards that ended well
	for _, r := range results {
		for _, s := range r.Shards {
			if s.ExitCode == 0 && s.Circle != nil {
				saw[s.Index] = *s.Circle
			}
		}
	}
	var best Circle
	most, tied := 0, false
	for _, c := range saw {
		voices := 0
		for _, m := range c.Members {
			if o, here := saw[m]; here && slices.Equal(o.Members, c.Members) {
				voices++
			}
		}
		switch {
		case 2*voices <= len(c.Members) || len(c.Members) < int(t.Task.Least) || len(c.Members) > int(t.Task.Members()):
		case voices > most:
			best, most, tied = Circle{Members: c.Members}, voices, false
		case voices == most && !slices.Equal(best.Members, c.Members):
			tied = true
		}
	}
	if most == 0 || tied {
		return Circle{}, malformed("the results of %d shards do not agree on who came to the end", len(saw))
	}
	for spare := t.Task.Members(); spare < t.Task.Shards; spare++ {
		voices := 0
		for _, m := range best.Members {
			if slices.Contains(saw[m].StoodBy, spare) && slices.Equal(saw[m].Members, best.Members) {
				voices++
			}
		}
		if 2*voices > len(best.Members) && !slices.Contains(best.Members, spare) && slices.Contains(saw[spare].StoodBy, spare) {
			best.StoodBy = append(best.StoodBy, spare)
		}
	}
	return best, nil
}

// StoodBy says whether the shard says of itself that it stood by, as a spare, and was never called in.
func (s ShardResult) StoodBy() bool {
	return s.Circle != nil && len(s.Circle.Members) == 0 && slices.Contains(s.Circle.StoodBy, s.Index)
}

// Has says whether a shard has a seat: it was in the job at its end, or stood by until then.
func (c Circle) Has(shard uint32) bool {
	return slices.Contains(c.Members, shard) || slices.Contains(c.StoodBy, shard)
}

// countOf is how many shards, and spares, for people.
func countOf(shards, spares uint32) string {
	text := shardsOf(shards - spares)
	switch spares {
	case 0:
		return text
	case 1:
		return text + " + 1 spare"
	}
	return fmt.Sprintf("%s + %d spares", text, spares)
}

// String is for example "8 shards + 2 spares".
func (s Shards) String() string { return countOf(s.All(), s.Spares) }
