package plutus

import (
	"math/big"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func bigInt(n int64) *big.Int { return big.NewInt(n) }

// withStakePart is a script's address with a stake key.
func withStakePart(h chain.ScriptHash, k chain.KeyHash) chain.Address {
	a, err := chain.AddressFromBytes(append(append([]byte{0x10}, h[:]...), k[:]...))
	if err != nil {
		panic(err)
	}
	return a
}

// input changes what an input is.
func input(i int, f func(*world, *chain.UTxO)) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		f(w, &d.Inputs[i].UTxO)
		d.Inputs[i].UTxO = w.place(d.Inputs[i].Ref.Tx[0], d.Inputs[i].Output)
	}
}

// asks changes the redeemer of an input.
func asks(i int, action uint) func(*world, *chain.Draft) {
	return func(_ *world, d *chain.Draft) { d.Inputs[i].Redeemer = raw(data.NewConstr(action)) }
}

// restake writes the datum of a stake among the outputs anew.
func restake(i int, f func(*world, *Stake)) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		s, err := w.ReadStake(chain.UTxO{Output: d.Outputs[i]})
		if err != nil {
			panic(err)
		}
		f(w, &s)
		o, err := w.stakeOutput(s)
		if err != nil {
			panic(err)
		}
		d.Outputs[i] = o
	}
}

// free says whether a transition is of stakes alone: what else its transaction does is its owner's affair.
func free(kind string) bool { return kind == "unbond" || kind == "withdraw" }

// policyOf makes a stake's datum name another policy.
func policyOf(o *chain.Output, w *world, h chain.ScriptHash) {
	s, err := w.ReadStake(chain.UTxO{Output: *o})
	if err != nil {
		panic(err)
	}
	if o.Datum, err = s.datum(h); err != nil {
		panic(err)
	}
}

func dust(o *chain.Output) {
	o.Value = o.Value.With(chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: "dust"}, 1)
}

// remains is what is tried on a stake that stays, at an output.
func remains(i int, kind string) []attack {
	stake, lovelace := kind+".stake", kind+".lovelace"
	return []attack{
		{"one less of the stake", stake, output(i, more(-1))},
		{"one more of the stake", stake, output(i, more(1))},
		{"the stake's lovelace short", lovelace, output(i, coin(-1))},
		{"lovelace surplus in the stake", "", output(i, coin(1))},
		{"the stake to a stranger", stake, output(i, toStranger)},
		{"the stake to the lots' address", stake, func(w *world, d *chain.Draft) { d.Outputs[i].Address = w.Address }},
		{"a stake part at the stakes' address", stake, func(w *world, d *chain.Draft) { d.Outputs[i].Address = withStakePart(w.Stake, w.requester.Hash) }},
		{"a reference script on the stake", stake, output(i, func(o *chain.Output) { o.Script = chaintest.Accepts(1); o.Value.Coin += 3_000_000 })},
		{"a foreign asset in the stake", stake, func(w *world, d *chain.Draft) {
			w.give(d, chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: "dust"})
			dust(&d.Outputs[i])
		}},
	}
}

