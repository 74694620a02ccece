package requester

import (
	"fmt"

	"github.com/tallycompute/tally/market"
)

// verifyTraining holds the shards of a collective against each other: at every step the same parameters, at the end
// too, and on every link as much received as was sent.
func (j *job) verifyTraining() error {
	var results []market.Result
	var last *market.ShardResult
	for _, l := range j.rec.Lots {
		res, err := market.ReadResult(l.Result)
		if err != nil {
			return err
		}
		results = append(results, res)
		for _, s := range res.Shards {
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
	return market.CheckTraffic(results)
}

// verifySteps compares the parameter hashes in the shards' metrics, step by step.
func (j *job) verifySteps() error {
	type seen struct {
		shard uint32
		hash  string
	}
	at := map[float64]seen{}
	for shard := range j.rec.Spec.Job.Shards.Count {
		rows, err := j.readMetrics(shard)
		if err != nil {
			return err
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
