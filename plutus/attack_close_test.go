package plutus

import (
	"bytes"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// closes replaces the lot of a closing.
func (w *world) closes(d *chain.Draft, s State, t Terms, award uint64) {
	u := w.lotIn(1, 0, s, t)
	d.Inputs[0].UTxO = u
	d.Mint[0].Assets = map[string]int64{w.Token(jobID(t.pack()), s).Name: -1}
	act(Action{Kind: KindClose, Terms: t, AwardUNTX: award})(w, d)
	own, theirs := w.age(Lot{State: s, Lovelace: ada}, t).lovelace()
	d.Outputs = []chain.Output{w.payout(w.requester.Address, max(theirs, ada), u.Value.Of(ntx)-award), w.payout(w.addresses[0], own, award)}
}

func closeAttacks() attacks {
	all := uint64(price + bond + disputeBond)
	says := func(award int64) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) {
			act(Action{Kind: KindClose, Terms: w.contested, AwardUNTX: uint64(award)})(w, d)
		}
	}
	return attacks{(*world).close, func(w *world) chaintest.Actor { return w.requester }, []attack{
		{"of an open lot", "", func(w *world, d *chain.Draft) { w.closes(d, Open, w.terms, 5) }},
		{"of a committed lot", "", func(w *world, d *chain.Draft) { w.closes(d, Committed, w.terms, price) }},
		{"all to the provider", "", func(w *world, d *chain.Draft) { w.closes(d, Disputed, w.contested, all) }},
		{"all to the requester", "", func(w *world, d *chain.Draft) { w.closes(d, Disputed, w.contested, 0) }},
		{"nobody's signature", "close.requester_signer", nobodySigns},
		{"the provider's signature alone", "close.requester_signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[0].Hash} }},
		{"the requester's signature alone", "close.provider_signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		{"another provider's signature", "close.provider_signer", func(w *world, d *chain.Draft) {
			d.Signers = []chain.KeyHash{w.requester.Hash, w.providers[1].Hash}
		}},
		{"more than all", "close.award", says(int64(all) + 1)},
		{"less than nothing", "close.award", says(-1)},
		{"another split than said", "close.requester", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 1, 1) }},
		{"the provider one short", "close.provider", output(1, more(-1))},
		{"the provider's lovelace short", "close.provider", output(1, coin(-1))},
		{"the requester's lovelace short", "close.requester", output(0, coin(-1))},
		{"lovelace surplus", "", output(0, coin(1))},
		{"to another requester", "close.requester", output(0, toStranger)},
		{"to another provider", "close.provider", output(1, toStranger)},
		{"no outputs", "close.output", func(_ *world, d *chain.Draft) { d.Outputs = nil }},
		{"token kept", "close.burn", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Token(w.otherID(), Open).Name: 1}
		}},
		{"a mint beside the burn", "close.burn", func(w *world, d *chain.Draft) { mints(w.Token(w.job, Committed), 1)(w, d) }},
		{"a lot of another job", "close.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Disputed, w.otherContested(1))
			w.balanceTokens(d)
		}},
		{"other terms, whose requester signs", "close.token", func(w *world, d *chain.Draft) {
			t := w.contested
			t.Requester = w.stranger.Address
			act(Action{Kind: KindClose, Terms: t, AwardUNTX: price / 2})(w, d)
			d.Signers = []chain.KeyHash{w.stranger.Hash, w.providers[0].Hash}
		}},
		{"two lots", "items.one", func(w *world, d *chain.Draft) { w.spend(d, w.lotIn(2, 0, Disputed, w.otherContested(1)), w.StubScript) }},
	}}
}

// pays changes the vouchers of a redemption.
func pays(f func(w *world, es []Earning) []Earning) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		a, err := DecodeAction(d.Mint[0].Redeemer, w.Network)
		if err != nil {
			panic(err)
		}
		a.Earned = f(w, a.Earned)
		act(a)(w, d)
	}
}

// forged is a voucher of the first lot that was signed for something else.
func forged(f func(*world, *Voucher) *Contracts) func(*world, *chain.Draft) {
	return pays(func(w *world, es []Earning) []Earning {
		v := w.voucher(w.contestedJob(), price/2)
		c := f(w, &v)
		es[0].Signature = sign(signer("voucher"), v.message(c))
		return es
	})
}

