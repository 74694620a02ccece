package requester

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// follower watches a locked job: its lots on chain and its shards at the providers. All but the asking happens in one
// goroutine, which alone writes the record.
type follower struct {
	*job
	updates chan update
	trouble []time.Time           // by lot: since when its provider gives no sensible answer; zero: it does
	final   []time.Time           // by lot: since when it has been final
	seen    map[int]escrow.Status // by lot: told last
	started bool                  // some program runs, or has run
	shards  map[uint32]shardSaid
	metrics map[uint32]*tail

	spawn      func(func(ctx context.Context)) // does something beside, until nobody follows any more
	findings   chan finding
	checking   bool      // a shard is being run again
	checkAfter time.Time // not before
}

// shardSaid is what was last told of a shard.
type shardSaid struct {
	phase   market.Phase
	message string
}

// update is what one provider was found to say.
type update struct {
	lot    int
	status market.JobStatus
	result []byte // signed, and its outputs are here
	err    error
}

// follow waits for results, gathers them, and waits until every lot is final.
func (j *job) follow(ctx context.Context) error {
	f := &follower{
		job: j, updates: make(chan update), findings: make(chan finding), trouble: make([]time.Time, len(j.rec.Lots)), final: make([]time.Time, len(j.rec.Lots)),
		shards: map[uint32]shardSaid{}, metrics: map[uint32]*tail{}, seen: map[int]escrow.Status{},
	}
	asking, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	f.spawn = func(do func(ctx context.Context)) { wg.Go(func() { do(asking) }) }
	for i, l := range j.rec.Lots {
		if l.Result != nil {
			continue
		}
		f.spawn(func(ctx context.Context) { f.ask(ctx, i, l) })
	}
	tick := time.NewTicker(j.r.cfg.Poll)
	defer tick.Stop()
	for {
		changed := j.r.Book.Changed()
		if err := f.look(ctx); err != nil || j.rec.Done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u := <-f.updates:
			if err := f.heard(ctx, u); err != nil {
				return err
			}
		case n := <-f.findings:
			if err := f.found(ctx, n); err != nil {
				return err
			}
		case <-tick.C:
		case <-changed:
		}
	}
}

// ask asks one provider until it has handed over a result.
func (f *follower) ask(ctx context.Context, i int, l lotRecord) {
	var sent uint64
	for {
		u := update{lot: i}
		call, cancel := context.WithTimeout(ctx, f.r.cfg.CallTime)
		if u.err = f.r.Sellers.Connect(call, l.Offer.Peer, l.Offer.Addrs); u.err == nil {
			u.status, u.err = f.r.Workers.Status(call, l.Offer.Peer, f.rec.Job)
		}
		if u.err == nil {
			sent = f.vouch(call, l, u.status, sent)
		}
		cancel()
		if u.err == nil && (u.status.Phase == market.PhaseDone || u.status.Phase == market.PhaseFailed) {
			u.result, u.err = f.collect(ctx, l)
		}
		select {
		case <-ctx.Done():
			return
		case f.updates <- u:
		}
		if u.result != nil || wait(ctx, f.r.cfg.Poll, nil) != nil {
			return
		}
	}
}

// heard takes in what a provider said.
func (f *follower) heard(ctx context.Context, u update) error {
	l := f.rec.Lots[u.lot]
	res, err := market.ReadResult(u.result)
	whole := err == nil && res.OK() // the whole of its metrics is here already
	for _, s := range u.status.Shards {
		if slices.Contains(l.Shards, s.Index) {
			f.progress(l, s, whole)
		}
	}
	if u.err != nil {
		if f.trouble[u.lot].IsZero() {
			f.trouble[u.lot] = time.Now()
			f.tell(Event{Provider: l.Offer.Peer, Message: "no result can be had: " + u.err.Error()})
		}
		return nil
	}
	f.trouble[u.lot] = time.Time{}
	if u.result == nil {
		return nil
	}
	f.started = true
	return f.keep(ctx, u)
}

// progress tells what is new about a shard.
func (f *follower) progress(l lotRecord, s market.ShardStatus, whole bool) {
	f.started = f.started || s.Started > 0
	if f.metrics[s.Index] == nil {
		f.metrics[s.Index] = openTail(f.metricsFile(s.Index))
	}
	lines, err := f.metrics[s.Index].add(s.Metrics, !whole)
	if err != nil {
		f.r.Log.Warn("requester: cannot write metrics", "id", f.rec.ID, "shard", s.Index, "error", err)
	}
	now := shardSaid{s.Phase, s.Message}
	if f.shards[s.Index] == now && len(lines) == 0 {
		return
	}
	f.shards[s.Index] = now
	f.tell(Event{Shard: &s.Index, Provider: l.Offer.Peer, ShardPhase: s.Phase, Message: s.Message, Metrics: lines})
}

