package requester

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"path/filepath"
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// Auditor runs shards again on the requester's own machine.
type Auditor interface {
	// Again says whether a shard ends as its result says, and why.
	Again(ctx context.Context, a Audit) (right bool, why string, err error)
}

// Audit is a shard that is to be run again. Directories are in full.
type Audit struct {
	Terms          market.Terms
	Shard          market.ShardResult
	Program, Input string // what it was given: what all shards share, and what is its own
	Claimed        string // what it left
	Work           string // for what it leaves now
}

// auditRecord is what was drawn of a lot's shards, and what came of it. It is stored before anything is run, so that who
// starts again draws nothing new.
type auditRecord struct {
	Left  []uint32 `json:"left"`            // drawn, and still to be run again
	Wrong bool     `json:"wrong,omitempty"` // one of them ended otherwise than its provider says
}

// finding is what running a shard again has shown.
type finding struct {
	lot   int
	shard uint32
	right bool
	why   string
	err   error
}

// audit runs shards of good lots again, one at a time, before they are approved: of each lot those that are drawn once its
// result is signed and here. What agrees is accepted, what differs is to be disputed, and escrow.Due does either only once
// the result is committed, when its provider can neither decline nor stay away.
func (f *follower) audit(ctx context.Context, lots []escrow.Lot) error {
	if f.rec.Spec.Job.AuditBps == 0 {
		return nil
	}
	for i := range f.rec.Lots {
		l := &f.rec.Lots[i]
		if !l.Good || l.Accepted || l.Rejected != "" || lots[i].Status.Final() || lots[i].Status == escrow.Disputed {
			continue
		}
		if l.Audit == nil {
			drawn, err := draw(l.Shards, f.rec.Spec.Job.AuditBps)
			if err != nil {
				return fmt.Errorf("draw shards to run again: %w", err)
			}
			l.Audit = &auditRecord{Left: drawn}
			if err := f.save(ctx); err != nil {
				l.Audit = nil
				return err
			}
		}
		switch a := l.Audit; {
		case a.Wrong:
		case len(a.Left) > 0:
			f.check(i, a.Left[0])
		case f.rec.Spec.Job.Verify == market.VerifyAccept:
			l.Accepted = true
			if err := f.save(ctx); err != nil {
				l.Accepted = false
				return err
			}
		}
	}
	return nil
}

// draw picks each shard with a chance of so many ten-thousandths.
func draw(shards []uint32, bps uint16) (drawn []uint32, err error) {
	for _, s := range shards {
		n, err := rand.Int(rand.Reader, big.NewInt(10_000))
		if err != nil {
			return nil, err
		}
		if n.Int64() < int64(bps) {
			drawn = append(drawn, s)
		}
	}
	return drawn, nil
}

// check runs a shard again, unless another is being run, or one could not be run a short while ago.
func (f *follower) check(lot int, shard uint32) {
	if f.checking || time.Now().Before(f.checkAfter) {
		return
	}
	f.checking = true
	signed := f.rec.Lots[lot].Result
	f.spawn(func(ctx context.Context) {
		n := finding{lot: lot, shard: shard}
		n.right, n.why, n.err = f.again(ctx, signed, shard)
		select {
		case <-ctx.Done():
		case f.findings <- n:
		}
	})
}

// again has the auditor run a shard of a signed result.
func (j *job) again(ctx context.Context, signed []byte, shard uint32) (right bool, why string, err error) {
	res, err := market.ReadResult(signed)
	if err != nil {
		return false, "", err
	}
	for _, s := range res.Shards {
		if s.Index != shard {
			continue
		}
		a := Audit{Terms: j.terms, Shard: s, Program: j.programDir(), Input: j.inputDir(shard), Claimed: j.outputDir(shard), Work: j.dir("audit-" + j.rec.ID)}
		for _, dir := range []*string{&a.Program, &a.Input, &a.Claimed, &a.Work} {
			if *dir, err = filepath.Abs(*dir); err != nil {
				return false, "", err
			}
		}
		return j.r.Auditor.Again(ctx, a)
	}
	return false, "", fmt.Errorf("%w: the result of job %s has no shard %d", ErrStore, j.rec.ID, shard)
}

// found records what running a shard again has shown. What cannot be run here is tried again; meanwhile its lot is not
// approved, and its provider commits and claims.
func (f *follower) found(ctx context.Context, n finding) error {
	f.checking = false
	l := &f.rec.Lots[n.lot]
	e := Event{Shard: &n.shard, Provider: l.Offer.Peer, Message: n.why}
	if n.err != nil {
		f.checkAfter = time.Now().Add(10 * f.r.cfg.Poll)
		e.Message = "it cannot be run again here: " + n.err.Error()
		f.tell(e)
		return nil
	}
	a := *l.Audit
	a.Left, a.Wrong = a.Left[1:], !n.right
	if a.Wrong {
		if err := f.r.disputable(ctx, f.rec.Spec.Job.Disputes.BondUNTX); err != nil {
			f.tell(Event{Provider: l.Offer.Peer, Message: err.Error()})
		}
		w, err := f.r.store.wish(ctx, f.rec.ID, l.Offer.Peer)
		if err == nil && w == "" {
			e.Message += "; its lot is disputed as soon as it is committed"
			err = f.r.store.setWish(ctx, f.rec.ID, l.Offer.Peer, Dispute)
		}
		if err != nil {
			return err
		}
	}
	f.tell(e)
	l.Audit = &a
	return f.save(ctx)
}
