package requester

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/market"
)

// seats rejects the results of shards that were not in a job with spares at its end, and of spares that did not stand by
// until then, by the word of most of those who were. It says how many are left beside the spares.
func (f *follower) seats() (good uint32, err error) {
	var results []market.Result
	for _, l := range f.rec.Lots {
		if !l.Good {
			continue
		}
		res, err := market.ReadResult(l.Result)
		if err != nil {
			return 0, err
		}
		results = append(results, res)
	}
	seats, err := f.terms.Seats(results)
	if err != nil {
		return 0, err
	}
	for i := range f.rec.Lots {
		l := &f.rec.Lots[i]
		switch {
		case !l.Good:
		case !l.Accepted && slices.ContainsFunc(l.Shards, func(s uint32) bool { return !seats.Has(s) }):
			l.Good = false
			l.Rejected = "most of those who came to the end saw it neither among them nor standing by"
		case !l.StoodBy:
			good += uint32(len(l.Shards))
		}
	}
	return good, nil
}

// note says what the result rests on where that is not every shard that it was to, and no other.
func (f *follower) note(good uint32) (note string) {
	shards := f.rec.Spec.Job.Shards
	var came []uint32
	for _, l := range f.rec.Lots {
		if l.Good && !l.StoodBy && slices.ContainsFunc(l.Shards, shards.Spare) {
			came = append(came, l.Shards...)
		}
	}
	if good < shards.Count {
		note = fmt.Sprintf("rests on %d shards of %d", good, shards.Count)
	}
	for _, s := range came {
		if note != "" {
			note += "; "
		}
		note += fmt.Sprintf("spare %d came in", s)
	}
	return note
}
