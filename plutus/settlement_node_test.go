//go:build onnode

package plutus

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// settle takes the largest transactions of each transition to a node, built as the product builds them: a job of as
// many lots as an opening holds is opened and paid, another is opened and refunded, and one provider claims of as many
// jobs as a claim holds.
func (f *field) settle(t *testing.T, opens, claims int) (done []expense) {
	t.Helper()
	done = append(done, expense{transition: "open", lots: opens})
	for _, end := range []string{"settle", "refund"} {
		c := f.crowd(t, opens, shortSpan)
		parts := f.endow(t, c)
		d := must(c.Open(c.terms, parts, c.seed(), c.frame(c.moments.open)))(t)
		opened := f.product(t, c, d, c.requester)
		lots := f.read(t, opened, opens, c.terms)
		payer := c.requester
		if end == "settle" {
			d = must(c.Approve(lots, c.terms, c.frame(c.work)))(t)
		} else {
			f.reach(t, c.moments.refund)
			d, payer = must(c.Refund(lots, c.terms, c.frame(c.moments.refund)))(t), c.stranger
		}
		f.product(t, c, d, payer)
		done = append(done, expense{transition: end, lots: opens})
	}
	c := f.crowd(t, 1, claimSpan)
	lots := f.committed(t, c, claims)
	f.reach(t, c.moments.claim)
	f.product(t, c, must(c.Claim(lots, c.frame(c.moments.claim)))(t), c.providers[0])
	return append(done, expense{transition: "claim", lots: claims})
}

// slices takes full transactions of slices to a node: jobs are started with as many shares as a start holds, and settled
// together; the providers of another leave, first one of them, then all others but one slice's, which is finished; and one
// is dissolved.
func (f *field) slices(t *testing.T, settles int) (done []expense) {
	t.Helper()
	record := func(name string, n int) { // the largest of each
		i := slices.IndexFunc(done, func(x expense) bool { return x.transition == "slice/"+name })
		if i < 0 {
			i, done = len(done), append(done, expense{transition: "slice/" + name})
		}
		done[i].lots = max(done[i].lots, n)
	}
	var of []Slice
	var jobs []Terms
	var last *crowd
	for left := settles; left > 0; left -= startable {
		n := min(left, startable)
		c, all := f.start(t, n, 3*shortSpan)
		of, jobs, last = append(of, all...), append(jobs, c.terms), c
		record("start", n)
	}
	f.product(t, last, must(last.Settle(of, jobs, last.frame(last.work)))(t), last.requester)
	record("settle", settles)

	c, all := f.start(t, startable, shortSpan)
	fr := c.frame(c.work)
	leave := func(s Slice, from int, n int) []chain.UTxO {
		var who []Leaver
		for i := range n {
			who = append(who, Leaver{from + i, [32]byte{9, byte(i)}})
		}
		record("leave", n)
		return f.product(t, c, must(c.Leave(s, c.terms, who, ClaimAt(c.terms, fr.Until, c.clock), fr))(t), c.stranger)
	}
	made := leave(all[0], 0, 1)
	rest := must(c.ReadSlice(made[1], c.terms, all[0].Shares[1:]))(t)
	leave(rest, 0, len(rest.Shares))
	f.product(t, c, must(c.Finish(all[1], c.terms, []int{0, 7}, fr))(t), c.requester)
	record("finish", len(all[1].Shares))
	f.reach(t, c.moments.refund)
	f.product(t, c, must(c.Dissolve(all[2], c.terms, c.frame(c.moments.refund)))(t), c.stranger)
	record("dissolve", len(all[2].Shares))
	return done
}

// start starts a job of n shares, and gives its slices.
func (f *field) start(t *testing.T, n int, span chain.Slot) (*crowd, []Slice) {
	t.Helper()
	c := f.crowd(t, n, span)
	parts := f.endow(t, c)
	made := f.product(t, c, must(c.Start(c.terms, parts, c.seed(), c.frame(c.moments.open)))(t), c.requester)
	var all []Slice
	for i := 0; i*MaxShares < n; i++ {
		var shares []Share
		for _, p := range parts[i*MaxShares : min(n, (i+1)*MaxShares)] {
			shares = append(shares, Share{p.Provider, p.PriceUNTX, BondOf(p.PriceUNTX, c.terms.BondBps)})
		}
		all = append(all, must(c.ReadSlice(made[i], c.terms, shares))(t))
	}
	return c, all
}