func redeemAttacks() attacks {
	ofNetwork := func(w *world, f func(*Contracts)) *Contracts {
		c := *w.Contracts
		f(&c)
		return &c
	}
	return attacks{(*world).redeem, func(w *world) chaintest.Actor { return w.providers[0] }, append(settling("redeem"),
		attack{"nobody's signature", "redeem.signer", nobodySigns},
		attack{"the requester's signature", "redeem.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		attack{"one NTX short", "redeem.payout", output(0, more(-1))},
		attack{"one NTX more", "redeem.payout", output(0, more(1))},
		attack{"the requester's rest short", "redeem.requester", output(1, more(-1))},
		attack{"one requester's output for two", "redeem.requester", func(_ *world, d *chain.Draft) { d.Outputs = d.Outputs[:2] }},
		attack{"the rest to another", "redeem.requester", output(2, toStranger)},
		attack{"lovelace short", "redeem.payout", output(0, coin(-1))},
		attack{"lovelace surplus", "", output(0, coin(1))},
		attack{"no outputs", "redeem.requester", func(_ *world, d *chain.Draft) { d.Outputs = nil }},
		attack{"paid to another who signs", "redeem.provider", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = w.stranger.Address
			d.Signers = []chain.KeyHash{w.stranger.Hash}
		}},
		attack{"another provider's lot among them", "redeem.provider", func(w *world, d *chain.Draft) {
			d.Inputs[1].UTxO = w.lotIn(2, 1, Committed, w.otherContested(1))
		}},
		attack{"a disputed lot", "redeem.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Disputed, w.contested)
			w.balanceTokens(d)
		}},
		attack{"a job without a voucher key", "redeem.terms", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Open, w.terms)
			w.balanceTokens(d)
			pays(func(w *world, es []Earning) []Earning { es[0].Terms = w.terms; return es })(w, d)
		}},
		attack{"a job of other terms", "redeem.token", pays(func(w *world, es []Earning) []Earning { es[0].Terms = w.otherContested(9); return es })},
		attack{"more than the price", "redeem.amount", pays(func(w *world, es []Earning) []Earning {
			v := w.voucher(w.contestedJob(), price+1)
			es[0].CumulativeUNTX, es[0].Signature = v.CumulativeUNTX, v.Signature
			return es
		})},
		attack{"less than nothing", "redeem.amount", pays(func(_ *world, es []Earning) []Earning { es[0].CumulativeUNTX = 1<<64 - 1; return es })},
		attack{"more than was signed", "redeem.signature", pays(func(_ *world, es []Earning) []Earning { es[0].CumulativeUNTX++; return es })},
		attack{"a voucher of the provider's own", "redeem.signature", pays(func(w *world, es []Earning) []Earning {
			es[0].Signature = sign(w.providers[0].Key, w.voucher(w.contestedJob(), price/2).message(w.Contracts))
			return es
		})},
		attack{"a sibling's voucher", "redeem.signature", forged(func(w *world, v *Voucher) *Contracts { v.Provider = w.providers[1].Hash; return w.Contracts })},
		attack{"a voucher of another job", "redeem.signature", forged(func(w *world, v *Voucher) *Contracts { v.Job = w.job; return w.Contracts })},
		attack{"a voucher of another network", "redeem.signature", forged(func(w *world, _ *Voucher) *Contracts {
			return ofNetwork(w, func(c *Contracts) { c.Network.Magic++ })
		})},
		attack{"a voucher of other contracts", "redeem.signature", forged(func(w *world, _ *Voucher) *Contracts {
			return ofNetwork(w, func(c *Contracts) { c.Policy[0]++ })
		})},
		attack{"a verdict in the place of a voucher", "redeem.signature", pays(func(w *world, es []Earning) []Earning {
			es[0].Signature = sign(signer("voucher"), w.verdictMessage(Lot{}, price/2, 0, 0))
			return es
		})},
		attack{"vouchers in another order", "redeem.token", pays(func(_ *world, es []Earning) []Earning { slices.Reverse(es); return es })},
		attack{"a voucher missing", "redeem.count", pays(func(_ *world, es []Earning) []Earning { return es[:2] })},
		attack{"no vouchers", "redeem.count", pays(func(*world, []Earning) []Earning { return nil })},
		attack{"a voucher too many", "redeem.left_over", pays(func(_ *world, es []Earning) []Earning { return append(es, es[0]) })},
		attack{"a voucher twice, for two lots", "redeem.token", pays(func(_ *world, es []Earning) []Earning { es[1] = es[0]; return es })},
		attack{"a signature of 63 bytes", "redeem.signature", func(_ *world, d *chain.Draft) {
			d.Mint[0].Redeemer = shorten(d.Mint[0].Redeemer)
		}},
	)}
}

// shorten takes a byte from the last signature in a redeemer.
func shorten(b []byte) []byte {
	i := bytes.LastIndex(b, []byte{0x58, 0x40})
	c := bytes.Clone(b[:i])
	c = append(append(c, 0x58, 0x3f), b[i+2:i+65]...)
	return append(c, b[i+66:]...)
}
