package escrow

import (
	"context"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// batch is lots that one transaction settles, with what the party knows of each.
type batch struct {
	kind     Kind
	lots     []Lot
	facts    []Facts
	together bool // with whoever else wants to
}

func (b *batch) add(l Lot, f Facts) { b.lots, b.facts = append(b.lots, l), append(b.facts, f) }

// outputs are the batch's lots, of those in one output the first.
func (b *batch) outputs() (firsts []Lot) {
	for _, l := range b.lots {
		if !slices.ContainsFunc(firsts, func(x Lot) bool { return x.Ref == l.Ref }) {
			firsts = append(firsts, l)
		}
	}
	return firsts
}

// halves splits a batch of more than one output.
func (b *batch) halves() (*batch, *batch) {
	all := b.outputs()
	first, second := &batch{kind: b.kind}, &batch{kind: b.kind}
	for i, l := range b.lots {
		half := second
		if slices.ContainsFunc(all[:len(all)/2], func(x Lot) bool { return x.Ref == l.Ref }) {
			half = first
		}
		half.add(l, b.facts[i])
	}
	return first, second
}

// batches groups what is due: approvals and refunds by job, claims, vouchers and settlements all together, the rest one by
// one. A requester's slices are looked at as a whole.
func (a *Actor) batches(ctx context.Context, lots []Lot, now chain.Time, errs *[]error) []*batch {
	var all []*batch
	groups := map[string]*batch{}
	put := func(k Kind, group string, b *batch) {
		group = string(k) + group
		if groups[group] == nil {
			groups[group] = &batch{kind: k}
			all = append(all, groups[group])
		}
		for i, l := range b.lots {
			groups[group].add(l, b.facts[i])
		}
	}
	whole := map[chain.OutRef]*batch{} // slices
	var order []chain.OutRef
	for _, l := range lots {
		if _, busy := a.waiting[l.Ref]; busy || l.Status.Final() || l.Status == Absent {
			continue
		}
		facts, err := a.Facts(ctx, l.Key)
		if err != nil {
			*errs = append(*errs, fmt.Errorf("facts of lot %s: %w", l.Key, err))
			continue
		}
		one := &batch{lots: []Lot{l}, facts: []Facts{facts}}
		if l.Status == Sliced && a.Role == Requester {
			if whole[l.Ref] == nil {
				whole[l.Ref], order = &batch{}, append(order, l.Ref)
			}
			whole[l.Ref].add(l, facts)
			continue
		}
		kind, _ := Due(a.Role, l, facts, a.Policy, now)
		switch kind {
		case "":
			if a.Meeting != nil && !a.called[l.Ref] && gathers(l, facts, a.Policy, now) {
				one.kind, one.together = KindLeave, true
				all = append(all, one)
			}
		case KindApprove, KindRefund:
			put(kind, l.Key.Job.String(), one)
		case KindClaim, KindRedeem:
			put(kind, "", one)
		default:
			put(kind, l.Key.String(), one)
		}
	}
	for _, ref := range order {
		b := whole[ref]
		if len(b.lots) != b.lots[0].Place.Of {
			continue // of some the facts are not known now
		}
		kind, _ := DueSlice(b.lots, b.facts, a.Policy, a.Contracts.Params.MarginMS, now)
		switch kind {
		case "":
		case KindSettle:
			put(kind, "", b)
		default:
			put(kind, ref.String(), b)
		}
	}
	return all
}
