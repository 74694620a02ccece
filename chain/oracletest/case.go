package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// draft is a transaction to make.
type draft struct {
	shape string
	chain.Draft
	payer      chaintest.Actor
	collateral []chain.UTxO // nil: the payer's
	change     chain.Address
}

// thorough is how many transactions of a shape are broken in every way that applies; the others are broken in atLeast
// ways, taken in turn.
const (
	thorough = 1
	atLeast  = 14
	must     = 12
)

// present makes a draft's transaction, has it judged whole and broken, and submits it.
func (w *world) present(ctx context.Context, d draft) (body chain.TxBody, err error) {
	tx, err := w.build(d)
	if err != nil {
		return body, fmt.Errorf("%s: %w", d.shape, err)
	}
	if body, err = tx.Inspect(); err != nil {
		return body, err
	}
	w.cases++
	name := fmt.Sprintf("%d, %s", w.cases, d.shape)
	n := w.jury.shape(d.shape)
	if err := w.presentWhole(ctx, name, tx, &body); err != nil {
		return body, fmt.Errorf("%s: %w", name, err)
	}
	if err := w.presentBroken(ctx, name, tx, len(d.Outputs), n); err != nil {
		return body, fmt.Errorf("%s: %w", name, err)
	}
	n.transactions++
	n.scripts += len(tx.Redeemers())
	n.bytes = max(n.bytes, len(tx.Bytes()))
	if err := w.submitter.submit(tx.Bytes()); err != nil {
		return body, fmt.Errorf("%s: the node does not take it: %w", name, err)
	}
	w.apply(body)
	w.made[body.ID] = name
	return body, nil
}

// build balances a draft with the payer's coins and has everyone sign.
func (w *world) build(d draft) (*chain.Tx, error) {
	coins, collateral := w.coins(d.payer)
	if d.collateral != nil {
		collateral = d.collateral
	}
	if d.change.IsZero() {
		d.change = d.payer.Address
	}
	if d.Until == 0 {
		f := w.frame(600)
		d.From, d.Until = f.From, f.Until
	}
	tx, err := chain.Balance(d.Draft, coins, d.change, collateral, w.params, w.clock, w.net)
	if err != nil {
		return nil, err
	}
	for _, a := range w.signers(tx) {
		if err := a.Sign(tx); err != nil {
			return nil, err
		}
	}
	return tx, nil
}

func (w *world) signers(tx *chain.Tx) (out []chaintest.Actor) {
	for _, k := range tx.Needed() {
		out = append(out, w.people[k])
	}
	return out
}

// presentWhole asks everyone about a transaction as it is. The same, taken apart and put together, must be the same.
func (w *world) presentWhole(ctx context.Context, name string, tx *chain.Tx, body *chain.TxBody) error {
	var complaints []string
	b := tx.Bytes()
	r := takeApart(b, w.signers(tx))
	if !slices.Equal(r.bytes(), b) {
		complaints = append(complaints, fmt.Sprintf("another encoder writes %x, we write %x", r.bytes(), b))
	}
	if err := w.check(b, tx.Resolved()); err != nil {
		complaints = append(complaints, "we refuse it: "+err.Error())
	}
	used, err := chain.Evaluate(tx, tx.Resolved(), w.params, w.clock)
	if err != nil {
		return err
	}
	return w.jury.ask(ctx, ask(b, w.resolve(r), w.slot(), true), func(a answer) {
		complaints = append(append(complaints, accepts(a, tx, body, used)...), w.checkFee(a, body.Fee)...)
		w.jury.rule("whole", name, complaints)
	})
}

// presentBroken breaks a transaction and asks everyone about each mutant.
func (w *world) presentBroken(ctx context.Context, name string, tx *chain.Tx, change int, n *shapeCount) error {
	s := &subject{w: w, tx: tx, resolved: tx.Resolved(), script: len(tx.Redeemers()) > 0}
	whole := takeApart(tx.Bytes(), w.signers(tx))
	s.change = whole.richest(change)
	if s.change < 0 {
		return errors.New("no change to break it with")
	}
	s.checkTwin(name, whole)
	all, done := mutations(), 0
	for i := range all {
		if done >= atLeast && n.transactions >= thorough {
			break
		}
		m := all[(i+w.cases*5)%len(all)]
		r := whole.clone()
		if !m.apply(r, s) {
			continue
		}
		if err := w.presentMutant(ctx, name, m, r); err != nil {
			return err
		}
		done++
	}
	n.mutants += done
	if done < must {
		w.jury.rule("broken", name, []string{fmt.Sprintf("only %d ways to break it", done)})
	}
	return nil
}

// checkTwin holds against our own check what padded mutations start from: the fault must be the only one.
func (s *subject) checkTwin(name string, whole *raw) {
	r := whole.clone()
	if !s.pad(r, spare) {
		return
	}
	if err := s.w.check(r.bytes(), s.w.resolve(r)); err != nil {
		s.w.jury.rule("twin", name, []string{err.Error()})
	}
}

func (w *world) presentMutant(ctx context.Context, name string, m mutation, r *raw) error {
	b, resolved := r.bytes(), w.resolve(r)
	ours := w.check(b, resolved)
	var theirs error
	if m.node != "" {
		theirs = w.submitter.submit(b)
		if theirs != nil && !errors.Is(theirs, errRefused) {
			return theirs
		}
	}
	return w.jury.ask(ctx, ask(b, resolved, w.slot(), false), func(a answer) {
		w.jury.hear(name, m, ours, theirs, a, w.rustNotices(a.CSL, r) && w.rustNotices(a.CML, r))
	})
}

// hear counts what everyone says of a mutant.
func (j *jury) hear(name string, m mutation, ours, theirs error, a answer, rust bool) {
	complaints := m.complain(ours, theirs)
	if m.scalus != "" && !strings.Contains(a.Scalus.Refused, m.scalus) {
		complaints = append(complaints, fmt.Sprintf("scalus does not say %s: %q", m.scalus, a.Scalus.Refused))
	}
	if m.rust && !rust {
		complaints = append(complaints, fmt.Sprintf("the libraries do not notice: %+v, %+v", a.CSL, a.CML))
	}
	j.rule(m.name, name, complaints)
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.noticed[m.name]
	if n == nil {
		n = &mutationCount{}
		j.noticed[m.name] = n
	}
	for _, x := range []struct {
		count *int
		yes   bool
	}{{&n.tried, true}, {&n.ours, ours != nil}, {&n.node, theirs != nil}, {&n.scalus, a.Scalus.Refused != ""}, {&n.rust, rust}} {
		if x.yes {
			*x.count++
		}
	}
}
