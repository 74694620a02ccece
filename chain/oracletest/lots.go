package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/plutus"
)

// job is an opening and its lots.
type job struct {
	terms     plutus.Terms
	requester chaintest.Actor
	lots      []plutus.Lot
}

const (
	price    = 25 * ada
	bondBps  = 2000
	reviewMS = 1000
)

// references are the contracts as reference scripts, or none: then they are attached.
func (w *world) references(attached bool) []chain.UTxO {
	if attached {
		return nil
	}
	return w.published
}

// agreed is a job that is to be opened.
type agreed struct {
	terms plutus.Terms
	parts []plutus.Part
	seed  chain.UTxO
	frame plutus.Frame
}

// agree makes a job with n providers, which must be committed within some slots.
func (w *world) agree(number, n int, within chain.Slot, attached bool, change ...func(*plutus.Terms)) (j job, a agreed, err error) {
	j.requester = w.requesters()[number%2]
	if a.seed, err = w.find(j.requester, func(u chain.UTxO) bool { return u.Value.Coin > 20*ada }); err != nil {
		return j, a, err
	}
	a.frame = w.frame(min(within, 600) - 10)
	a.frame.References = w.references(attached)
	by := w.clock.SlotToTime(w.slot() + within)
	a.terms = plutus.Terms{
		Seed: a.seed.Ref, Requester: j.requester.Address, DeclineBy: by, CommitBy: by, ReviewMS: reviewMS,
		BondBps: bondBps, PenaltyBps: 1000, LotLovelace: 2 * ada, Rest: sha256.Sum256([]byte{byte(number)}),
	}
	for _, f := range change {
		f(&a.terms)
	}
	j.terms = a.terms
	for i := range n {
		k := (number + i) % providers
		bond, err := w.find(w.provider(k), func(u chain.UTxO) bool { return u.Value.Coin > 10*ada && u.Value.Of(w.ntx) >= price })
		if err != nil {
			return j, a, err
		}
		a.parts = append(a.parts, plutus.Part{Provider: w.paidAt(k), PriceUNTX: price, BondInput: bond, BondChange: w.paidAt(k)})
	}
	return j, a, nil
}

// open opens a job with n providers; it must be committed within some slots.
func (w *world) open(ctx context.Context, number, n int, within chain.Slot, attached bool, change ...func(*plutus.Terms)) (job, error) {
	j, a, err := w.agree(number, n, within, attached, change...)
	if err != nil {
		return j, err
	}
	d := draft{shape: fmt.Sprintf("opening, up to %d providers", (n+3)/4*4), payer: j.requester}
	if n == 1 {
		d.shape = "opening, one provider"
	}
	if d.Draft, err = w.contracts.Open(a.terms, a.parts, a.seed, a.frame); err != nil {
		return j, err
	}
	b, err := w.present(ctx, d)
	if err != nil {
		return j, err
	}
	j.lots, err = w.lotsOf(b, j.terms)
	return j, err
}

// lotsOf reads the lots that a transaction made.
func (w *world) lotsOf(b chain.TxBody, t plutus.Terms) (lots []plutus.Lot, err error) {
	for _, u := range b.Outputs {
		if u.Address != w.contracts.Address {
			continue
		}
		l, err := w.contracts.ReadLot(u, t)
		if err != nil {
			return nil, err
		}
		lots = append(lots, l)
	}
	return lots, nil
}

// owner is the provider of a lot.
func (w *world) owner(l plutus.Lot) chaintest.Actor {
	k, _ := l.Provider.Key()
	return w.people[k]
}

// decline has the provider of a job's last lot give it back.
func (w *world) decline(ctx context.Context, j *job, attached bool) error {
	l := j.lots[len(j.lots)-1]
	j.lots = j.lots[:len(j.lots)-1]
	f := w.frame(300)
	f.References = w.references(attached)
	dr, err := w.contracts.Decline(l, j.terms, f)
	if err != nil {
		return err
	}
	_, err = w.present(ctx, draft{shape: "decline", Draft: dr, payer: w.owner(l)})
	return err
}

// commit has the provider of lot i commit to a result; the slot from which it may be claimed comes back.
func (w *world) commit(ctx context.Context, j *job, i int, attached bool) (chain.Slot, error) {
	f := w.frame(90)
	f.References = w.references(attached)
	at := plutus.ClaimAt(j.terms, f.Until, w.clock)
	dr, err := w.contracts.Commit(j.lots[i], j.terms, sha256.Sum256([]byte{byte(i)}), at, f)
	if err != nil {
		return 0, err
	}
	if err := w.follow(ctx, j, i, draft{shape: "commit", Draft: dr, payer: w.owner(j.lots[i])}); err != nil {
		return 0, err
	}
	return w.clock.CeilSlot(at)
}

