package provider

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// Meeting is how this provider leaves slices with others, as the one that pays.
func (d *Daemon) Meeting(p escrow.SharedPurse) *escrow.Meeting {
	return &escrow.Meeting{Fellows: table{d}, Purse: p}
}

// table is where a slice's providers meet.
type table struct{ d *Daemon }

// maxAsk bounds how long all others are waited for, at each of three times.
const maxAsk = 15 * time.Second

// ask bounds a question to all others, which must be over, with those that follow, before the next one calls.
func (t table) ask(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(time.Duration(t.d.cfg.Policy.Meeting)*time.Millisecond/4, maxAsk))
}

// Invite implements escrow.Fellows.
func (t table) Invite(ctx context.Context, l escrow.Lot, others []escrow.Lot) (guests []escrow.Guest) {
	ctx, cancel := t.ask(ctx)
	defer cancel()
	wishes := make([]*market.LeaveWish, len(others))
	t.all(ctx, l, others, func(i int, to market.LotTerms) error {
		if err := t.d.Fellows.Connect(ctx, to.Provider, to.Addrs); err != nil {
			return err
		}
		w, err := t.d.Fellows.Invite(ctx, to.Provider, market.LeaveInvitation{Job: market.JobID(l.Key.Job), Slice: l.Ref})
		if err == nil {
			wishes[i] = &w
		}
		return err
	})
	for i, w := range wishes {
		if w == nil {
			continue
		}
		g := escrow.Guest{Lot: others[i]}
		if root := [32]byte(w.Root); !w.Root.IsZero() {
			g.Root = &root
		}
		guests = append(guests, g)
	}
	return guests
}

// Witness implements escrow.Fellows.
func (t table) Witness(ctx context.Context, l escrow.Lot, guests []escrow.Guest, tx *chain.Tx) (signed []escrow.Guest) {
	ctx, cancel := t.ask(ctx)
	defer cancel()
	others := make([]escrow.Lot, len(guests))
	for i, g := range guests {
		others[i] = g.Lot
	}
	all, raw := make([]market.Witness, len(guests)), tx.Bytes()
	t.all(ctx, l, others, func(i int, to market.LotTerms) (err error) {
		all[i], err = t.d.Fellows.ProposeLeave(ctx, to.Provider, market.LeaveProposal{Job: market.JobID(l.Key.Job), Slice: l.Ref, Tx: raw})
		return err
	})
	for i, w := range all {
		if chain.HashKey(w.VKey) == guests[i].Lot.Key.Provider && tx.AddWitness(w.VKey, w.Signature) == nil {
			signed = append(signed, guests[i])
		}
	}
	return signed
}

// all asks the providers of some lots at once, and waits for all of them.
func (t table) all(ctx context.Context, l escrow.Lot, of []escrow.Lot, ask func(i int, to market.LotTerms) error) {
	_, terms, err := t.d.agreed(ctx, market.JobID(l.Key.Job))
	if err != nil {
		t.d.Log.Warn("provider: cannot call the others of a slice", "job", l.Key.Job, "error", err)
		return
	}
	var wg sync.WaitGroup
	for i, o := range of {
		at := slices.IndexFunc(terms.Lots, func(x market.LotTerms) bool { return x.Payment == o.Address })
		if at < 0 {
			continue
		}
		wg.Go(func() {
			if err := ask(i, terms.Lots[at]); err != nil {
				t.d.Log.Info("provider: another one does not leave the slice together", "job", l.Key.Job, "peer", terms.Lots[at].Provider, "error", err)
			}
		})
	}
	wg.Wait()
}
