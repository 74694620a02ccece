package plutus

import (
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func commitAttacks() attacks {
	return attacks{(*world).commit, func(w *world) chaintest.Actor { return w.providers[0] }, []attack{
		{"nobody's signature", "commit.signer", nobodySigns},
		{"the requester's signature", "commit.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		{"another provider's signature", "commit.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[1].Hash} }},
		{"a slot too late", "commit.time", func(w *world, d *chain.Draft) { w.ends(d, w.commitBy+1) }},
		{"claim time from another range", "commit.lot", func(w *world, d *chain.Draft) { w.ends(d, w.commitBy) }},
		{"claim time a second early", "commit.lot", func(w *world, d *chain.Draft) { recommit(w, d, [32]byte{9}, -1000) }},
		{"another root than the redeemer's", "commit.lot", func(w *world, d *chain.Draft) { recommit(w, d, [32]byte{8}, 0) }},
		{"a long root", "commit.root", func(w *world, d *chain.Draft) { rootOf(w, d, 33) }},
		{"a short root", "commit.root", func(w *world, d *chain.Draft) { rootOf(w, d, 31) }},
		{"no root", "commit.root", func(w *world, d *chain.Draft) { rootOf(w, d, 0) }},
		{"NTX kept back", "commit.lot", output(0, more(-1))},
		{"NTX added", "commit.lot", output(0, more(1))},
		{"lovelace kept back", "commit.lovelace", output(0, coin(-1))},
		{"lovelace added", "", output(0, coin(1))},
		{"another address", "commit.lot", output(0, func(o *chain.Output) { o.Address = chaintest.NewActor("stranger").Address })},
		{"a stake part on our address", "commit.lot", func(w *world, d *chain.Draft) { d.Outputs[0].Address = w.staked() }},
		{"a reference script", "commit.lot", output(0, func(o *chain.Output) { o.Script = chaintest.Accepts(1); o.Value.Coin += 3_000_000 })},
		{"the open datum stays", "commit.lot", func(_ *world, d *chain.Draft) { d.Outputs[0].Datum = d.Inputs[0].Datum }},
		{"another provider in the datum", "commit.lot", func(w *world, d *chain.Draft) {
			l := Lot{State: Committed, Provider: w.addresses[1], Root: [32]byte{9}, ClaimAt: ClaimAt(w.terms, d.Until, w.clock)}
			d.Outputs[0].Datum, _ = l.datum()
		}},
		{"no lot among the outputs", "commit.lot", output(0, func(o *chain.Output) { *o = chain.Output{Address: o.Address, Value: chain.Coins(o.Value.Coin)} })},
		{"committed before", "commit.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.terms)
			w.give(d, w.Token(w.job, Open))
		}},
		{"a second token minted", "commit.mint", func(w *world, d *chain.Draft) { mints(w.Token(w.job, Committed), 1)(w, d) }},
		{"a token of another state", "commit.mint", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Token(w.job, Open).Name: -1, w.Token(w.job, 2).Name: 1}
			d.Outputs[0].Value = chain.Coins(ada).With(ntx, price+bond).With(w.Token(w.job, 2), 1)
		}},
		{"other terms", "commit.mint", func(w *world, d *chain.Draft) {
			act(Action{Kind: KindCommit, Terms: w.otherJob(7), Root: [32]byte{9}})(w, d)
		}},
		{"other terms and their tokens", "commit.token", func(w *world, d *chain.Draft) {
			o := w.otherJob(7)
			act(Action{Kind: KindCommit, Terms: o, Root: [32]byte{9}})(w, d)
			id, _ := o.JobID()
			d.Mint[0].Assets = map[string]int64{w.Token(id, Open).Name: -1, w.Token(id, Committed).Name: 1}
			d.Outputs[0].Value = chain.Coins(ada).With(ntx, price+bond).With(w.Token(id, Committed), 1)
			w.give(d, w.Token(id, Open))
		}},
		{"two lots", "items.one", func(w *world, d *chain.Draft) { w.spend(d, w.lotIn(2, 0, Open, w.otherJob(1)), w.StubScript) }},
		{"no lot", "items.one", func(w *world, d *chain.Draft) {
			d.Inputs = nil
			w.give(d, w.Token(w.job, Open))
		}},
	}}
}

