package plutus

import (
	"bytes"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func openAttacks() attacks {
	lotDatum := func(d data.PlutusData) func(*world, *chain.Draft) {
		return output(0, func(o *chain.Output) { o.Datum = raw(data.NewConstr(0, d)) })
	}
	provider := func(w *world) data.PlutusData { return key(w.providers[0].Hash) }
	none := data.NewConstr(1)
	return attacks{(*world).open, func(w *world) chaintest.Actor { return w.requester }, []attack{
		{"another's lot is spent beside", "open.alone", func(w *world, d *chain.Draft) {
			w.spend(d, w.lotIn(0xee, 1, Open, w.otherJob(1)), w.StubScript)
		}},
		{"seed not spent", "open.seed", func(_ *world, d *chain.Draft) { d.Inputs = d.Inputs[1:] }},
		{"another output of the seed's transaction", "open.seed", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.requester.Coin(101, chain.Coins(5_000_000))
		}},
		{"valid until decline_by", "open.decline_by", func(w *world, d *chain.Draft) { w.ends(d, w.declineBy) }},
		{"valid until just before decline_by", "", func(w *world, d *chain.Draft) { w.ends(d, w.declineBy-1) }},
		{"a token of another state", "open.mint", func(w *world, d *chain.Draft) { w.rename(d, w.Token(w.job, Committed)) }},
		{"a token of another job", "open.mint", func(w *world, d *chain.Draft) { w.rename(d, w.Token(w.otherID(), Open)) }},
		{"a token of the job alone", "open.mint", func(w *world, d *chain.Draft) {
			w.rename(d, chain.AssetID{Policy: w.Policy, Name: string(w.job[:])})
		}},
		{"a second kind of token", "open.mint", func(w *world, d *chain.Draft) { mints(w.Token(w.otherID(), Open), 1)(w, d) }},
		{"a burn", "open.mint", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Token(w.job, Open).Name: -1}
			d.Outputs = nil
			w.give(d, w.Token(w.job, Open))
		}},
		{"one token too many", "open.datum", func(w *world, d *chain.Draft) { mints(w.Token(w.job, Open), 1)(w, d) }},
		{"two tokens in a lot", "open.lot", func(w *world, d *chain.Draft) {
			d.Outputs[0].Value = d.Outputs[0].Value.With(w.Token(w.job, Open), 1)
			d.Outputs = append(d.Outputs[:2], d.Outputs[3:]...)
		}},
		{"a lot at another script", "open.lot", output(0, func(o *chain.Output) {
			o.Address = chain.ScriptAddress(chaintest.Network(), chain.ScriptHash{9})
		})},
		{"a lot at a key's address", "open.lot", output(0, toStranger)},
		{"a stake part on our address", "open.lot", func(w *world, d *chain.Draft) { d.Outputs[0].Address = w.staked() }},
		{"a reference script in a lot", "open.lot", output(0, func(o *chain.Output) { o.Script = chaintest.Accepts(1) })},
		{"no datum", "open.datum", output(0, func(o *chain.Output) { o.Datum = nil })},
		{"born committed", "open.datum", output(0, func(o *chain.Output) {
			l := Lot{State: Committed, Provider: chaintest.NewActor("provider0").Address, ClaimAt: 1}
			o.Datum, _ = l.datum()
		})},
		{"a datum of two fields", "open.lot", func(w *world, d *chain.Draft) {
			d.Outputs[0].Datum = raw(data.NewConstr(0, addressData(w.addresses[0]), integer(1)))
		}},
		{"a provider's address of three fields", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, provider(w), none, none))(w, d)
		}},
		{"a provider's key of three fields", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, data.NewConstr(0, data.NewByteString(w.providers[0].Hash[:]), none), none))(w, d)
		}},
		{"a provider that is a script", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, data.NewConstr(1, data.NewByteString(w.Stub[:])), none))(w, d)
		}},
		{"a provider's key of 29 bytes", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, data.NewConstr(0, data.NewByteString(make([]byte, 29))), none))(w, d)
		}},
		{"a provider's key of no bytes", "open.provider", lotDatum(data.NewConstr(0, data.NewConstr(0, data.NewByteString(nil)), none))},
		{"a provider's key that is a number", "open.provider", lotDatum(data.NewConstr(0, data.NewConstr(0, integer(1)), none))},
		{"a stake key of 27 bytes", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, provider(w), data.NewConstr(0, data.NewConstr(0, data.NewConstr(0, data.NewByteString(make([]byte, 27)))))))(w, d)
		}},
		{"a stake script", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, provider(w), data.NewConstr(0, data.NewConstr(0, data.NewConstr(1, data.NewByteString(make([]byte, 28)))))))(w, d)
		}},
		{"a stake pointer", "open.provider", func(w *world, d *chain.Draft) {
			lotDatum(data.NewConstr(0, provider(w), data.NewConstr(0, data.NewConstr(1, integer(1), integer(2), integer(3)))))(w, d)
		}},
		{"a datum with definite lengths", "", func(_ *world, d *chain.Draft) { d.Outputs[0].Datum = definite(d.Outputs[0].Datum) }},
		{"no NTX", "open.value", func(_ *world, d *chain.Draft) {
			delete(d.Outputs[0].Value.Assets, ntx)
		}},
		{"NTX by another name", "open.lot", func(w *world, d *chain.Draft) {
			x := chain.AssetID{Policy: ntx.Policy, Name: "xNTX"}
			u := w.stranger.Coin(60, chain.Coins(3_000_000).With(x, 1_000_000_000))
			d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
			delete(d.Outputs[0].Value.Assets, ntx)
			d.Outputs[0].Value = d.Outputs[0].Value.With(x, price+bond)
		}},
		{"two kinds of NTX", "open.value", func(w *world, d *chain.Draft) {
			x := chain.AssetID{Policy: ntx.Policy, Name: "xNTX"}
			w.give(d, x)
			d.Outputs[0].Value = d.Outputs[0].Value.With(x, 1)
		}},
		{"another asset in a lot", "open.lot", func(w *world, d *chain.Draft) {
			x := chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: "dust"}
			w.give(d, x)
			d.Outputs[0].Value = d.Outputs[0].Value.With(x, 1)
		}},
		{"a sum that no price and its bond make", "open.bond", output(0, more(-1))},
		{"another price and its bond", "", output(0, more(6))},
		{"lovelace short", "open.lot_lovelace", output(0, coin(-1))},
		{"lovelace surplus", "", output(0, coin(1))},
		{"descending keys", "open.ascending", func(_ *world, d *chain.Draft) { d.Outputs[0], d.Outputs[1] = d.Outputs[1], d.Outputs[0] }},
		{"two lots of one provider", "open.ascending", func(_ *world, d *chain.Draft) { d.Outputs[1].Datum = d.Outputs[0].Datum }},
		{"a lot behind the change", "open.datum", func(_ *world, d *chain.Draft) { d.Outputs[2], d.Outputs[3] = d.Outputs[3], d.Outputs[2] }},
	}}
}