// keep records a result and what it says.
func (f *follower) keep(ctx context.Context, u update) error {
	res, err := market.ReadResult(u.result)
	if err != nil {
		return err
	}
	l := &f.rec.Lots[u.lot]
	l.Result, l.Good = u.result, res.OK()
	for _, s := range res.Shards {
		l.StoodBy = l.StoodBy || s.StoodBy()
		if s.ExitCode == 0 {
			continue
		}
		l.Rejected = fmt.Sprintf("shard %d ended with exit code %d", s.Index, s.ExitCode)
		if f.rec.Failure == nil || s.Finished < f.rec.Failure.At {
			f.rec.Failure = &Failure{Shard: s.Index, At: s.Finished, ExitCode: s.ExitCode, Message: s.Message}
		}
		f.tell(Event{Shard: &s.Index, Provider: l.Offer.Peer, ShardPhase: market.PhaseFailed, Message: s.Message})
	}
	return f.save(ctx)
}

// look holds the job against the chain and enters the phases that follow from it.
func (f *follower) look(ctx context.Context) error {
	lots, err := f.lots(ctx)
	if err != nil {
		return err
	}
	now, err := f.r.now(ctx)
	if err != nil {
		return err
	}
	for i, l := range lots {
		switch {
		case l.Status == escrow.Absent: // rolled back: the same bytes bring it back
			if err := f.expired(ctx, false, f.r.Ledger.Submit(ctx, f.rec.Tx)); err != nil {
				return err
			}
			return nil
		case !l.Status.Final():
			f.final[i] = time.Time{}
		case f.final[i].IsZero():
			f.final[i] = time.Now()
		}
	}
	if err := f.heed(ctx, lots, now); err != nil {
		return err
	}
	if err := f.audit(ctx, lots); err != nil {
		return err
	}
	for {
		before := f.rec.Phase
		if err := f.advance(ctx, lots, now); err != nil || f.rec.Phase == before || f.rec.Done {
			return err
		}
	}
}

// advance enters at most one phase.
func (f *follower) advance(ctx context.Context, lots []escrow.Lot, now chain.Time) error {
	allFinal := !slices.ContainsFunc(lots, func(l escrow.Lot) bool { return !l.Status.Final() })
	switch f.rec.Phase {
	case Sent:
		if f.started || f.hasResult() {
			return f.enter(ctx, Running, "")
		}
		return f.judge(ctx, lots, now)
	case Running:
		return f.judge(ctx, lots, now)
	case Gathered:
		if err := f.late(ctx, lots); err != nil {
			return err
		}
		if !f.acceptedFinal(lots) {
			return nil
		}
		if err := f.receipts(ctx, lots); err != nil {
			return err
		}
		return f.enter(ctx, Approved, f.paid(lots))
	case Approved:
		if err := f.late(ctx, lots); err != nil || !allFinal {
			return err
		}
		if err := f.receipts(ctx, lots); err != nil {
			return err
		}
		f.rec.Done = true
		return f.finish(ctx, Settled)
	case Failed:
		if err := f.acceptGood(ctx); err != nil || !allFinal {
			return err
		}
		if err := f.receipts(ctx, lots); err != nil {
			return err
		}
		f.rec.Done = true
		return f.finish(ctx, Failed)
	}
	return fmt.Errorf("%w: job %s is %s", ErrStore, f.rec.ID, f.rec.Phase)
}

// finish records that nothing is left to happen, and frees the coins that a rollback could have brought back.
func (f *follower) finish(ctx context.Context, p Phase) error {
	if err := f.r.Purse.Release(ctx, f.purpose()); err != nil {
		f.rec.Done = false
		return fmt.Errorf("release the coins of job %s: %w", f.rec.ID, err)
	}
	if err := f.enter(ctx, p, "every lot is final"); err != nil {
		f.rec.Done = false
		return err
	}
	return nil
}

func (f *follower) hasResult() bool {
	return slices.ContainsFunc(f.rec.Lots, func(l lotRecord) bool { return l.Result != nil })
}

func (f *follower) acceptedFinal(lots []escrow.Lot) bool {
	for i, l := range f.rec.Lots {
		if (l.Accepted || l.Good && f.rec.Spec.Job.Waits()) && !lots[i].Status.Final() {
			return false
		}
	}
	return true
}

func (f *follower) paid(lots []escrow.Lot) string {
	n := 0
	for _, l := range lots {
		if l.Status == escrow.Approved || l.Status == escrow.Claimed || l.ToProviderUNTX > l.BondUNTX {
			n++
		}
	}
	return fmt.Sprintf("%d of %d providers paid", n, len(lots))
}