func approveAttacks() attacks {
	return attacks{(*world).approve, func(w *world) chaintest.Actor { return w.requester }, append(settling("approve"),
		attack{"nobody's signature", "approve.signer", nobodySigns},
		attack{"a provider's signature", "approve.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[0].Hash} }},
		attack{"one NTX short", "approve.payout", output(0, more(-1))},
		attack{"one NTX more", "approve.payout", output(2, more(1))},
		attack{"NTX from one payout to another", "approve.payout", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 1, 5) }},
		attack{"lovelace short", "approve.payout", output(1, coin(-1))},
		attack{"lovelace surplus", "", output(1, coin(1))},
		attack{"paid to another", "approve.payout", output(0, toStranger)},
		attack{"stake key dropped", "approve.payout", func(w *world, d *chain.Draft) { d.Outputs[1].Address = w.providers[1].Address }},
		attack{"order of payouts", "approve.payout", func(_ *world, d *chain.Draft) { d.Outputs[0], d.Outputs[1] = d.Outputs[1], d.Outputs[0] }},
		attack{"one payout for two lots", "approve.payout", func(_ *world, d *chain.Draft) { d.Outputs = append(d.Outputs[:1], d.Outputs[2:]...) }},
		attack{"a datum on a payout", "approve.payout", output(0, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
		attack{"a script on a payout", "approve.payout", output(0, func(o *chain.Output) { o.Script = chaintest.Accepts(1) })},
		attack{"another asset in a payout", "approve.payout", func(w *world, d *chain.Draft) {
			x := chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: "dust"}
			w.give(d, x)
			d.Outputs[0].Value = d.Outputs[0].Value.With(x, 1)
		}},
		attack{"a lot of a sibling job", "approve.token", func(w *world, d *chain.Draft) {
			d.Inputs[2].UTxO = w.lotIn(3, 2, Open, w.otherJob(1))
			w.balanceTokens(d)
		}},
		attack{"other terms, whose requester signs", "approve.token", func(w *world, d *chain.Draft) {
			t := w.terms
			t.Requester = w.stranger.Address
			act(Action{Kind: KindApprove, Terms: t})(w, d)
			d.Signers = []chain.KeyHash{w.stranger.Hash}
		}},
		attack{"a disputed lot", "approve.token", func(w *world, d *chain.Draft) {
			d.Inputs[2].Value = chain.Coins(ada).With(ntx, price+bond).With(w.Token(w.job, 2), 1)
			w.balanceTokens(d)
		}},
	)}
}

func claimAttacks() attacks {
	return attacks{(*world).claim, func(w *world) chaintest.Actor { return w.providers[0] }, append(settling("claim"),
		attack{"nobody's signature", "claim.signer", nobodySigns},
		attack{"the requester's signature", "claim.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		attack{"a slot too early", "claim.time", func(w *world, d *chain.Draft) { d.From, d.Until = w.moments.claim-1, w.moments.claim+500 }},
		attack{"one NTX short", "claim.payout", output(0, more(-1))},
		attack{"one NTX more", "claim.payout", output(0, more(1))},
		attack{"one lot's payout for three", "claim.payout", func(w *world, d *chain.Draft) { d.Outputs[0] = w.payout(w.addresses[0], ada*3, price+bond) }},
		attack{"lovelace short", "claim.payout", output(0, coin(-1))},
		attack{"lovelace surplus", "", output(0, coin(7))},
		attack{"paid to another who signs", "claim.provider", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = w.stranger.Address
			d.Signers = []chain.KeyHash{w.stranger.Hash}
		}},
		attack{"paid to a stake key of one's own choice", "claim.provider", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = chain.Base(w.Network, w.providers[0].Hash, w.stranger.Hash)
		}},
		attack{"paid to a script", "claim.signer", func(w *world, d *chain.Draft) { d.Outputs[0].Address = w.Address }},
		attack{"another provider's lot among them", "claim.provider", func(w *world, d *chain.Draft) {
			d.Inputs[1].UTxO = w.lotIn(2, 1, Committed, w.otherJob(1))
			w.balanceTokens(d)
		}},
		attack{"an open lot among them", "claim.state", func(w *world, d *chain.Draft) {
			d.Inputs[1].UTxO = w.lotIn(2, 0, Open, w.otherJob(1))
			w.balanceTokens(d)
		}},
		attack{"no output of its own", "claim.signer", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = w.stranger.Address
		}},
	)}
}

