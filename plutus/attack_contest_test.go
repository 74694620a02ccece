package plutus

import (
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// contestedAttacks opens with terms of disputes that the policy must not take.
func contestedAttacks() attacks {
	with := func(name, want string, f func(*world, *Disputes)) attack {
		return attack{name, want, func(w *world, d *chain.Draft) {
			t := w.contested
			f(w, &t.Disputes)
			w.reterm(d, t.pack())
		}}
	}
	bend := func(name, want string, f func([]byte) []byte) attack {
		return attack{name, want, func(w *world, d *chain.Draft) { w.reterm(d, f(w.contested.pack())) }}
	}
	keys := func(n int) (k []PublicKey) {
		for i := range n {
			k = append(k, PublicKey{byte(i + 1)})
		}
		return k
	}
	return attacks{(*world).openContested, func(w *world) chaintest.Actor { return w.requester }, []attack{
		{"with a voucher key alone", "", func(w *world, d *chain.Draft) {
			t := w.contested
			t.Disputes = Disputes{}
			w.reterm(d, t.pack())
		}},
		bend("a byte short", "open.terms", func(b []byte) []byte { return b[:len(b)-1] }),
		bend("a byte long", "open.terms", func(b []byte) []byte { return append(b, 0) }),
		bend("no attesters", "open.terms", func(b []byte) []byte { return b[:disputeSize] }),
		bend("no disputes after all", "open.terms", func(b []byte) []byte { return b[:voucherSize] }),
		bend("a form beyond the last", "open.terms", func(b []byte) []byte { b[35] = 6; return b }),
		bend("a form of vouchers alone", "open.terms", func(b []byte) []byte { b[35] = formVouchers; return b }),
		bend("a stake key beside the form without", "open.terms", func(b []byte) []byte { b[91] = 1; return b }),
		with("the most attesters", "", func(_ *world, t *Disputes) { t.Attesters, t.Threshold = NewKeys(keys(MaxAttesters)...), 5 }),
		with("one attester more", "open.terms", func(_ *world, t *Disputes) { t.Attesters, t.Threshold = NewKeys(keys(MaxAttesters+1)...), 9 }),
		with("an attester twice", "open.attesters", func(_ *world, t *Disputes) { t.Attesters = NewKeys(keys(1)[0], keys(1)[0], keys(2)[1]) }),
		with("attesters in descending order", "open.attesters", func(_ *world, t *Disputes) {
			t.Attesters = t.Attesters[64:] + t.Attesters[32:64] + t.Attesters[:32]
		}),
		with("one attester of three", "open.threshold", func(_ *world, t *Disputes) { t.Threshold = 1 }),
		with("no attester of three", "open.threshold", func(_ *world, t *Disputes) { t.Threshold = 0 }),
		with("two attesters of four", "open.threshold", func(_ *world, t *Disputes) { t.Attesters = NewKeys(keys(4)...) }),
		with("three attesters of four", "", func(_ *world, t *Disputes) { t.Attesters, t.Threshold = NewKeys(keys(4)...), 3 }),
		with("four attesters of three", "open.threshold", func(_ *world, t *Disputes) { t.Threshold = 4 }),
		with("the longest verdict", "", func(w *world, t *Disputes) { t.VerdictMS = w.Params.MaxVerdictMS }),
		with("a longer verdict", "open.verdict", func(w *world, t *Disputes) { t.VerdictMS = w.Params.MaxVerdictMS + 1 }),
		with("the shortest verdict", "", func(w *world, t *Disputes) { t.VerdictMS = w.Params.MinVerdictMS }),
		with("a shorter verdict", "open.verdict", func(w *world, t *Disputes) { t.VerdictMS = w.Params.MinVerdictMS - 1 }),
		with("disputes for nothing", "open.cost", func(_ *world, t *Disputes) { t.CostUNTX = 0 }),
		with("a cost of the whole dispute bond", "", func(_ *world, t *Disputes) { t.BondUNTX = t.CostUNTX }),
		with("a cost above the dispute bond", "open.cost", func(_ *world, t *Disputes) { t.BondUNTX = t.CostUNTX - 1 }),
		with("a share of all", "", func(_ *world, t *Disputes) { t.ShareBps = wholeBps }),
		with("a share of more than all", "open.share", func(_ *world, t *Disputes) { t.ShareBps = wholeBps + 1 }),
		with("forfeits of the whole bond", "", func(_ *world, t *Disputes) { t.CostUNTX = bond - price/10; t.BondUNTX = bond }),
		with("forfeits above the bond", "open.forfeit", func(_ *world, t *Disputes) { t.CostUNTX = bond - price/10 + 1; t.BondUNTX = bond }),
	}}
}

// redispute writes the disputed lot anew.
func redispute(f func(*Lot)) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		l := Lot{State: Disputed, Provider: w.addresses[0], Root: [32]byte{9}, Deadline: Deadline(w.contested, d.Until, w.clock), Own: ada}
		f(&l)
		b, err := l.datum()
		if err != nil {
			panic(err)
		}
		d.Outputs[0].Datum = b
	}
}