func unbondAttacks() attacks {
	provider := func(w *world) chaintest.Actor { return w.providers[0] }
	return attacks{(*world).unbond, provider, append(remains(0, "unbond"),
		attack{"nobody's signature", "unbond.signer", nobodySigns},
		attack{"the requester's signature", "unbond.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		attack{"unbonding already, from a later moment again", "unbond.since", input(0, func(w *world, u *chain.UTxO) { u.Output = w.stake(2, 0, firstStake, 77).UTxO.Output })},
		attack{"two stakes become one", "unbond.one", func(w *world, d *chain.Draft) { w.spendStake(d, w.stake(3, 0, firstStake, 0), stakeUnbond) }},
		attack{"two stakes become two", "unbond.one", func(w *world, d *chain.Draft) {
			w.spendStake(d, w.stake(3, 0, firstStake, 0), stakeUnbond)
			d.Outputs = append(d.Outputs, d.Outputs[0])
		}},
		attack{"another script's output is spent too", "unbond.one", func(w *world, d *chain.Draft) {
			u, s := otherScript(0xee)
			w.spend(d, u, s)
		}},
		attack{"something is minted too", "unbond.one", func(w *world, d *chain.Draft) {
			s := chaintest.Accepts(dustScript)
			d.Mint = []chain.Mint{{Policy: chain.HashScript(s), Assets: map[string]int64{"x": 1}, Redeemer: raw(data.NewConstr(0))}}
			d.Scripts = append(d.Scripts, s)
		}},
		attack{"another's stake", "unbond.signer", input(0, func(w *world, u *chain.UTxO) { u.Output = w.stake(2, 1, firstStake, 0).UTxO.Output })},
		attack{"still bonded", "unbond.datum", restake(0, func(_ *world, s *Stake) { s.Since = 0 })},
		attack{"unbonding a millisecond early", "unbond.datum", restake(0, func(_ *world, s *Stake) { s.Since-- })},
		attack{"unbonding a millisecond late", "unbond.datum", restake(0, func(_ *world, s *Stake) { s.Since++ })},
		attack{"unbonding as if matured", "unbond.datum", restake(0, func(w *world, s *Stake) { s.Since = w.matured() })},
		attack{"another range's end", "unbond.datum", func(w *world, d *chain.Draft) { d.Until++ }},
		attack{"another owner", "unbond.datum", restake(0, func(w *world, s *Stake) { s.Owner = w.stranger.Hash })},
		attack{"another policy", "unbond.datum", func(w *world, d *chain.Draft) { policyOf(&d.Outputs[0], w, chain.ScriptHash{1}) }},
		attack{"no datum", "unbond.datum", output(0, func(o *chain.Output) { o.Datum = nil })},
		attack{"a lot's datum", "unbond.datum", func(w *world, d *chain.Draft) { d.Outputs[0].Datum = w.lotIn(1, 0, Open, w.terms).Datum }},
		attack{"two stakes out of one", "unbond.stake", func(_ *world, d *chain.Draft) {
			d.Outputs[0].Value = withNTX(d.Outputs[0].Value, -firstStake/2)
			d.Outputs = append(d.Outputs, d.Outputs[0])
		}},
		attack{"something before the stake", "unbond.datum", func(w *world, d *chain.Draft) {
			d.Outputs = slices.Insert(d.Outputs, 0, w.payout(w.addresses[0], 3_000_000, 0))
		}},
		attack{"withdrawn at once", "withdraw.since", func(_ *world, d *chain.Draft) {
			d.Outputs = nil
			asks(0, stakeWithdraw)(nil, d)
		}},
		attack{"taken without a verdict", "slash.policy", func(_ *world, d *chain.Draft) {
			d.Outputs = nil
			asks(0, stakeSlash)(nil, d)
		}},
		attack{"taken by another policy", "slash.policy", func(w *world, d *chain.Draft) {
			d.Outputs = nil
			asks(0, stakeSlash)(nil, d)
			s := chaintest.Accepts(dustScript)
			d.Mint = []chain.Mint{{Policy: chain.HashScript(s), Assets: map[string]int64{"x": 1}, Redeemer: raw(data.NewConstr(0))}}
			d.Scripts = append(d.Scripts, s)
		}},
		attack{"the redeemer is of no action", "redeemer", asks(0, 3)},
		attack{"a stake without a datum", "stake.datum", input(0, func(_ *world, u *chain.UTxO) { u.Datum = nil })},
		attack{"a stake that says what a lot says", "stake.datum", input(0, func(w *world, u *chain.UTxO) { u.Datum = w.lotIn(1, 0, Open, w.terms).Datum })},
		attack{"a stake's datum in another encoding", "", input(0, func(_ *world, u *chain.UTxO) { u.Datum = definite(u.Datum) })},
		attack{"a stake with dust", "", func(_ *world, d *chain.Draft) {
			dust(&d.Inputs[0].Output)
			dust(&d.Outputs[0])
		}},
		attack{"a stake with a stake part", "", func(w *world, d *chain.Draft) {
			d.Inputs[0].Address = withStakePart(w.Stake, w.requester.Hash)
			d.Outputs[0].Address = d.Inputs[0].Address
		}},
	)}
}

func withdrawAttacks() attacks {
	return attacks{(*world).withdraw, func(w *world) chaintest.Actor { return w.providers[0] }, []attack{
		{"nobody's signature", "withdraw.signer", nobodySigns},
		{"the requester's signature", "withdraw.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		{"another's stake", "withdraw.signer", input(1, func(w *world, u *chain.UTxO) { u.Output = w.stake(3, 1, secondStake, w.matured()).UTxO.Output })},
		{"a bonded stake", "withdraw.since", input(1, func(w *world, u *chain.UTxO) { u.Output = w.stake(3, 0, secondStake, 0).UTxO.Output })},
		{"a stake a millisecond too young", "withdraw.time", input(1, func(w *world, u *chain.UTxO) { u.Output = w.stake(3, 0, secondStake, w.matured()+1).UTxO.Output })},
		{"a slot too early", "withdraw.time", func(_ *world, d *chain.Draft) { d.From-- }},
		{"the redeemer of unbonding", "unbond.since", asks(1, stakeUnbond)},
		{"the redeemer of a verdict", "slash.policy", asks(1, stakeSlash)},
		{"the redeemer is of no action", "redeemer", asks(1, 3)},
		{"a stake without a datum", "stake.datum", input(1, func(_ *world, u *chain.UTxO) { u.Datum = nil })},
		{"to whomever the owner likes", "", func(w *world, d *chain.Draft) {
			d.Outputs = append(d.Outputs, w.payout(w.stranger.Address, 3_000_000, firstStake))
		}},
		{"beside another script's output", "", func(w *world, d *chain.Draft) {
			u, s := otherScript(0xee)
			w.spend(d, u, s)
		}},
		{"a stake with dust", "", input(1, func(_ *world, u *chain.UTxO) { dust(&u.Output) })},
		{"a stake without NTX", "", input(1, func(_ *world, u *chain.UTxO) { u.Value = chain.Coins(ada) })},
		{"a stake of another policy", "", input(1, func(w *world, u *chain.UTxO) { policyOf(&u.Output, w, chain.ScriptHash{1}) })},
		{"a stake with a stake part", "", input(1, func(w *world, u *chain.UTxO) { u.Address = withStakePart(w.Stake, w.requester.Hash) })},
	}}
}

// takes signs a verdict that takes of stakes, and pays what it makes of the contested lot; what is left of the stakes
// stays as it is.
func takes(award, slash, of int64) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		left := d.Outputs[4]
		decide(func(_ *world, a *Action) { a.TakenUNTX = uint64(of) })(w, d)
		signs(uint64(award), uint64(slash), attesterNames...)(w, d)
		w.awards(d, award, slash)
		if slash == 0 && of > 0 {
			d.Outputs = append(d.Outputs, w.payout(chain.ScriptAddress(w.Network, w.Params.Sink), 0, 0))
		}
		if of > 0 {
			more(of)(&d.Outputs[3])
		}
		d.Outputs = append(d.Outputs, left)
		more(taken - of)(&d.Outputs[len(d.Outputs)-1])
	}
}

