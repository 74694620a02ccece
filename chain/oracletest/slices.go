package main

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// sliced is a job in one slice.
type sliced struct {
	job
	slice plutus.Slice
}

// start starts a job with n providers in a slice.
func (w *world) start(ctx context.Context, number, n int, within chain.Slot, change ...func(*plutus.Terms)) (s sliced, err error) {
	j, a, err := w.agree(number, n, within, false, change...)
	if err != nil {
		return s, err
	}
	s.job = j
	d := draft{shape: fmt.Sprintf("start, up to %d providers", (n+3)/4*4), payer: j.requester}
	if d.Draft, err = w.contracts.Start(a.terms, a.parts, a.seed, a.frame); err != nil {
		return s, err
	}
	b, err := w.present(ctx, d)
	if err != nil {
		return s, err
	}
	move, err := plutus.DecodeMove(d.Mint[0].Redeemer, w.net)
	if err != nil {
		return s, err
	}
	shares, err := plutus.ReadShares(move.Lists[0], w.net, bondBps)
	if err != nil {
		return s, err
	}
	s.slice, err = w.contracts.ReadSlice(b.Outputs[0], j.terms, shares)
	return s, err
}

// settle pays the slices of several jobs.
func (w *world) settle(ctx context.Context, of ...sliced) error {
	f := w.frame(300)
	f.References = w.published
	var all []plutus.Slice
	var jobs []plutus.Terms
	for _, s := range of {
		all, jobs = append(all, s.slice), append(jobs, s.terms)
	}
	d := draft{shape: "settle, one slice", payer: of[0].requester}
	if len(of) > 1 {
		d.shape = "settle, several jobs"
	}
	var err error
	if d.Draft, err = w.contracts.Settle(all, jobs, f); err != nil {
		return err
	}
	_, err = w.present(ctx, d)
	return err
}

// leave takes the first n shares out of a slice, every other one with a result.
func (w *world) leave(ctx context.Context, s *sliced, n int) error {
	f := w.frame(90)
	f.References = w.published
	var who []plutus.Leaver
	for i := range n {
		l := plutus.Leaver{Index: i}
		if i%2 == 0 {
			l.Root = sha256.Sum256([]byte{byte(i)})
		}
		who = append(who, l)
	}
	d := draft{shape: "leave", payer: w.person("stranger")}
	last := n == len(s.slice.Shares)
	if last {
		d.shape = "leave, the last"
	}
	var err error
	if d.Draft, err = w.contracts.Leave(s.slice, s.terms, who, plutus.ClaimAt(s.terms, f.Until, w.clock), f); err != nil {
		return err
	}
	b, err := w.present(ctx, d)
	if err != nil {
		return err
	}
	lots, err := w.lotsOf(b, s.terms)
	s.lots = append(s.lots, lots...)
	if err != nil || last {
		return err
	}
	s.slice, err = w.contracts.ReadSlice(b.Outputs[n], s.terms, s.slice.Shares[n:])
	return err
}

// finish pays all shares of a slice but for the first, which becomes a lot.
func (w *world) finish(ctx context.Context, s *sliced) error {
	f := w.frame(300)
	f.References = w.published
	d := draft{shape: "finish", payer: s.requester}
	var err error
	if d.Draft, err = w.contracts.Finish(s.slice, s.terms, []int{0}, f); err != nil {
		return err
	}
	b, err := w.present(ctx, d)
	if err != nil {
		return err
	}
	s.lots, err = w.lotsOf(b, s.terms)
	return err
}

// dissolve ends a slice whose time is up.
func (w *world) dissolve(ctx context.Context, s sliced) error {
	now := w.slot()
	f := plutus.Frame{From: now, Until: now + 300, References: w.published}
	d := draft{shape: "dissolve", payer: w.person("stranger")}
	var err error
	if d.Draft, err = w.contracts.Dissolve(s.slice, s.terms, f); err != nil {
		return err
	}
	_, err = w.present(ctx, d)
	return err
}

// slices takes jobs in slices through every transition.
func (w *world) slices(ctx context.Context) error {
	var late, jobs []sliced
	for i := range 3 {
		s, err := w.start(ctx, 300+i, 1+7*i, 60)
		if err != nil {
			return err
		}
		late = append(late, s)
	}
	for i := range 12 {
		var change []func(*plutus.Terms)
		if i%4 == 3 {
			change = append(change, contested(3_600_000))
		}
		s, err := w.start(ctx, 310+i, 2+i, 5000, change...)
		if err != nil {
			return err
		}
		jobs = append(jobs, s)
	}
	for i := range jobs[:6] {
		s := &jobs[i]
		if err := w.leave(ctx, s, 1+i/2); err != nil {
			return err
		}
		if i%2 == 0 {
			if left := len(s.slice.Shares); left > 0 {
				if err := w.leave(ctx, s, left); err != nil {
					return err
				}
			}
		} else if err := w.settle(ctx, *s); err != nil {
			return err
		}
	}
	for i := range jobs[6:9] {
		if err := w.finish(ctx, &jobs[6+i]); err != nil {
			return err
		}
	}
	if err := w.settle(ctx, jobs[9:]...); err != nil {
		return err
	}
	for i := range jobs[:9] {
		if err := w.approve(ctx, &jobs[i].job, len(jobs[i].lots), i%2 == 0); err != nil {
			return err
		}
	}
	end, err := w.clock.CeilSlot(late[len(late)-1].terms.CommitBy)
	if err != nil {
		return err
	}
	if err := w.waitFor(ctx, end); err != nil {
		return err
	}
	for _, s := range late {
		if err := w.dissolve(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
