package testnet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// balancesBefore asks every wallet's owner what it holds, before the first job.
func (d *demo) balancesBefore(ctx context.Context) error {
	held, err := d.balances(ctx)
	if err != nil {
		return err
	}
	d.sum.Balances = map[string]Balance{}
	for p, h := range held {
		d.sum.Balances[h.Address.String()] = Balance{Role: p.Name, BeforeUNTX: h.UNTX, BeforeLovelace: h.Lovelace}
	}
	tip, err := d.w.Node.Tip(ctx)
	d.sum.FundedAt = tip.Slot
	return err
}

func (d *demo) balances(ctx context.Context) (map[*Participant]Holds, error) {
	var mu sync.Mutex
	held := map[*Participant]Holds{}
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range d.w.Participants() {
		g.Go(func() error {
			h, err := p.Balance(ctx)
			mu.Lock()
			defer mu.Unlock()
			held[p] = h
			return err
		})
	}
	return held, g.Wait()
}

// summarise gathers what every participant says of the jobs and holds it against the chain before it is written down.
func (d *demo) summarise(ctx context.Context) error {
	s := &d.sum
	s.Network, s.NTX, s.Seconds = d.w.Network.Chain(), d.w.Contracts.Params.NTX, d.say.seconds
	blocks, err := d.settled(ctx)
	if err != nil {
		return err
	}
	s.EndedAt = blocks[len(blocks)-1].Slot
	held, err := d.balances(ctx)
	if err != nil {
		return err
	}
	for p, h := range held {
		b := s.Balances[p.Address.String()]
		b.AfterUNTX, b.AfterLovelace, b.StakeUNTX = h.UNTX, h.Lovelace, d.staked[p.Address]
		s.Balances[p.Address.String()] = b
	}
	x, err := ReplayJobs(blocks, d.w.Contracts)
	if err != nil {
		return err
	}
	if err := d.readBooks(ctx); err != nil {
		return err
	}
	for _, j := range d.ran {
		js, err := d.jobSummary(j, x)
		if err != nil {
			return fmt.Errorf("job %s: %w", j.name, err)
		}
		s.Jobs = append(s.Jobs, js)
	}
	d.figures(x)
	if err := d.write(); err != nil {
		return err
	}
	n, err := CheckClaims(*s, blocks, d.w.Contracts)
	if err != nil {
		return fmt.Errorf("what the participants say is not what the chain says: %w", err)
	}
	d.say.line("%d claims of %s agree with the chain", n, filepath.Join(d.cfg.Out, summaryFile))
	return d.table(d.cfg.Table)
}

// settled is the chain so far, with a block after the last that settled a lot.
func (d *demo) settled(ctx context.Context) ([]chain.Block, error) {
	blocks, _ := d.chain.rec.seen()
	x, err := Replay(blocks, d.w.Contracts)
	if err != nil {
		return nil, err
	}
	var last chain.Slot
	for j := range maps.Values(x.Jobs) {
		_, to := j.Span()
		last = max(last, to)
	}
	return d.chain.past(ctx, last)
}

func (d *demo) jobSummary(j *ranJob, x *Derived) (js JobSummary, err error) {
	var id plutus.JobID
	if err := id.UnmarshalText([]byte(j.id)); err != nil || x.Jobs[id] == nil {
		return js, fmt.Errorf("%w: the chain does not have job %q", ErrDemo, j.id)
	}
	job := x.Jobs[id]
	from, to := job.Span()
	kinds := map[string]string{"digits": "training", "montecarlo": "general", "inference": "inference"}
	js = JobSummary{
		Name: j.name, ID: j.id, Kind: kinds[j.name], Outcome: job.Outcome(), PriceUNTX: job.Price(), FeesLovelace: job.Fees,
		RequesterCostLovelace: job.Costs[job.Terms.Requester], Result: j.result, Seconds: map[string]float64{},
	}
	if o := j.outcome; o != nil { // what the requester says goes before what is derived
		js.Outcome, js.PriceUNTX, js.Seconds = o.Outcome, o.PriceUNTX, o.Seconds
	}
	for _, p := range d.w.Providers {
		l := job.Lots[p.Address]
		if l == nil {
			return js, fmt.Errorf("%w: %s has no lot", ErrDemo, p.Name)
		}
		s := ShardSummary{
			Provider: p.Address, Name: p.Name, Outcome: l.Outcome(), PaidUNTX: l.Paid(), RefundedUNTX: l.Refunded(), PenaltyUNTX: l.Penalty(),
			BondReturnedUNTX: l.BondReturned(), LockedLovelace: l.Lot.Lovelace, ProviderCostLovelace: job.Costs[p.Address],
			Txs:        ShardTxs{Open: l.Open, Commit: l.Commit, Settle: l.Settle},
			BeforeUNTX: x.Balances[from-1][p.Address].UNTX, AfterUNTX: x.Balances[to][p.Address].UNTX,
			Seconds: d.between(l.OpenedAt, l.SettledAt).Seconds(), Index: -1,
		}
		if err := d.claimed(j, &s); err != nil {
			return js, err
		}
		if err := d.receipt(j, p, &s); err != nil {
			return js, fmt.Errorf("receipt of %s: %w", p.Name, err)
		}
		js.Shards = append(js.Shards, s)
	}
	slices.SortFunc(js.Shards, func(a, b ShardSummary) int { return a.Index - b.Index })
	return js, nil
}