// claimSpan is how long, in slots, hundreds of openings and commitments may take.
const claimSpan = 1500

// crowd is a world on the field, of n providers.
func (f *field) crowd(t *testing.T, n int, span chain.Slot) *crowd {
	t.Helper()
	now := f.now(t)
	c := &crowd{world: f.world(t, f.momentsFrom(now, span)), references: f.references, split: true}
	c.gather(n)
	f.signers = append(f.signers, c.providers...)
	return c
}

// endow gives every provider its bond.
func (f *field) endow(t *testing.T, c *crowd) []Part {
	t.Helper()
	parts := c.parts(len(c.providers))
	var outs []chain.Output
	for _, p := range parts {
		outs = append(outs, p.BondInput.Output)
	}
	us := f.fund(t, outs...)
	for i := range parts {
		parts[i].BondInput = us[i]
	}
	f.settled(t, us[len(us)-1])
	return parts
}

// product builds a transaction as the product does, has it signed, and submits it until it is in a block.
func (f *field) product(t *testing.T, c *crowd, d chain.Draft, payer chaintest.Actor) []chain.UTxO {
	t.Helper()
	outputs, _ := f.chained(t, c.world, d, payer, f.coins(t, payer))
	f.settled(t, outputs[len(outputs)-1])
	return outputs
}

func (f *field) read(tb testing.TB, us []chain.UTxO, n int, t Terms) (lots []Lot) {
	tb.Helper()
	for _, u := range us[:n] {
		l, err := f.contracts.ReadLot(u, t)
		if err != nil {
			tb.Fatal(err)
		}
		lots = append(lots, l)
	}
	return lots
}

// committed makes n lots of one provider, each of a job of its own, and commits them all.
func (f *field) committed(t *testing.T, c *crowd, n int) (lots []Lot) {
	t.Helper()
	p := c.providers[0]
	var outs []chain.Output
	for _, u := range purse(p) {
		outs = append(outs, u.Output)
	}
	f.collateral[p.Hash] = f.fund(t, append(outs, chain.Output{Address: p.Address, Value: chain.Coins(20_000_000)})...)[len(outs):]
	seeds, bonds := []chain.Output{}, []chain.Output{}
	for range n {
		seeds, bonds = append(seeds, f.seedOutput()), append(bonds, c.parts(1)[0].BondInput.Output)
	}
	made := f.fund(t, append(seeds, bonds...)...)
	f.settled(t, made[len(made)-1])
	requester, provider := f.coins(t, c.requester), f.coins(t, p)
	for i := range n {
		w := *c.world
		w.terms.Seed, w.seedCoin = made[i].Ref, made[i]
		part := c.parts(1)[0]
		part.BondInput = made[n+i]
		var opened, committed []chain.UTxO
		opened, requester = f.chained(t, &w, must(w.Open(w.terms, []Part{part}, w.seedCoin, c.frame(w.moments.open)))(t), c.requester, requester)
		l := f.read(t, opened, 1, w.terms)[0]
		d := must(w.Commit(l, w.terms, [32]byte{9}, ClaimAt(w.terms, w.commitEnd, w.clock), Frame{From: w.work, Until: w.commitEnd, References: f.references}))(t)
		committed, provider = f.chained(t, &w, d, p, provider)
		lots = append(lots, f.read(t, committed, 1, w.terms)...)
		if i%20 == 19 || i == n-1 {
			f.settled(t, committed[0])
		}
	}
	return lots
}

// chained submits a transaction that is paid for with coins that may still wait for a block, and gives what is left.
func (f *field) chained(t *testing.T, w *world, d chain.Draft, payer chaintest.Actor, coins []chain.UTxO) (outputs, left []chain.UTxO) {
	t.Helper()
	tx, err := chain.Balance(d, coins, payer.Address, f.collateral[payer.Hash], f.ledger, f.clock, f.Network())
	if err != nil {
		t.Fatal(w.Explain(err))
	}
	for _, k := range tx.Needed() {
		i := slices.IndexFunc(f.signers, func(a chaintest.Actor) bool { return a.Hash == k })
		if err := f.signers[i].Sign(tx); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Submit(f.ctx, tx.Bytes()); err != nil {
		t.Fatal(fmt.Errorf("chained: %w", err))
	}
	b, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range slices.Concat(coins, b.Outputs) {
		if !slices.Contains(b.Inputs, u.Ref) && u.Address == payer.Address {
			left = append(left, u)
		}
	}
	return b.Outputs, left
}