func disputeAttacks() attacks {
	return attacks{(*world).dispute, func(w *world) chaintest.Actor { return w.requester }, []attack{
		{"nobody's signature", "dispute.signer", nobodySigns},
		{"the provider's signature", "dispute.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[0].Hash} }},
		{"a slot too late", "dispute.time", func(w *world, d *chain.Draft) {
			w.ends(d, w.moments.claim+1)
			redispute(func(*Lot) {})(w, d)
		}},
		{"at the last moment, with its own deadline", "", func(w *world, d *chain.Draft) {
			w.ends(d, w.moments.claim)
			redispute(func(*Lot) {})(w, d)
		}},
		{"another range's deadline", "dispute.lot", func(w *world, d *chain.Draft) { w.ends(d, w.moments.claim) }},
		{"a deadline a second early", "dispute.lot", redispute(func(l *Lot) { l.Deadline -= 1000 })},
		{"another root", "dispute.lot", redispute(func(l *Lot) { l.Root[0]++ })},
		{"another provider", "dispute.lot", func(w *world, d *chain.Draft) { redispute(func(l *Lot) { l.Provider = w.addresses[1] })(w, d) }},
		{"the provider's lovelace as the requester's", "dispute.lot", redispute(func(l *Lot) { l.Own-- })},
		{"the requester's lovelace as the provider's", "dispute.lot", redispute(func(l *Lot) { l.Own++ })},
		{"without a dispute bond", "dispute.lot", output(0, more(-disputeBond))},
		{"a dispute bond one short", "dispute.lot", output(0, more(-1))},
		{"a dispute bond one more", "dispute.lot", output(0, more(1))},
		{"the requester's lovelace short", "dispute.lovelace", output(0, coin(-1))},
		{"lovelace surplus", "", output(0, coin(1))},
		{"another address", "dispute.lot", output(0, toStranger)},
		{"a stake part on our address", "dispute.lot", func(w *world, d *chain.Draft) { d.Outputs[0].Address = w.staked() }},
		{"a reference script", "dispute.lot", output(0, func(o *chain.Output) { o.Script = chaintest.Accepts(1); o.Value.Coin += 3_000_000 })},
		{"the committed datum stays", "dispute.lot", func(_ *world, d *chain.Draft) { d.Outputs[0].Datum = d.Inputs[0].Datum }},
		{"a token of another state", "dispute.mint", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Token(w.contestedJob(), Committed).Name: -1, w.Token(w.contestedJob(), Open).Name: 1}
			d.Outputs[0].Value = chain.Coins(2*ada).With(ntx, price+bond+disputeBond).With(w.Token(w.contestedJob(), Open), 1)
		}},
		{"a second token minted", "dispute.mint", func(w *world, d *chain.Draft) { mints(w.Token(w.contestedJob(), Disputed), 1)(w, d) }},
		{"an open lot", "dispute.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Open, w.contested)
			w.give(d, w.Token(w.contestedJob(), Committed))
		}},
		{"a lot disputed before", "dispute.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Disputed, w.contested)
			w.give(d, w.Token(w.contestedJob(), Committed))
		}},
		{"another job's committed lot, and this one's token from elsewhere", "dispute.token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.otherContested(1))
			w.give(d, w.Token(w.contestedJob(), Committed))
		}},
		{"a job without disputes", "dispute.terms", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.terms)
			act(Action{Kind: KindDispute, Terms: w.terms})(w, d)
			d.Mint[0].Assets = map[string]int64{w.Token(w.job, Committed).Name: -1, w.Token(w.job, Disputed).Name: 1}
			d.Outputs[0].Value = chain.Coins(2*ada).With(ntx, price+bond).With(w.Token(w.job, Disputed), 1)
			redispute(func(l *Lot) { l.Deadline = w.at(d.Until) })(w, d) // no window, no dispute bond: what such terms would say
		}},
		{"other terms", "dispute.mint", func(w *world, d *chain.Draft) { act(Action{Kind: KindDispute, Terms: w.otherContested(7)})(w, d) }},
		{"two lots", "items.one", func(w *world, d *chain.Draft) {
			w.spend(d, w.lotIn(2, 0, Committed, w.otherContested(1)), w.StubScript)
		}},
		{"no lot among the outputs", "dispute.lot", output(0, func(o *chain.Output) { *o = chain.Output{Address: o.Address, Value: chain.Coins(o.Value.Coin)} })},
	}}
}