// claimed puts the requester's own account of a lot in the place of what is derived.
func (d *demo) claimed(j *ranJob, s *ShardSummary) error {
	if j.outcome == nil {
		return nil
	}
	for _, l := range j.outcome.Lots {
		if l.Address != s.Provider {
			continue
		}
		if len(l.Shards) != 1 || l.Txs.Open == nil || l.Txs.Settle == nil {
			return fmt.Errorf("%w: the requester's account of %s is not whole: %+v", ErrDemo, s.Name, l)
		}
		s.Index, s.Outcome = int(l.Shards[0]), l.Status.String()
		s.PaidUNTX, s.RefundedUNTX, s.PenaltyUNTX, s.BondReturnedUNTX = l.PaidUNTX, l.RefundedUNTX, l.PenaltyUNTX, l.BondReturnedUNTX
		s.Txs = ShardTxs{Open: *l.Txs.Open, Commit: l.Txs.Commit, Settle: *l.Txs.Settle}
		return nil
	}
	return fmt.Errorf("%w: the requester knows no lot of %s", ErrDemo, s.Name)
}

// between is the time between two slots.
func (d *demo) between(a, b chain.Slot) time.Duration {
	return time.Duration(b-a) * time.Duration(d.w.Process.SlotLengthMS) * time.Millisecond
}

// figures are measured from the metrics of job 1 and the slots of its transactions.
func (d *demo) figures(x *Derived) {
	j := d.ran[0]
	var id plutus.JobID
	if id.UnmarshalText([]byte(j.id)) != nil {
		return
	}
	job := x.Jobs[id]
	f := shareOf(job)
	first, last := 0.0, 0.0
	for _, ms := range j.ranks {
		for _, m := range ms {
			if m.Loss == nil {
				continue
			}
			if first == 0 || m.Time < first {
				first = m.Time
			}
			last = max(last, m.Time)
		}
	}
	_, to := job.Span()
	paid := d.w.Process.SystemStart.Add(d.between(0, to))
	unix := func(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
	f.SecondsToFirstStep, f.TrainingSeconds, f.SecondsLastStepToPaid = millis(first-unix(j.began)), millis(last-first), millis(unix(paid)-last)
	d.sum.Figures = f
}

// millis rounds seconds to thousandths: no clock here is better.
func millis(s float64) float64 { return math.Round(s*1000) / 1000 }

// write leaves what a reader wants to look at.
func (d *demo) write() error {
	j := d.ran[0]
	if err := writeMetrics(filepath.Join(d.cfg.Out, "metrics.csv"), j.ranks); err != nil {
		return err
	}
	title := fmt.Sprintf("Digits, trained split over %d providers", len(j.ranks))
	if err := plotLoss(filepath.Join(d.cfg.Out, "loss.png"), title, j.ranks); err != nil {
		return err
	}
	predictions, err := os.ReadFile(filepath.Join(d.ran[2].out, "predictions.txt"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.cfg.Out, "predictions.txt"), predictions, 0o644); err != nil {
		return err
	}
	b, err := json.MarshalIndent(d.sum, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(d.cfg.Out, summaryFile), append(b, '\n'), 0o644)
}

func (d *demo) nameOf(a chain.Address) string {
	for _, p := range d.w.Participants() {
		if p.Address == a {
			return p.Name
		}
	}
	return a.String()
}
