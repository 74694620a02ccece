//go:build bench && linux

package collective

import (
	"fmt"
	"testing"

	"github.com/tallycompute/tally/testnet/measure"
)

// layings are what a rank of the benchmark is told of how to lay itself out, by BENCH_LAYING.
var layings = map[string]Options{"": {}, "rank_order": {RankOrder: true}, "solved": {noTeams: true}, "teams": {}}

// farPlaces are two places with as many ranks each, which take turns: in the order of ranks, every line is long.
var farPlaces = []struct {
	each, mbit, ms int
}{{2, 100, 20}, {4, 100, 20}, {2, 500, 50}}

const farBytes = 32 << 20

// benchTopology sums between two places, laid out in three ways.
func benchTopology(t *testing.T) (all []measure.Measure) {
	for _, c := range farPlaces {
		name := fmt.Sprintf("topology/2x%d_%dmbit_%dms", c.each, c.mbit, c.ms)
		if !wanted(name) {
			continue
		}
		overWAN(t, name, c.mbit, c.ms, 0, func(t *testing.T, w *wan) {
			took := map[string]float64{}
			for _, laying := range []string{"rank_order", "solved", "teams"} {
				ranks := rankCrew(t, 2*c.each, func(rank int) []string {
					return []string{"ip", "netns", "exec", w.space(rank % 2), "env", "BENCH_LAYING=" + laying, "BENCH_LISTEN=/ip4/" + wanAddress(rank%2) + "/tcp/0"}
				})
				times := map[string][]float64{}
				ranks.run(t, "f32", farBytes, wanRounds, times, map[string][]float64{})
				ranks.dismiss(t)
				took[laying] = middle(times["f32"]) / 1000
				fmt.Printf("bench-collectives: %s/%s is %.0f ms\n", name, laying, took[laying])
				all = append(all, measure.Measure{Name: name + "/" + laying, Value: took[laying], Unit: "ms"}.
					AgainstTime(took["rank_order"], fmt.Sprintf("the ring in rank order, where each of its lines goes from one place to the other: %d Mbit/s each way for all", c.mbit)))
			}
		})
	}
	return all
}