// ending is what is tried on the ends of a disputed lot whose outputs pay requester and provider first.
func ending(kind, pays string) []attack {
	alone := "items.one"
	if kind == "verdict" {
		alone = "stakes.redeemers"
	}
	return []attack{
		{"the requester one short", pays + ".requester", output(0, more(-1))},
		{"the requester one more", pays + ".requester", output(0, more(1))},
		{"the requester's lovelace short", pays + ".requester", output(0, coin(-1))},
		{"to another requester", pays + ".requester", output(0, toStranger)},
		{"the provider one short", pays + ".provider", output(1, more(-1))},
		{"the provider one more", pays + ".provider", output(1, more(1))},
		{"the provider's lovelace short", pays + ".provider", output(1, coin(-1))},
		{"to another provider", pays + ".provider", output(1, toStranger)},
		{"lovelace surplus", "", output(0, coin(1))},
		{"NTX from one to the other", pays + ".requester", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 1, 1) }},
		{"order of payouts", pays + ".requester", func(_ *world, d *chain.Draft) { d.Outputs[0], d.Outputs[1] = d.Outputs[1], d.Outputs[0] }},
		{"a datum on a payout", pays + ".provider", output(1, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
		{"no outputs", pays + ".output", func(_ *world, d *chain.Draft) { d.Outputs = nil }},
		{"token kept", kind + ".burn", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Token(w.otherID(), Open).Name: 1}
		}},
		{"a mint beside the burn", kind + ".burn", func(w *world, d *chain.Draft) { mints(w.Token(w.job, Committed), 1)(w, d) }},
		{"a committed lot", kind + ".burn", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.contested)
			w.balanceTokens(d)
		}},
		{"a committed lot and a disputed token from elsewhere", kind + ".token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Committed, w.contested)
			w.give(d, w.Token(w.contestedJob(), Disputed))
		}},
		{"another job's disputed lot, and this one's token from elsewhere", kind + ".token", func(w *world, d *chain.Draft) {
			d.Inputs[0].UTxO = w.lotIn(1, 0, Disputed, w.otherContested(1))
			w.give(d, w.Token(w.contestedJob(), Disputed))
		}},
		{"two lots", alone, func(w *world, d *chain.Draft) { w.spend(d, w.lotIn(2, 0, Disputed, w.otherContested(1)), w.StubScript) }},
		{"a lot's datum in another encoding", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Datum = definite(d.Inputs[0].Datum) }},
	}
}

// decide replaces a verdict, its signatures and its payouts.
func decide(f func(w *world, a *Action)) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		a, err := DecodeAction(d.Mint[0].Redeemer, w.Network)
		if err != nil {
			panic(err)
		}
		f(w, &a)
		act(a)(w, d)
	}
}

// signs replaces the signatures of a verdict, in the order of the attesters' keys.
func signs(award, slash uint64, names ...string) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		l, err := w.ReadLot(d.Inputs[0].UTxO, w.contested)
		if err != nil {
			panic(err)
		}
		decide(func(w *world, a *Action) {
			a.AwardUNTX, a.SlashUNTX, a.Signatures = award, slash, nil
			for _, k := range w.contested.Disputes.Attesters.List() {
				i := slices.IndexFunc(names, func(n string) bool { return KeyOf(signer(n)) == k })
				if i < 0 {
					a.Signatures = append(a.Signatures, Signature{})
				} else {
					a.Signatures = append(a.Signatures, w.Attest(signer(names[i]), l, award, slash, a.TakenUNTX).Signature)
				}
			}
		})(w, d)
	}
}