func takingAttacks() attacks {
	return attacks{(*world).verdictOfStakes, func(w *world) chaintest.Actor { return w.stranger }, append(remains(4, "stakes"),
		attack{"without the stakes", "stakes.taken", func(_ *world, d *chain.Draft) { d.Inputs, d.Outputs = d.Inputs[:1], d.Outputs[:4] }},
		attack{"one stake, which is too small", "stakes.taken", func(_ *world, d *chain.Draft) { d.Inputs, d.Outputs = d.Inputs[:2], d.Outputs[:4] }},
		attack{"a stake that is not needed", "stakes.taken", func(w *world, d *chain.Draft) {
			w.spendStake(d, w.stake(5, 0, 100_000_000, 0), stakeSlash)
			more(100_000_000)(&d.Outputs[4])
		}},
		attack{"another provider's stake", "stakes.owner", input(1, func(w *world, u *chain.UTxO) { u.Output = w.stake(2, 1, firstStake, 0).UTxO.Output })},
		attack{"a stake of other contracts", "slash.policy", input(2, func(w *world, u *chain.UTxO) { policyOf(&u.Output, w, chain.ScriptHash{1}) })},
		attack{"a stake without a datum", "stake.datum", input(2, func(_ *world, u *chain.UTxO) { u.Datum = nil })},
		attack{"a stake with dust", "stakes.value", input(2, func(_ *world, u *chain.UTxO) { dust(&u.Output) })},
		attack{"a stake of lovelace alone", "stakes.value", func(w *world, d *chain.Draft) {
			s := w.stake(5, 0, 1, 0)
			s.UTxO.Value = chain.Coins(ada)
			w.spendStake(d, s, stakeSlash)
		}},
		attack{"a stake of another asset", "stakes.value", input(2, func(_ *world, u *chain.UTxO) {
			u.Value = chain.Coins(ada)
			dust(&u.Output)
		})},
		attack{"a stake with a stake part", "stakes.redeemers", input(2, func(w *world, u *chain.UTxO) { u.Address = withStakePart(w.Stake, w.requester.Hash) })},
		attack{"a stake that its owner unbonds meanwhile", "unbond.signer", asks(2, stakeUnbond)},
		attack{"a stake that its owner withdraws meanwhile", "withdraw.signer", asks(2, stakeWithdraw)},
		attack{"of unbonding stakes", "", func(w *world, d *chain.Draft) {
			for i := range 2 {
				s, err := w.ReadStake(d.Inputs[1+i].UTxO)
				if err != nil {
					panic(err)
				}
				input(1+i, func(w *world, u *chain.UTxO) { u.Output = w.stake(byte(2+i), 0, s.UNTX, 77).UTxO.Output })(w, d)
			}
			restake(4, func(_ *world, s *Stake) { s.Since = 77 })(w, d)
		}},
		attack{"what is left unbonding", "stakes.stake", restake(4, func(w *world, s *Stake) { s.Since = w.matured() })},
		attack{"what is left another owner's", "stakes.stake", restake(4, func(w *world, s *Stake) { s.Owner = w.stranger.Hash })},
		attack{"what is left of other contracts", "stakes.stake", func(w *world, d *chain.Draft) { policyOf(&d.Outputs[4], w, chain.ScriptHash{1}) }},
		attack{"what is left without a datum", "stakes.stake", output(4, func(o *chain.Output) { o.Datum = nil })},
		attack{"what is left to the requester", "stakes.stake", func(w *world, d *chain.Draft) {
			d.Outputs[4] = w.payout(w.requester.Address, 2*ada, firstStake+secondStake-taken)
		}},
		attack{"more taken than signed", "verdict.signatures", decide(func(_ *world, a *Action) { a.TakenUNTX++ })},
		attack{"less taken than signed", "verdict.signatures", decide(func(_ *world, a *Action) { a.TakenUNTX-- })},
		attack{"as much as is at risk", "", takes(award, slash, atRisk)},
		attack{"more than is at risk", "award.taken", takes(award, slash, atRisk+1)},
		attack{"of a winner", "award.taken", func(w *world, d *chain.Draft) {
			takes(price, 0, 1)(w, d)
			d.Inputs = d.Inputs[:2]
			more(-secondStake)(&d.Outputs[4])
		}},
		attack{"nothing of the bond", "", takes(award, 0, taken)},
		attack{"all of a stake, its lovelace to the provider", "", all(0)},
		attack{"all of a stake, its lovelace kept", "award.provider", all(-1)},
		attack{"all of a stake, its lovelace to the requester", "award.provider", func(w *world, d *chain.Draft) {
			all(-ada)(w, d)
			coin(ada)(&d.Outputs[0])
		}},
		attack{"what is taken kept", "award.sink", output(3, more(-taken))},
		attack{"what is taken to the requester", "award.sink", func(w *world, d *chain.Draft) { d.Outputs[3].Address = w.requester.Address }},
		attack{"the slash kept, the stake taken", "award.sink", output(3, more(-slash))},
		attack{"a lot more", "stakes.redeemers", func(w *world, d *chain.Draft) { w.spend(d, w.lotIn(5, 0, Disputed, w.otherContested(1)), w.StubScript) }},
		attack{"no output to the sink", "award.sink", func(_ *world, d *chain.Draft) {
			d.Outputs = slices.Insert(slices.Delete(d.Outputs, 3, 4), 3, d.Outputs[0])
		}},
	)}
}

// all takes one stake of which nothing is left, and gives the provider its lovelace and by more.
func all(by int64) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		d.Inputs, d.Outputs = d.Inputs[:2], d.Outputs[:4]
		input(1, func(w *world, u *chain.UTxO) { u.Output = w.stake(2, 0, taken, 0).UTxO.Output })(w, d)
		coin(ada + by)(&d.Outputs[1])
	}
}