// follow presents what makes lot i of a job another one.
func (w *world) follow(ctx context.Context, j *job, i int, d draft) error {
	b, err := w.present(ctx, d)
	if err != nil {
		return err
	}
	k := slices.IndexFunc(b.Outputs, func(u chain.UTxO) bool { return u.Address == w.contracts.Address })
	j.lots[i], err = w.contracts.ReadLot(b.Outputs[k], j.terms)
	return err
}

// approve pays the first n lots of a job.
func (w *world) approve(ctx context.Context, j *job, n int, attached bool) error {
	f := w.frame(300)
	f.References = w.references(attached)
	dr, err := w.contracts.Approve(j.lots[:n], j.terms, f)
	if err != nil {
		return err
	}
	j.lots = j.lots[n:]
	shape := "approve, one lot"
	if n > 1 {
		shape = "approve, a batch"
	}
	_, err = w.present(ctx, draft{shape: shape, Draft: dr, payer: j.requester})
	return err
}

// refund ends what is open of a job whose time is up.
func (w *world) refund(ctx context.Context, j *job, attached bool) error {
	now := w.slot()
	f := plutus.Frame{From: now, Until: now + 300, References: w.references(attached)}
	dr, err := w.contracts.Refund(j.lots, j.terms, f)
	if err != nil {
		return err
	}
	shape := "refund, one lot"
	if len(j.lots) > 1 {
		shape = "refund, a batch"
	}
	_, err = w.present(ctx, draft{shape: shape, Draft: dr, payer: w.person("stranger")})
	return err
}

// claim pays lots of one provider's, of any jobs.
func (w *world) claim(ctx context.Context, lots []plutus.Lot, attached bool) error {
	now := w.slot()
	f := plutus.Frame{From: now, Until: now + 300, References: w.references(attached)}
	dr, err := w.contracts.Claim(lots, f)
	if err != nil {
		return err
	}
	shape := "claim, one lot"
	if len(lots) > 1 {
		shape = "claim, a batch"
	}
	_, err = w.present(ctx, draft{shape: shape, Draft: dr, payer: w.owner(lots[0])})
	return err
}

// lots takes jobs through every transition: some are refunded, for nothing came of them in time.
func (w *world) lots(ctx context.Context) error {
	var late []job
	for i := range 12 {
		j, err := w.open(ctx, i, 1+i%4, 150, i%3 == 0)
		if err != nil {
			return err
		}
		late = append(late, j)
	}
	var jobs []job
	for i := range 26 {
		j, err := w.open(ctx, 100+i, 1+i%providers, 5000, i%5 == 0)
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	claims, from, err := w.work(ctx, jobs)
	if err != nil {
		return err
	}
	last := late[len(late)-1].terms.CommitBy
	end, err := w.clock.CeilSlot(last)
	if err != nil {
		return err
	}
	if err := w.waitFor(ctx, max(end, from)); err != nil {
		return err
	}
	for i := range late {
		if err := w.refund(ctx, &late[i], i%3 == 1); err != nil {
			return err
		}
	}
	for i := range providers {
		for n := 0; len(claims[i]) > 0; n++ {
			take := min(1+n%4, len(claims[i]))
			if err := w.claim(ctx, claims[i][:take], n%3 == 2); err != nil {
				return err
			}
			claims[i] = claims[i][take:]
		}
	}
	return nil
}

// work declines, commits and approves; what remains is each provider's to claim, from a slot on.
func (w *world) work(ctx context.Context, jobs []job) (claims [providers][]plutus.Lot, from chain.Slot, err error) {
	for i := range jobs {
		j := &jobs[i]
		if len(j.lots) > 1 {
			if err := w.decline(ctx, j, i%4 == 0); err != nil {
				return claims, 0, err
			}
		}
		committed := (len(j.lots) + 1) / 2
		for k := range committed {
			if from, err = w.commit(ctx, j, k, (i+k)%4 == 0); err != nil {
				return claims, 0, err
			}
		}
		if i%2 == 0 { // everything is approved, committed or not
			if err := w.approve(ctx, j, len(j.lots), i%4 == 0); err != nil {
				return claims, 0, err
			}
			continue
		}
		for _, l := range j.lots[:committed] {
			p := slices.IndexFunc(claims[:], func(c []plutus.Lot) bool { return len(c) > 0 && c[0].Provider == l.Provider })
			if p < 0 {
				p = slices.IndexFunc(claims[:], func(c []plutus.Lot) bool { return len(c) == 0 })
			}
			claims[p] = append(claims[p], l)
		}
		j.lots = j.lots[committed:]
		if len(j.lots) > 0 {
			if err := w.approve(ctx, j, len(j.lots), i%4 == 1); err != nil {
				return claims, 0, err
			}
		}
	}
	return claims, from, nil
}
