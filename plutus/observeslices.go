package plutus

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Place is where in a slice a share is: in ascending order of payment keys, from 0.
type Place struct {
	Index int `json:"index"`
	Of    int `json:"of"` // shares of the slice
}

// ObserveSlices says what a transaction did to the shares of slices, in the order of their slices and lists; nothing if it
// did nothing to any. A slice that names another lots' policy is none of ours, nor are its shares ever: it is passed by.
// held gives the outputs that were made before.
//
// What was said of lots at Observe holds for shares: a share is a party's own only with its key among the Payers.
//
// ErrUnknownLot: a slice is spent that held does not know.
func (c *Contracts) ObserveSlices(tx chain.BlockTx, held func(chain.OutRef) (chain.UTxO, bool)) ([]Event, error) {
	said, ok := tx.MintRedeemers[c.Slices.Policy]
	if tx.Invalid || !ok {
		return nil, nil
	}
	m, err := DecodeMove(said, c.Network)
	if err != nil {
		return nil, fmt.Errorf("transaction %s: %w", tx.ID, err)
	}
	o := observed{Contracts: c, BlockTx: tx, Move: m}
	if m.Kind == KindStart {
		err = o.started()
	} else {
		err = o.moved(held)
	}
	if err != nil {
		return nil, fmt.Errorf("transaction %s, %s: %w", tx.ID, m.Kind, err)
	}
	return o.events, nil
}

// observed is a transaction that moves slices, and what was seen in it so far.
type observed struct {
	*Contracts
	chain.BlockTx
	Move
	events []Event
}

// output is the i-th one; an empty one, which is nobody's, if there are not so many.
func (o *observed) output(i int) chain.UTxO {
	if i < len(o.Outputs) {
		return o.Outputs[i]
	}
	return chain.UTxO{}
}

func (o *observed) started() error {
	payers := slices.Clone(o.Witnesses)
	for i, l := range o.Lists {
		shares, err := ReadShares(l, o.Network, o.Terms.BondBps)
		if err != nil {
			return err
		}
		s, err := o.ReadSlice(o.output(i), o.Terms, shares)
		if err != nil {
			continue // it names other lots
		}
		o.in(s, chain.OutRef{}, payers)
	}
	return nil
}

// in adds the shares of a slice that was made, out of the slice in spent.
func (o *observed) in(s Slice, spent chain.OutRef, payers []chain.KeyHash) {
	for i, x := range s.Shares {
		l := x.lot(o.Terms, s.Job)
		l.Ref = s.Ref
		o.events = append(o.events, Event{
			Kind: o.Kind, Lot: l, Spent: spent, Terms: o.Terms, Payers: payers, Place: Place{i, len(s.Shares)},
		})
	}
}

// moved tells what became of the slices among the inputs.
func (o *observed) moved(held func(chain.OutRef) (chain.UTxO, bool)) error {
	var spent []chain.UTxO
	for _, ref := range o.Inputs {
		if u, ok := held(ref); ok && o.sliceToken(u) != "" {
			spent = append(spent, u)
		}
	}
	slices.SortFunc(spent, func(a, b chain.UTxO) int { return a.Ref.Compare(b.Ref) })
	var burned int64
	for id, q := range o.Mint {
		if id.Policy == o.Slices.Policy && q < 0 {
			burned -= q
		}
	}
	if burned != int64(len(spent)) {
		return fmt.Errorf("%d slices spent, %d of them known: %w", burned, len(spent), ErrUnknownLot)
	}
	if o.Kind == KindSettle {
		return o.settled(spent)
	}
	shares, err := ReadShares(o.Lists[0], o.Network, o.Terms.BondBps)
	if err != nil || len(spent) != 1 {
		return fmt.Errorf("%d slices: %w: %w", len(spent), ErrSlice, err)
	}
	s, err := o.ReadSlice(spent[0], o.Terms, shares)
	if err != nil {
		return nil // it names other lots
	}
	switch o.Kind {
	case KindLeave:
		return o.left(s)
	case KindFinish:
		return o.finished(s)
	}
	for _, x := range s.Shares {
		o.ends(s, x, o.Terms)
	}
	return nil
}

// settled reads each slice's list back from its payouts, which is what the contracts do.
func (o *observed) settled(spent []chain.UTxO) error {
	var t Terms
	var job string
	at, jobs := 0, o.Jobs
	for _, u := range spent {
		name := o.sliceToken(u)
		if of := name[:len(name)-1]; of != job {
			if len(jobs) == 0 {
				return fmt.Errorf("no terms of job %x: %w", of, ErrRedeemer)
			}
			job, t, jobs = of, jobs[0], jobs[1:]
		}
		var shares []Share
		for range int(name[len(name)-1]) {
			p := o.output(at)
			at++
			sum := p.Value.Of(o.Params.NTX)
			price := PriceOf(sum, t.BondBps)
			shares = append(shares, Share{Provider: p.Address, PriceUNTX: price, BondUNTX: sum - price})
		}
		s, err := o.ReadSlice(u, t, shares)
		if err != nil {
			continue // it names other lots
		}
		for _, x := range s.Shares {
			o.ends(s, x, t)
		}
	}
	return nil
}

// sliceToken is the name of the slices' token that an output holds; "": none.
func (o *observed) sliceToken(u chain.UTxO) string {
	for id := range u.Value.Assets {
		if id.Policy == o.Slices.Policy && len(id.Name) == len(JobID{})+1 {
			return id.Name
		}
	}
	return ""
}

// left: the first outputs are the lots of those who left, then comes the slice of those who stay.
func (o *observed) left(s Slice) error {
	rest, gone := s, map[int]bool{}
	rest.Shares = nil
	for i, l := range o.Leavers {
		if l.Index >= len(s.Shares) {
			return fmt.Errorf("share %d of %d leaves: %w", l.Index, len(s.Shares), ErrRedeemer)
		}
		gone[l.Index] = true
		if err := o.becomesLot(s, i); err != nil {
			return err
		}
	}
	for i, x := range s.Shares {
		if !gone[i] {
			rest.Shares = append(rest.Shares, x)
		}
	}
	if len(rest.Shares) == 0 {
		return nil
	}
	rest, err := o.ReadSlice(o.output(len(o.Leavers)), o.Terms, rest.Shares)
	if err != nil {
		return err
	}
	o.in(rest, s.Ref, nil)
	return nil
}

// finished: each share, in order, is paid or a lot.
func (o *observed) finished(s Slice) error {
	for i, x := range s.Shares {
		if o.output(i).Address != o.Address {
			o.ends(s, x, o.Terms)
		} else if err := o.becomesLot(s, i); err != nil {
			return err
		}
	}
	return nil
}

func (o *observed) becomesLot(s Slice, i int) error {
	l, err := o.ReadLot(o.output(i), o.Terms)
	if err != nil {
		return err
	}
	o.events = append(o.events, Event{Kind: o.Kind, Lot: l, Spent: s.Ref, Terms: o.Terms})
	return nil
}

// ends adds a share that is over.
func (o *observed) ends(s Slice, x Share, t Terms) {
	l := x.lot(t, s.Job)
	l.Ref = s.Ref
	split, _ := l.Split(o.Kind, t, 0, 0) // of these kinds every lot has one
	o.events = append(o.events, Event{
		Kind: o.Kind, Lot: l, Spent: s.Ref, Terms: t, ToProviderUNTX: split.ProviderUNTX, ToRequesterUNTX: split.RequesterUNTX,
	})
}