func refundAttacks() attacks {
	return attacks{(*world).refund, func(w *world) chaintest.Actor { return w.stranger }, append(settling("refund"),
		attack{"a slot too early", "refund.time", func(w *world, d *chain.Draft) { d.From, d.Until = w.commitBy-1, w.commitBy+500 }},
		attack{"too much to the requester", "refund.provider", func(w *world, d *chain.Draft) { w.moveNTX(d, 1, 0, 1) }},
		attack{"too much to a provider", "refund.provider", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 2, 1) }},
		attack{"the submitter keeps one NTX", "refund.requester", output(0, more(-1))},
		attack{"to another requester", "refund.requester", output(0, toStranger)},
		attack{"a stake key for the requester", "refund.requester", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = chain.Base(w.Network, w.requester.Hash, w.stranger.Hash)
		}},
		attack{"lovelace short", "refund.provider", output(1, coin(-1))},
		attack{"lovelace surplus", "", output(1, coin(1))},
		attack{"more lovelace for the requester", "", output(0, coin(5_000_000))},
		attack{"order of payouts", "refund.provider", func(_ *world, d *chain.Draft) { d.Outputs[1], d.Outputs[2] = d.Outputs[2], d.Outputs[1] }},
		attack{"one payout for two lots", "refund.provider", func(_ *world, d *chain.Draft) { d.Outputs = append(d.Outputs[:1], d.Outputs[2:]...) }},
		attack{"the price of one lot kept", "refund.requester", output(0, more(-price))},
		attack{"a committed lot", "refund.token", func(w *world, d *chain.Draft) {
			d.Inputs[2].UTxO = w.lotIn(3, 2, Committed, w.terms)
			w.balanceTokens(d)
		}},
		attack{"a lot of a sibling job", "refund.token", func(w *world, d *chain.Draft) {
			d.Inputs[2].UTxO = w.lotIn(3, 2, Open, w.otherJob(1))
			w.balanceTokens(d)
		}},
		attack{"other terms with an earlier deadline", "refund.token", func(w *world, d *chain.Draft) {
			t := w.terms
			t.CommitBy--
			act(Action{Kind: KindRefund, Terms: t})(w, d)
		}},
		attack{"no outputs", "refund.provider", func(_ *world, d *chain.Draft) { d.Outputs = nil }},
		attack{"a datum on the requester's output", "refund.requester", output(0, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
	)}
}

func declineAttacks() attacks {
	return attacks{(*world).decline, func(w *world) chaintest.Actor { return w.providers[0] }, []attack{
		{"nobody's signature", "decline.signer", nobodySigns},
		{"the requester's signature", "decline.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		{"a slot too late", "decline.time", func(w *world, d *chain.Draft) { w.ends(d, w.declineBy+1) }},
		{"at the last moment", "", func(w *world, d *chain.Draft) { w.ends(d, w.declineBy) }},
		{"price short", "decline.requester", output(0, more(-1))},
		{"price kept", "decline.requester", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 1, price) }},
		{"more than the price", "decline.requester", output(0, more(1))},
		{"to another requester", "decline.requester", output(0, toStranger)},
		{"bond short", "decline.provider", output(1, more(-1))},
		{"lovelace short", "decline.provider", output(1, coin(-1))},
		{"lovelace surplus", "", output(1, coin(1))},
		{"to another provider", "decline.provider", output(1, toStranger)},
		{"the provider's change is its payout", "", func(_ *world, d *chain.Draft) { d.Outputs = d.Outputs[:1] }},
		{"no outputs", "decline.output", func(_ *world, d *chain.Draft) { d.Outputs = nil }},
		{"token kept", "decline.burn", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Token(w.otherID(), Open).Name: 1}
		}},
		{"a mint beside the burn", "decline.burn", func(w *world, d *chain.Draft) { mints(w.Token(w.job, Committed), 1)(w, d) }},
		{"a committed lot", "decline.burn", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.terms)
			w.balanceTokens(d)
		}},
		{"a committed lot and an open token from elsewhere", "decline.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.terms)
			w.give(d, w.Token(w.job, Open))
		}},
		{"two lots", "items.one", func(w *world, d *chain.Draft) { w.spend(d, w.lotIn(2, 0, Open, w.otherJob(1)), w.StubScript) }},
		{"other terms", "decline.burn", func(w *world, d *chain.Draft) { act(Action{Kind: KindDecline, Terms: w.otherJob(7)})(w, d) }},
	}}
}

