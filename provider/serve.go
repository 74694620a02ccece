package provider

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/market"
)

// owned finds a job that this requester may ask about.
func (d *Daemon) owned(ctx context.Context, from peer.ID, id market.JobID) (record, reservation, error) {
	r, ok, err := d.store.job(ctx, id)
	if err != nil {
		return r, reservation{}, err
	}
	res, found, err := d.store.reservation(ctx, r.Reservation)
	if err != nil {
		return r, res, err
	}
	if !ok || !found || res.Requester != from {
		return r, res, refuse(market.RefusedUnknown, "no such job of yours")
	}
	return r, res, nil
}

// Locked hears that an opening was submitted. The chain says so too, so there is nothing to do.
func (d *Daemon) Locked(ctx context.Context, from peer.ID, m market.Locked) error {
	_, _, err := d.owned(ctx, from, m.Job)
	return err
}

// Status says how a job's shards are doing, or did.
func (d *Daemon) Status(ctx context.Context, from peer.ID, id market.JobID) (market.JobStatus, error) {
	r, _, err := d.owned(ctx, from, id)
	if err != nil {
		return market.JobStatus{}, err
	}
	st := market.JobStatus{Job: id, Phase: r.Phase, Message: safe(r.Message), Shards: []market.ShardStatus{}}
	ended := map[uint32]market.ShardResult{}
	if res, err := market.ReadResult(r.Result); err == nil {
		for _, s := range res.Shards {
			ended[s.Index] = s
		}
	}
	d.mu.Lock()
	j := d.jobs[id]
	d.mu.Unlock()
	if j == nil {
		for _, index := range slices.Sorted(maps.Keys(ended)) {
			st.Shards = append(st.Shards, statusOf(ended[index], r.Phase))
		}
		return st, nil
	}
	for _, lot := range j.lot.Shards {
		one := j.shardStatus(lot.Index, r.Phase)
		if e, ok := ended[lot.Index]; ok {
			one = statusOf(e, r.Phase)
		}
		size := share(512<<10, len(j.lot.Shards), market.MaxMetrics*market.MaxMetric)
		one.Metrics = append(one.Metrics, newest(metricLines(j.outputDir(lot.Index)), market.MaxMetrics, size)...)
		st.Shards = append(st.Shards, one)
	}
	return st, nil
}

func statusOf(s market.ShardResult, p market.Phase) market.ShardStatus {
	return market.ShardStatus{
		Index: s.Index, Phase: p, Started: s.Started, Finished: s.Finished, ExitCode: s.ExitCode, Message: s.Message,
		Metrics: []string{}, Traffic: s.Traffic,
	}
}

// shardStatus is of a shard without a result.
func (j *job) shardStatus(index uint32, p market.Phase) market.ShardStatus {
	st := market.ShardStatus{Index: index, Phase: p, Metrics: []string{}, Traffic: []market.Traffic{}}
	j.mu.Lock()
	s := j.shards[index]
	j.mu.Unlock()
	if s == nil {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Phase, st.Started = s.phase, posix(s.started)
	if s.session != nil {
		st.Traffic, st.Message = s.traffic(s.session.Traffic()), safe(s.session.Note())
	}
	return st
}

// Result is the signed result of a job, once there is one. The job's attesters may have it as well.
func (d *Daemon) Result(ctx context.Context, from peer.ID, id market.JobID) ([]byte, error) {
	r, _, err := d.owned(ctx, from, id)
	if err != nil {
		if r, err = d.attested(ctx, from, id, err); err != nil {
			return nil, err
		}
	}
	if r.Result == nil {
		return nil, refuse(market.RefusedUnknown, "the job has not ended")
	}
	return r.Result, nil
}

// Receipt keeps the requester's signature under a result, if it is that.
func (d *Daemon) Receipt(ctx context.Context, from peer.ID, signed []byte) error {
	receipt, result, err := market.OpenReceipt(signed)
	if err != nil {
		return refuse(market.RefusedOther, "%v", err)
	}
	if receipt.Requester != from || result.Provider != d.id {
		return refuse(market.RefusedOther, "a receipt between others")
	}
	r, _, err := d.owned(ctx, from, result.Job)
	if err != nil {
		return err
	}
	if !bytes.Equal(receipt.Result, r.Result) {
		return refuse(market.RefusedOther, "a receipt for another result than this provider gave")
	}
	if before, _, err := market.OpenReceipt(r.Receipt); err == nil && before.Accepted && !receipt.Accepted {
		return refuse(market.RefusedOther, "the result was accepted already")
	}
	return d.store.setReceipt(ctx, result.Job, signed)
}

// Logs copies what a shard's program wrote, the newest part of it.
func (d *Daemon) Logs(ctx context.Context, from peer.ID, id market.JobID, index uint32, w io.Writer) error {
	if _, _, err := d.owned(ctx, from, id); err != nil {
		return err
	}
	d.mu.Lock()
	j := d.jobs[id]
	d.mu.Unlock()
	if j == nil {
		return refuse(market.RefusedUnknown, "the job is over and its logs are gone")
	}
	s := &shard{j: j, index: index}
	h, err := s.find(ctx)
	if err != nil {
		return err
	}
	if h == nil {
		return refuse(market.RefusedUnknown, "shard %d has no container here", index)
	}
	return d.Engine.Logs(ctx, *h, false, w)
}

// Record is a job as the provider's owner sees it.
type Record struct {
	Job     market.JobID `json:"job"`
	Phase   market.Phase `json:"phase"`
	Message string       `json:"message"`
	Done    bool         `json:"done"`
	Result  []byte       `json:"result,omitempty"`  // as this provider signed it; market.ReadResult reads it
	Receipt []byte       `json:"receipt,omitempty"` // the same with the requester's signature; market.OpenReceipt reads it
}

// Jobs lists every job there ever was.
func (d *Daemon) Jobs(ctx context.Context) ([]Record, error) {
	all, err := d.store.jobs(ctx, true)
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(all))
	for i, r := range all {
		records[i] = Record{r.Job, r.Phase, r.Message, r.Done, r.Result, r.Receipt}
	}
	return records, nil
}

// Records lists the jobs in a provider's database, without a daemon.
func Records(ctx context.Context, db *sql.DB) ([]Record, error) {
	s, err := openStore(ctx, db)
	if err != nil {
		return nil, err
	}
	return (&Daemon{store: s}).Jobs(ctx)
}
