package requester

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/market"
)

// verifyTraining holds the shards of a collective against each other: at every step the same parameters, at the end
// too, and on every link as much received as was sent.
func (j *job) verifyTraining() error {
	var results []market.Result
	var last *market.ShardResult
	for _, l := range j.rec.Lots {
		if !l.Good {
			continue // lost, in a job that goes on without it
		}
		res, err := market.ReadResult(l.Result)
		if err != nil {
			return err
		}
		results = append(results, res)
		for _, s := range res.Shards {
			if s.StoodBy() {
				continue // it has no parameters
			}
			if last != nil && (s.ParamsStep != last.ParamsStep || s.Params != last.Params) {
				return fmt.Errorf("parameters differ: shard %d ended with %s at step %d, shard %d with %s at step %d",
					last.Index, last.Params, last.ParamsStep, s.Index, s.Params, s.ParamsStep)
			}
			last = &s
		}
	}
	if err := j.verifySteps(); err != nil {
		return err
	}
	if j.terms.Task.Least > 0 {
		return nil // where a rank was lost, what was on its way between the others is counted at one end
	}
	return market.CheckTraffic(results)
}

// verifySteps compares the parameter hashes in the shards' metrics, step by step.
func (j *job) verifySteps() error {
	type seen struct {
		shard uint32
		hash  string
	}
	at := map[float64]seen{}
	elastic := j.terms.Task.Least > 0
	for shard := range j.rec.Spec.Job.Shards.All() {
		if elastic && !j.good(shard) {
			continue // what it had last may not have happened
		}
		rows, err := j.readMetrics(shard)
		if err != nil {
			return err
		}
		if elastic {
			rows = lastOfEachStep(rows) // steps are done again when ranks are lost
		}
		for _, row := range rows {
			step, ok := row["step"].(float64)
			hash, has := row["parameter_hash"].(string)
			if !ok || !has {
				continue
			}
			first, known := at[step]
			if known && first.hash != hash {
				return fmt.Errorf("parameters differ at step %.0f: shard %d has %.80q, shard %d has %.80q",
					step, first.shard, first.hash, shard, hash)
			}
			at[step] = seen{shard, hash}
		}
	}
	return nil
}

// good says whether a shard came to its end.
func (j *job) good(shard uint32) bool {
	for _, l := range j.rec.Lots {
		if slices.Contains(l.Shards, shard) {
			return l.Good
		}
	}
	return false
}

// lastOfEachStep leaves out rows that a later row has the step of.
func lastOfEachStep(rows []map[string]any) (last []map[string]any) {
	seen := map[any]bool{}
	for _, row := range slices.Backward(rows) {
		if step, ok := row["step"].(float64); ok && !seen[step] {
			seen[step] = true
			last = append(last, row)
		}
	}
	return last
}