// rename gives the lots of an opening another token.
func (w *world) rename(d *chain.Draft, id chain.AssetID) {
	d.Mint[0].Assets = map[string]int64{id.Name: int64(len(w.providers))}
	for i := range w.providers {
		v := chain.Coins(ada).With(ntx, price+bond)
		d.Outputs[i].Value = v.With(id, 1)
	}
}

// reterm opens with other packed terms, the tokens and all.
func (w *world) reterm(d *chain.Draft, packed []byte) {
	if d.Mint[0].Policy == w.Slices.Policy {
		w.retermSlices(d, packed)
		return
	}
	d.Mint[0].Redeemer = raw(data.NewConstr(0, data.NewByteString(packed)))
	w.rename(d, w.Token(jobID(packed), Open))
}

// termsAttacks opens with terms that the policy must not take.
func termsAttacks() attacks {
	with := func(name, want string, f func(*world, *Terms)) attack {
		return attack{name, want, func(w *world, d *chain.Draft) {
			t := w.terms
			f(w, &t)
			w.reterm(d, t.pack())
		}}
	}
	bend := func(name, want string, f func([]byte) []byte) attack {
		return attack{name, want, func(w *world, d *chain.Draft) { w.reterm(d, f(w.terms.pack())) }}
	}
	upper := func(w *world) chain.Time { return w.at(w.moments.open + w.span) }
	return attacks{(*world).open, func(w *world) chaintest.Actor { return w.requester }, []attack{
		bend("a byte short", "open.terms", func(b []byte) []byte { return b[:plainSize-1] }),
		bend("a byte long", "open.terms", func(b []byte) []byte { return append(b, 0) }),
		bend("empty", "open.terms", func([]byte) []byte { return nil }),
		bend("another version", "open.terms", func(b []byte) []byte { b[0] = 2; return b }),
		bend("an unknown kind of requester", "open.terms", func(b []byte) []byte { b[35] = 2; return b }),
		bend("a stake key beside the kind without", "open.terms", func(b []byte) []byte { b[91] = 1; return b }),
		with("another requester", "", func(_ *world, t *Terms) { t.Requester = chaintest.NewActor("x").Address }),
		with("decline_by in the range", "open.decline_by", func(w *world, t *Terms) { t.DeclineBy = upper(w) }),
		with("decline_by just after the range", "", func(w *world, t *Terms) { t.DeclineBy = upper(w) + 1 }),
		with("decline_by after commit_by", "open.commit_by", func(_ *world, t *Terms) { t.CommitBy = t.DeclineBy - 1 }),
		with("decline_by equal to commit_by", "", func(_ *world, t *Terms) { t.CommitBy = t.DeclineBy }),
		with("commit_by at the horizon", "", func(w *world, t *Terms) { t.CommitBy = upper(w) + chain.Time(w.Params.MaxHorizonMS) }),
		with("commit_by beyond the horizon", "open.horizon", func(w *world, t *Terms) { t.CommitBy = upper(w) + chain.Time(w.Params.MaxHorizonMS) + 1 }),
		with("commit_by at the end of time", "open.horizon", func(_ *world, t *Terms) { t.CommitBy = -1 }),
		with("commit_by at the shortest horizon", "", func(w *world, t *Terms) {
			t.CommitBy = upper(w) + chain.Time(w.Params.MinHorizonMS)
			t.DeclineBy = t.CommitBy
		}),
		with("commit_by within the shortest horizon", "open.horizon", func(w *world, t *Terms) {
			t.CommitBy = upper(w) + chain.Time(w.Params.MinHorizonMS) - 1
			t.DeclineBy = t.CommitBy
		}),
		with("the shortest review", "", func(w *world, t *Terms) { t.ReviewMS = w.Params.MinReviewMS }),
		with("a shorter review", "open.review", func(w *world, t *Terms) { t.ReviewMS = w.Params.MinReviewMS - 1 }),
		with("the longest review", "", func(w *world, t *Terms) { t.ReviewMS = w.Params.MaxReviewMS }),
		with("a longer review", "open.review", func(w *world, t *Terms) { t.ReviewMS = w.Params.MaxReviewMS + 1 }),
		with("a review for ever", "open.review", func(_ *world, t *Terms) { t.ReviewMS = 1<<64 - 1 }),
		with("a penalty above the bond", "open.rates", func(_ *world, t *Terms) { t.PenaltyBps = bondBps + 1 }),
		with("a penalty of the whole bond", "", func(_ *world, t *Terms) { t.PenaltyBps = bondBps }),
		with("a bond above the price", "open.rates", func(_ *world, t *Terms) { t.BondBps = wholeBps + 1 }),
		with("another bond rate", "open.bond", func(_ *world, t *Terms) { t.BondBps = 9999 }),
		with("the least lovelace allowed", "", func(w *world, t *Terms) { t.LotLovelace = w.Params.MinLotLovelace }),
		with("less lovelace than allowed", "open.lovelace", func(w *world, t *Terms) { t.LotLovelace = w.Params.MinLotLovelace - 1 }),
		with("more lovelace than the lots hold", "open.lot_lovelace", func(_ *world, t *Terms) { t.LotLovelace = ada + 1 }),
		with("a seed that is not spent", "open.seed", func(_ *world, t *Terms) { t.Seed.Index++ }),
		{"terms whose hash is not the token's", "open.mint", func(w *world, d *chain.Draft) {
			b := bytes.Clone(w.terms.pack())
			b[159] ^= 1
			d.Mint[0].Redeemer = raw(data.NewConstr(0, data.NewByteString(b)))
		}},
	}}
}