// settles signs a verdict and pays it, whatever it is.
func settles(award, slash int64) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		signs(uint64(award), uint64(slash), attesterNames...)(w, d)
		w.awards(d, award, slash)
	}
}

// awards pays what an award makes of the contested lot, whatever it is.
func (w *world) awards(d *chain.Draft, award, slash int64) {
	theirs := uint64(price - award + disputeBond)
	if award == price {
		theirs -= disputeCost
	}
	d.Outputs = []chain.Output{
		w.payout(w.requester.Address, ada, theirs), w.payout(w.addresses[0], ada, price+bond+disputeBond-theirs-disputeCost-uint64(slash)),
		w.payout(chain.Enterprise(w.Network, w.contested.Disputes.Payee), 0, disputeCost),
	}
	if slash > 0 {
		d.Outputs = append(d.Outputs, w.payout(chain.ScriptAddress(w.Network, w.Params.Sink), 0, uint64(slash)))
	}
}

func verdictAttacks() attacks {
	other := func(f func(w *world, l *Lot) *Contracts) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) {
			l, err := w.ReadLot(d.Inputs[0].UTxO, w.contested)
			if err != nil {
				panic(err)
			}
			c := f(w, &l)
			decide(func(w *world, a *Action) {
				for i, k := range w.contested.Disputes.Attesters.List() {
					for _, n := range attesterNames {
						if KeyOf(signer(n)) == k {
							a.Signatures[i] = c.Attest(signer(n), l, award, slash, 0).Signature
						}
					}
				}
			})(w, d)
		}
	}
	return attacks{(*world).verdict, func(w *world) chaintest.Actor { return w.stranger }, append(ending("verdict", "award"),
		attack{"all attesters", "", signs(award, slash, attesterNames...)},
		attack{"one attester of the two it takes", "verdict.signatures", signs(award, slash, "attester1")},
		attack{"no attester", "verdict.signatures", signs(award, slash)},
		attack{"two attesters and a forged third", "verdict.signatures", decide(func(_ *world, a *Action) {
			for i := range a.Signatures {
				if a.Signatures[i] == (Signature{}) {
					a.Signatures[i] = Signature{1}
				}
			}
		})},
		attack{"one attester's signature twice", "verdict.signatures", func(w *world, d *chain.Draft) {
			signs(award, slash, "attester1")(w, d)
			decide(func(_ *world, a *Action) {
				i := slices.IndexFunc(a.Signatures, func(s Signature) bool { return s != Signature{} })
				a.Signatures[(i+1)%3] = a.Signatures[i]
			})(w, d)
		}},
		attack{"a signature beyond the attesters", "verdict.signatures", decide(func(_ *world, a *Action) { a.Signatures = append(a.Signatures, a.Signatures[0]) })},
		attack{"an empty signature beyond the attesters", "verdict.signatures", decide(func(_ *world, a *Action) { a.Signatures = append(a.Signatures, Signature{}) })},
		attack{"signatures for fewer than all attesters", "verdict.signatures", decide(func(_ *world, a *Action) { a.Signatures = a.Signatures[:2] })},
		attack{"no signatures at all", "verdict.signatures", decide(func(_ *world, a *Action) { a.Signatures = nil })},
		attack{"a signature of 63 bytes", "verdict.signatures", func(_ *world, d *chain.Draft) { d.Mint[0].Redeemer = shorten(d.Mint[0].Redeemer) }},
		attack{"another award than signed", "verdict.signatures", decide(func(_ *world, a *Action) { a.AwardUNTX++ })},
		attack{"another slash than signed", "verdict.signatures", decide(func(_ *world, a *Action) { a.SlashUNTX-- })},
		attack{"something taken that was not signed", "verdict.signatures", decide(func(_ *world, a *Action) { a.TakenUNTX++ })},
		attack{"a stake besides, of which nothing is taken", "stakes.taken", func(w *world, d *chain.Draft) {
			w.spendStake(d, w.stake(2, 0, 30_000_000, 0), stakeSlash)
		}},
		attack{"signed for a sibling lot", "verdict.signatures", other(func(w *world, l *Lot) *Contracts { l.Ref.Index++; return w.Contracts })},
		attack{"signed for another transaction's lot", "verdict.signatures", other(func(w *world, l *Lot) *Contracts { l.Ref.Tx[0]++; return w.Contracts })},
		attack{"signed for another root", "verdict.signatures", other(func(w *world, l *Lot) *Contracts { l.Root[0]++; return w.Contracts })},
		attack{"signed for another network", "verdict.signatures", other(func(w *world, _ *Lot) *Contracts { c := *w.Contracts; c.Network.Magic++; return &c })},
		attack{"signed for other contracts", "verdict.signatures", other(func(w *world, _ *Lot) *Contracts { c := *w.Contracts; c.Policy[0]++; return &c })},
		attack{"a slot too late", "verdict.time", func(w *world, d *chain.Draft) { w.ends(d, w.moments.lapse+1) }},
		attack{"at the last moment", "", func(w *world, d *chain.Draft) { w.ends(d, w.moments.lapse) }},
		attack{"the requester lost", "", settles(price, 0)},
		attack{"the provider lost all", "", settles(0, price/10)},
		attack{"nothing slashed", "", settles(award, 0)},
		attack{"more than the price", "award.amount", settles(price+1, 0)},
		attack{"a winner slashed", "award.slash", settles(price, 1)},
		attack{"more slashed than the terms say", "award.slash", settles(award, price/10+1)},
		attack{"the cost kept", "award.cost", output(2, more(-1))},
		attack{"the cost to another", "award.cost", output(2, toStranger)},
		attack{"no output of the payee's", "award.cost", func(_ *world, d *chain.Draft) { d.Outputs = append(d.Outputs[:2], d.Outputs[3]) }},
		attack{"the slash kept", "award.sink", output(3, more(-1))},
		attack{"the slash to a party", "award.sink", func(w *world, d *chain.Draft) { d.Outputs[3].Address = w.requester.Address }},
		attack{"no slash at all", "award.sink", func(_ *world, d *chain.Draft) { d.Outputs = d.Outputs[:3] }},
		attack{"a datum on the slash", "award.sink", output(3, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
	)}
}

func concedeAttacks() attacks {
	byProvider := func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[0].Hash} }
	awards := func(award int64) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) { w.awards(d, award, 0) }
	}
	return attacks{(*world).concede, func(w *world) chaintest.Actor { return w.requester }, append(ending("concede", "award"),
		attack{"nobody's signature", "concede.signer", nobodySigns},
		attack{"by the provider", "concede.signer", byProvider},
		attack{"the price given up by the provider", "concede.signer", func(w *world, d *chain.Draft) {
			byProvider(w, d)
			w.awards(d, 0, 0)
		}},
		attack{"the price taken by the requester", "award.requester", awards(0)},
		attack{"a part of the price", "award.requester", awards(price - 1)},
		attack{"an award in the redeemer", "redeemer", func(w *world, d *chain.Draft) {
			d.Mint[0].Redeemer = raw(data.NewConstr(10, data.NewByteString(w.contested.pack()), integer(0)))
		}},
		attack{"without the cost", "award.cost", output(2, more(-1))},
		attack{"after the deadline", "", func(w *world, d *chain.Draft) { d.From, d.Until = w.moments.lapse+50, w.moments.lapse+500 }},
	)}
}

func lapseAttacks() attacks {
	return attacks{(*world).lapse, func(w *world) chaintest.Actor { return w.stranger }, append(ending("lapse", "lapse"),
		attack{"a slot too early", "lapse.time", func(w *world, d *chain.Draft) { d.From, d.Until = w.moments.lapse-1, w.moments.lapse+100 }},
		attack{"without the cost to the provider", "lapse.requester", func(w *world, d *chain.Draft) { w.moveNTX(d, 1, 0, disputeCost) }},
		attack{"other terms with an earlier deadline", "lapse.burn", func(w *world, d *chain.Draft) {
			t := w.contested
			t.Disputes.VerdictMS--
			act(Action{Kind: KindLapse, Terms: t})(w, d)
		}},
		attack{"the redeemer of a refund", "refund.token", func(w *world, d *chain.Draft) {
			d.Mint[0].Redeemer = raw(data.NewConstr(4, data.NewByteString(w.contested.pack())))
		}},
		attack{"the redeemer of an approval", "approve.token", func(w *world, d *chain.Draft) {
			d.Mint[0].Redeemer = raw(data.NewConstr(3, data.NewByteString(w.contested.pack())))
			d.Signers = []chain.KeyHash{w.requester.Hash}
		}},
	)}
}