// settling is what is tried on the transitions that take many lots.
func settling(kind string) []attack {
	unpaid := map[string]string{"approve": "approve.payout", "claim": "claim.payout", "refund": "refund.provider", "redeem": "redeem.count"}[kind]
	kept, none := unpaid, kind+".burn"
	if kind == "redeem" {
		kept, none = "redeem.payout", "redeem.left_over"
	}
	return []attack{
		{"a token not burned", kind + ".burn", func(w *world, d *chain.Draft) {
			for name := range d.Mint[0].Assets {
				if d.Mint[0].Assets[name]++; d.Mint[0].Assets[name] == 0 {
					delete(d.Mint[0].Assets, name)
				}
				break
			}
		}},
		{"a mint among the burns", kind + ".burn", func(w *world, d *chain.Draft) { mints(w.Token(w.otherID(), Open), 1)(w, d) }},
		{"a mint and one more burn", kind + ".burn", func(w *world, d *chain.Draft) {
			w.give(d, w.Token(w.otherID(), Open))
			mints(w.Token(w.otherID(), Open), -1)(w, d)
			mints(w.Token(w.otherID(), Committed), 1)(w, d)
		}},
		{"no lot at all", none, func(w *world, d *chain.Draft) {
			d.Inputs = nil
			w.give(d, w.Token(w.otherID(), Open))
			d.Mint[0].Assets = map[string]int64{w.Token(w.otherID(), Open).Name: -1}
		}},
		{"a look-alike in the place of a lot", "items.token", func(w *world, d *chain.Draft) {
			last := len(d.Inputs) - 1
			d.Inputs[last].UTxO = w.fake(byte(last+1), last, Open, false)
			w.balanceTokens(d)
		}},
		{"a look-alike without a datum in the place of a lot", "items.datum", func(w *world, d *chain.Draft) {
			last := len(d.Inputs) - 1
			d.Inputs[last].UTxO = w.fake(byte(last+1), last, Open, false)
			d.Inputs[last].Datum = nil
			w.balanceTokens(d)
		}},
		{"one lot more, unpaid", unpaid, func(w *world, d *chain.Draft) {
			s, t := Open, w.terms
			if kind == "claim" {
				s, t = Committed, w.otherJob(9)
			}
			w.spend(d, w.lotIn(0xf0, 0, s, t), w.StubScript)
			w.balanceTokens(d)
		}},
		{"a lot with surplus lovelace, kept", kept, func(_ *world, d *chain.Draft) {
			d.Inputs[0].Value.Coin += 5
		}},
		{"a lot's datum in another encoding", "", func(_ *world, d *chain.Draft) {
			d.Inputs[0].Datum = definite(d.Inputs[0].Datum)
		}},
		{"outputs in front", map[string]string{"approve": "approve.payout", "claim": "claim.signer", "refund": "refund.provider", "redeem": "redeem.signer"}[kind], func(w *world, d *chain.Draft) {
			d.Outputs = slices.Insert(d.Outputs, 0, w.payout(w.stranger.Address, 2_000_000, 0))
		}},
	}
}
