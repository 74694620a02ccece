package plutus

import (
	"bytes"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// unlisted is what is tried on the transitions that are told the slice's list. beside is the check that lets nothing else
// be spent.
func unlisted(beside string) []attack {
	relist := func(f func(*world, []byte) []byte) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) {
			b := w.moveFields(d)[1].(*data.ByteString).Inner
			resay(1, func(*world) data.PlutusData { return data.NewByteString(f(w, slices.Clone(b))) })(w, d)
		}
	}
	return []attack{
		{"a list with another amount", "slice.list", relist(func(_ *world, b []byte) []byte { b[7]++; return b })},
		{"a longer list", "slice.list", relist(func(w *world, b []byte) []byte { return append(b, list(w.shares(2))...) })},
		{"a shorter list", "slice.list", relist(func(_ *world, b []byte) []byte { return b[36:] })},
		{"the list in another order", "slice.list", relist(func(w *world, b []byte) []byte { return append(slices.Clone(b[36:]), b[:36]...) })},
		{"no list", "slice.list", relist(func(*world, []byte) []byte { return nil })},
		{"other terms", "slice.job", resay(0, func(w *world) data.PlutusData { return data.NewByteString(w.otherContested(7).pack()) })},
		{"a second slice", beside, func(w *world, d *chain.Draft) {
			w.spend(d, w.sliceIn(0xef, w.otherContested(1), 0, 1), w.Slices.StubScript)
			minted(d, w.Slices.Policy).Assets[w.Slices.Token(jobID(w.otherContested(1).pack()), 2).Name] = -1
		}},
		{"no slice", "items.one", func(w *world, d *chain.Draft) {
			id := w.Slices.Token(w.slicedJob(), len(w.providers))
			d.Inputs = nil
			w.give(d, id)
		}},
		{"the slice's datum in another encoding", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Datum = definite(d.Inputs[0].Datum) }},
	}
}

func mintsOf(slices bool, id func(*world) chain.AssetID, q int64) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		policy := w.Policy
		if slices {
			policy = w.Slices.Policy
		}
		m := minted(d, policy)
		name := id(w).Name
		if m.Assets[name] += q; m.Assets[name] == 0 {
			delete(m.Assets, name)
		}
	}
}

// sliceToken is a token of the sliced job, or of another.
func sliceToken(n int) func(*world) chain.AssetID {
	return func(w *world) chain.AssetID { return w.Slices.Token(w.slicedJob(), n) }
}

func lotToken(s State) func(*world) chain.AssetID {
	return func(w *world) chain.AssetID { return w.Token(w.slicedJob(), s) }
}

func alienToken(w *world) chain.AssetID { return w.Slices.Token(w.otherID(), 3) }

func settleAttacks() attacks {
	return attacks{(*world).settle, func(w *world) chaintest.Actor { return w.requester }, []attack{
		{"nobody's signature", "settle.signer", nobodySigns},
		{"a provider's signature", "settle.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[0].Hash} }},
		{"one NTX short", "settle.list", output(0, more(-1))},
		{"one NTX more", "settle.list", output(2, more(1))},
		{"NTX from one payout to another", "settle.list", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 1, 5) }},
		{"a payout without NTX", "settle.payout", output(1, more(-price-bond))},
		{"lovelace short", "settle.payout", output(0, coin(-1))},
		{"lovelace short after one that is right", "settle.payout", output(1, coin(-1))},
		{"lovelace surplus", "", output(1, coin(1))},
		{"paid to another", "settle.list", output(0, toStranger)},
		{"paid to a script of the key's hash", "settle.payee", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = chain.ScriptAddress(w.Network, chain.ScriptHash(w.providers[0].Hash))
		}},
		{"stake key dropped", "settle.list", func(w *world, d *chain.Draft) { d.Outputs[1].Address = w.providers[1].Address }},
		{"a stake key added", "settle.list", func(w *world, d *chain.Draft) {
			d.Outputs[0].Address = chain.Base(w.Network, w.providers[0].Hash, w.requester.Hash)
		}},
		{"a stake script of the stake key's hash", "settle.stake", func(w *world, d *chain.Draft) {
			stake, _ := w.addresses[1].StakeKey()
			a, err := chain.AddressFromBytes(append(append([]byte{0x20}, w.providers[1].Hash[:]...), stake[:]...))
			if err != nil {
				panic(err)
			}
			d.Outputs[1].Address = a
		}},
		{"order of payouts", "settle.list", func(_ *world, d *chain.Draft) { d.Outputs[0], d.Outputs[1] = d.Outputs[1], d.Outputs[0] }},
		{"the payouts of one slice for the other", "settle.list", func(_ *world, d *chain.Draft) {
			d.Outputs[0], d.Outputs[1], d.Outputs[2] = d.Outputs[2], d.Outputs[0], d.Outputs[1]
		}},
		{"one payout for two", "settle.list", func(_ *world, d *chain.Draft) { d.Outputs = append(d.Outputs[:1], d.Outputs[2:]...) }},
		{"outputs in front", "settle.payout", func(w *world, d *chain.Draft) {
			d.Outputs = slices.Insert(d.Outputs, 0, w.payout(w.stranger.Address, 2_000_000, 0))
		}},
		{"a datum on a payout", "settle.payout", output(1, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
		{"a script on a payout", "settle.payout", output(1, func(o *chain.Output) { o.Script = chaintest.Accepts(1) })},
		{"another asset in a payout", "settle.payout", func(w *world, d *chain.Draft) { dusty(w, d, 1) }},
		{"NTX by another name", "settle.payout", func(w *world, d *chain.Draft) {
			x := chain.AssetID{Policy: ntx.Policy, Name: "xNTX"}
			d.Inputs = append(d.Inputs, chain.Input{UTxO: w.stranger.Coin(60, chain.Coins(3_000_000).With(x, 1_000_000_000))})
			d.Outputs[0].Value = chain.Coins(ada).With(x, price+bond)
		}},
		{"a token not burned", "settle.burn", mintsOf(true, sliceToken(2), 1)},
		{"a mint among the burns", "settle.burn", mintsOf(true, alienToken, 1)},
		{"a mint and one more burn", "settle.burn", func(w *world, d *chain.Draft) {
			w.give(d, alienToken(w))
			mintsOf(true, alienToken, -1)(w, d)
			mintsOf(true, sliceToken(7), 1)(w, d)
		}},
		{"no slice at all", "settle.burn", func(w *world, d *chain.Draft) {
			d.Inputs = nil
			w.give(d, alienToken(w))
			d.Mint[0].Assets = map[string]int64{alienToken(w).Name: -1}
		}},
		{"a slice of a third job among them", "slice.job", func(w *world, d *chain.Draft) {
			t := w.otherContested(1)
			d.Inputs[1].UTxO = w.sliceIn(2, t, 2)
			m := minted(d, w.Slices.Policy).Assets
			delete(m, sliceToken(1)(w).Name)
			m[w.Slices.Token(jobID(t.pack()), 1).Name] = -1
		}},
		{"other terms, whose requester signs", "slice.job", func(w *world, d *chain.Draft) {
			t := w.sliced
			t.Requester = w.stranger.Address
			jobsData(t, w.otherSliced())(w, d)
			d.Signers = append(d.Signers, w.stranger.Hash)
		}},
		{"the second job's requester does not sign", "settle.signer", func(w *world, d *chain.Draft) {
			t := w.otherSliced()
			t.Requester = w.stranger.Address
			jobsData(w.sliced, t)(w, d)
			d.Inputs[2].UTxO = w.sliceIn(3, t, 0)
			m := minted(d, w.Slices.Policy).Assets
			delete(m, w.Slices.Token(jobID(w.otherSliced().pack()), 1).Name)
			m[w.Slices.Token(jobID(t.pack()), 1).Name] = -1
		}},
		{"the jobs in another order", "slice.job", func(w *world, d *chain.Draft) { jobsData(w.otherSliced(), w.sliced)(w, d) }},
		{"a job's terms are missing", "settle.jobs", func(w *world, d *chain.Draft) { jobsData(w.sliced)(w, d) }},
		{"terms more than jobs", "", func(w *world, d *chain.Draft) { jobsData(w.sliced, w.otherSliced(), w.contested)(w, d) }},
		{"a slice more, unpaid", "settle.jobs", func(w *world, d *chain.Draft) {
			t := w.otherContested(9)
			w.spend(d, w.sliceIn(0xf0, t, 0), w.Slices.StubScript)
			minted(d, w.Slices.Policy).Assets[w.Slices.Token(jobID(t.pack()), 1).Name] = -1
		}},
		{"a look-alike in the place of a slice", "items.token", func(w *world, d *chain.Draft) {
			lookAlike(w, d)
		}},
		{"a look-alike without a datum", "items.datum", func(w *world, d *chain.Draft) {
			lookAlike(w, d)
			d.Inputs[2].Datum = nil
		}},
		{"a slice with surplus lovelace, kept", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Value.Coin += 5 }},
		{"a slice's datum in another encoding", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Datum = definite(d.Inputs[0].Datum) }},
	}}
}

// lookAlike puts one in the place of a settlement's last slice: wherever it stands, the slices before it are paid.
func lookAlike(w *world, d *chain.Draft) {
	d.Inputs[2].UTxO = w.fakeSlice(3)
	delete(minted(d, w.Slices.Policy).Assets, w.Slices.Token(jobID(w.otherSliced().pack()), 1).Name)
}

// jobsData replaces the terms that a settlement's redeemer names.
func jobsData(jobs ...Terms) func(*world, *chain.Draft) {
	var all []data.PlutusData
	for _, t := range jobs {
		all = append(all, data.NewByteString(t.pack()))
	}
	return resay(0, func(*world) data.PlutusData { return data.NewList(all...) })
}

// relot writes a lot among the outputs anew.
func relot(i int, f func(*world, *Lot)) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		l := w.shares(i)[0].lot(w.sliced, w.slicedJob())
		if _, ok := fieldsOf(d.Outputs[i].Datum, 1); ok {
			l.State, l.Root, l.ClaimAt = Committed, [32]byte{byte(8 + i)}, ClaimAt(w.sliced, d.Until, w.clock)
		}
		f(w, &l)
		o, err := w.output(l)
		if err != nil {
			panic(err)
		}
		d.Outputs[i] = o
	}
}

func fieldsOf(b []byte, tag uint) ([]data.PlutusData, bool) {
	x, err := chain.DecodeData(b)
	if err != nil {
		return nil, false
	}
	c, ok := x.(*data.Constr)
	if !ok || c.Tag != tag {
		return nil, false
	}
	return c.Fields, true
}

func leaversData(of ...any) func(*world) data.PlutusData {
	var all []data.PlutusData
	for i := 0; i < len(of); i += 2 {
		all = append(all, data.NewConstr(0, integer(uint64(of[i].(int))), data.NewByteString(of[i+1].([]byte))))
	}
	return func(*world) data.PlutusData { return data.NewList(all...) }
}

// anotherPolicy makes the lots ones of a policy that lets everybody mint.
func anotherPolicy(w *world, d *chain.Draft) {
	script := chaintest.Accepts(4)
	lotsBy(w, d, chain.HashScript(script), raw(data.NewConstr(0)))
	d.Scripts = append(d.Scripts, script)
}

// threePolicies has a third policy mint beside one like that, so that only the slices' own looks.
func threePolicies(w *world, d *chain.Draft) {
	anotherPolicy(w, d)
	second := chain.HashScript(chaintest.Accepts(4))
	for _, s := range w.afters(8) {
		if h := chain.HashScript(s); bytes.Compare(h[:], second[:]) > 0 {
			w.mintsToo(d, s)
			return
		}
	}
	panic("no script comes after " + second.String())
}

// lotsBy makes the lots ones of another policy.
func lotsBy(w *world, d *chain.Draft, h chain.ScriptHash, redeemer []byte) {
	m := minted(d, w.Policy)
	m.Policy, m.Redeemer = h, redeemer
	stub := chain.HashScript(bytes.Replace(w.StubScript, w.Policy[:], h[:], 1))
	for i, o := range d.Outputs {
		v := chain.Coins(o.Value.Coin)
		for a, q := range o.Value.Assets {
			if a.Policy == w.Policy {
				a.Policy = h
				d.Outputs[i].Address = chain.ScriptAddress(w.Network, stub)
			}
			v = v.With(a, q)
		}
		d.Outputs[i].Value = v
	}
}

// leavesWith leaves with a root of n bytes, in redeemer and datum alike.
func leavesWith(n int) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		root := make([]byte, n)
		resay(2, leaversData(0, []byte{}, 2, root))(w, d)
		at := ClaimAt(w.sliced, d.Until, w.clock)
		d.Outputs[1].Datum = raw(data.NewConstr(1, addressData(w.addresses[2]), data.NewByteString(root), integer(uint64(at))))
	}
}

func leaveAttacks() attacks {
	root := make([]byte, 32)
	root[0] = 9
	without := func(i int) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) {
			d.Signers = slices.DeleteFunc(slices.Clone(d.Signers), func(k chain.KeyHash) bool { return k == w.providers[i].Hash })
		}
	}
	reslice := func(f func(*world, *Slice)) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) {
			s := Slice{Job: w.slicedJob(), Lovelace: ada, Shares: w.shares(1)}
			f(w, &s)
			o, err := w.sliceOutput(s)
			if err != nil {
				panic(err)
			}
			d.Outputs[2].Datum, d.Outputs[2].Value = o.Datum, withNTX(d.Outputs[2].Value, int64(o.Value.Of(ntx))-price-bond)
		}
	}
	return attacks{(*world).leave, func(w *world) chaintest.Actor { return w.stranger }, append(unlisted("tx.redeemer"), []attack{
		{"a leaver's signature is missing", "leave.signer", without(0)},
		{"another leaver's signature is missing", "leave.signer", without(2)},
		{"the requester's signature alone", "leave.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.requester.Hash} }},
		{"a slot too late", "leave.time", func(w *world, d *chain.Draft) {
			w.ends(d, w.commitBy+1)
			relotOf(1, func(*world, *Lot) {})(w, d)
		}},
		{"a lot of another policy", "leave.lots", anotherPolicy},
		{"a lot of another policy, and a third policy mints", "tx.mint", threePolicies},
		{"who stays is put out", "leave.signer", func(w *world, d *chain.Draft) {
			resay(2, leaversData(0, []byte{}, 1, root))(w, d)
		}},
		{"an index beyond the list", "leave.index", func(w *world, d *chain.Draft) {
			resay(2, leaversData(0, []byte{}, 2, root, 3, root))(w, d)
		}},
		{"indices in descending order", "leave.index", func(w *world, d *chain.Draft) {
			d.Outputs[0], d.Outputs[1] = d.Outputs[1], d.Outputs[0]
			resay(2, leaversData(2, root, 0, []byte{}))(w, d)
		}},
		{"an index twice", "leave.index", func(w *world, d *chain.Draft) {
			resay(2, leaversData(0, []byte{}, 0, []byte{}, 2, root))(w, d)
		}},
		{"an index below the first", "leave.index", resay(2, func(*world) data.PlutusData {
			return data.NewList(data.NewConstr(0, minusOne(), data.NewByteString(nil)))
		})},
		{"nobody leaves", "leave.mint", func(w *world, d *chain.Draft) { resay(2, leaversData())(w, d) }},
		{"a root of 33 bytes", "leave.root", leavesWith(33)},
		{"a root of 31 bytes", "leave.root", leavesWith(31)},
		{"another root than the redeemer's", "leave.lot", resay(2, leaversData(0, []byte{}, 2, make([]byte, 32)))},
		{"another provider in the lot", "leave.lot", relotOf(0, func(w *world, l *Lot) { l.Provider = w.stranger.Address })},
		{"NTX kept back", "leave.lot", output(0, more(-1))},
		{"NTX from the slice into a lot", "leave.lot", func(w *world, d *chain.Draft) { w.moveNTX(d, 2, 0, 1) }},
		{"lovelace of a lot short", "leave.lot", output(0, coin(-1))},
		{"lovelace of a lot surplus", "", output(0, coin(1))},
		{"a lot at the slices' address", "leave.lot", func(w *world, d *chain.Draft) { d.Outputs[0].Address = w.Slices.Address }},
		{"a stake part on a lot's address", "leave.lot", func(w *world, d *chain.Draft) { d.Outputs[0].Address = w.staked() }},
		{"a reference script in a lot", "leave.lot", output(0, func(o *chain.Output) { o.Script = chaintest.Accepts(1); o.Value.Coin += 3_000_000 })},
		{"another asset in a lot", "leave.lot", func(w *world, d *chain.Draft) { dusty(w, d, 0) }},
		{"claimed a second early", "leave.lot", relotOf(1, func(_ *world, l *Lot) { l.ClaimAt -= 1000 })},
		{"claim time from another range", "leave.lot", func(w *world, d *chain.Draft) { w.ends(d, w.commitBy) }},
		{"born committed without a root", "leave.lot", relotOf(0, func(w *world, l *Lot) { l.State, l.ClaimAt = Committed, 1 })},
		{"born disputed", "leave.lot", func(w *world, d *chain.Draft) {
			relotOf(1, func(_ *world, l *Lot) { l.State, l.Deadline, l.Own = Disputed, 1, ada })(w, d)
			mintsOf(false, lotToken(Committed), -1)(w, d)
			mintsOf(false, lotToken(Disputed), 1)(w, d)
		}},
		{"order of lots", "leave.lot", func(_ *world, d *chain.Draft) { d.Outputs[0], d.Outputs[1] = d.Outputs[1], d.Outputs[0] }},
		{"a lot's token more", "leave.mint", mintsOf(false, lotToken(Open), 1)},
		{"a disputed token more", "leave.mint", mintsOf(false, lotToken(Disputed), 1)},
		{"another job's lot token more", "leave.mint", mintsOf(false, func(w *world) chain.AssetID { return w.Token(w.otherID(), Open) }, 1)},
		{"a token of a larger slice", "leave.change", func(w *world, d *chain.Draft) {
			mintsOf(true, sliceToken(1), -1)(w, d)
			mintsOf(true, sliceToken(2), 1)(w, d)
			d.Outputs[2].Value = chain.Coins(ada).With(ntx, price+bond).With(sliceToken(2)(w), 1)
		}},
		{"a slice's token more", "leave.change", mintsOf(true, sliceToken(1), 1)},
		{"another job's slice token more", "leave.change", mintsOf(true, alienToken, 1)},
		{"lovelace of the slice short", "leave.lovelace", output(2, coin(-1))},
		{"lovelace of the slice surplus", "", output(2, coin(1))},
		{"surplus lovelace of the slice before, taken out", "leave.lovelace", func(_ *world, d *chain.Draft) {
			d.Inputs[0].Value.Coin += 5_000_000
		}},
		{"NTX of the slice short", "leave.slice", output(2, more(-1))},
		{"NTX of the slice more", "leave.slice", output(2, more(1))},
		{"who stays is not in the slice", "leave.slice", reslice(func(w *world, s *Slice) { s.Shares = w.shares(0) })},
		{"who leaves is still in the slice", "leave.slice", reslice(func(w *world, s *Slice) { s.Shares = w.shares(0, 1) })},
		{"the slice names another lots' policy", "leave.slice", spoil(2, func(w *world) data.PlutusData {
			return data.NewConstr(0, data.NewByteString(blake256(list(w.shares(1)))), data.NewByteString(w.Slices.Policy[:]))
		})},
		{"the slice at the lots' address", "leave.slice", func(w *world, d *chain.Draft) { d.Outputs[2].Address = w.Address }},
		{"a stake part on the slice's address", "leave.slice", func(w *world, d *chain.Draft) { d.Outputs[2].Address = w.stakedSlices() }},
		{"a reference script in the slice", "leave.slice", output(2, func(o *chain.Output) { o.Script = chaintest.Accepts(1); o.Value.Coin += 3_000_000 })},
		{"another asset in the slice", "leave.slice", func(w *world, d *chain.Draft) { dusty(w, d, 2) }},
		{"the lots' policy is asked for something else", "tx.born", func(w *world, d *chain.Draft) {
			minted(d, w.Policy).Redeemer = raw(data.NewConstr(uint(slices.Index(kinds(), KindClaim))))
		}},
	}...)}
}

// relotOf is relot for a lot whose place among the outputs is not its provider's.
func relotOf(i int, f func(*world, *Lot)) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		l := w.shares([]int{0, 2}[i])[0].lot(w.sliced, w.slicedJob())
		if i == 1 {
			l.State, l.Root, l.ClaimAt = Committed, [32]byte{9}, ClaimAt(w.sliced, d.Until, w.clock)
		}
		before := l.State
		f(w, &l)
		o, err := w.output(l)
		if err != nil {
			panic(err)
		}
		if l.State != before && l.State == Disputed {
			o.Value = withNTX(o.Value, -int64(l.DisputeBondUNTX))
		} else if l.State != before {
			o.Value = d.Outputs[i].Value
		}
		d.Outputs[i] = o
	}
}

func leaveLastAttacks() attacks {
	return attacks{(*world).leaveLast, func(w *world) chaintest.Actor { return w.stranger }, []attack{
		{"the slice's token is kept", "leave.last", func(w *world, d *chain.Draft) { mintsOf(true, alienToken, 1)(w, d) }},
		{"a slice of nobody", "leave.last", func(w *world, d *chain.Draft) { mintsOf(true, sliceToken(0), 1)(w, d) }},
		{"another token is burned", "leave.last", func(w *world, d *chain.Draft) {
			w.give(d, alienToken(w))
			mintsOf(true, alienToken, -1)(w, d)
		}},
		{"surplus lovelace is the leavers'", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Value.Coin += 3_000_000 }},
		{"a signature is missing", "leave.signer", func(w *world, d *chain.Draft) { d.Signers = d.Signers[:1] }},
	}}
}

func finishAttacks() attacks {
	margin := func(w *world) chain.Slot { return chain.Slot(w.Params.MarginMS) / chain.Slot(w.at(2)-w.at(1)) }
	return attacks{(*world).finish, func(w *world) chaintest.Actor { return w.requester }, append(unlisted("tx.redeemer"), []attack{
		{"nobody's signature", "finish.signer", nobodySigns},
		{"a provider's signature", "finish.signer", func(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.providers[0].Hash} }},
		{"a slice with surplus lovelace, kept", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Value.Coin += 5 }},
		{"a slot within the margin", "finish.time", func(w *world, d *chain.Draft) { w.ends(d, w.commitBy-margin(w)+1) }},
		{"up to the margin", "", func(w *world, d *chain.Draft) { w.ends(d, w.commitBy-margin(w)) }},
		{"a slot before commit_by", "finish.time", func(w *world, d *chain.Draft) { d.From, d.Until = w.commitBy-1, w.commitBy+w.span-1 }},
		{"from commit_by on", "", func(w *world, d *chain.Draft) { d.From, d.Until = w.commitBy, w.commitBy+w.span }},
		{"a lot of another policy", "finish.lots", anotherPolicy},
		{"a lot of another policy, and a third policy mints", "tx.mint", threePolicies},
		{"the slice's token and another are burned", "finish.burn", func(w *world, d *chain.Draft) {
			w.give(d, alienToken(w))
			mintsOf(true, alienToken, -1)(w, d)
		}},
		{"a smaller slice's token is minted", "finish.burn", mintsOf(true, sliceToken(2), 1)},
		{"one NTX short", "finish.payout", output(0, more(-1))},
		{"one NTX more", "finish.payout", output(2, more(1))},
		{"lovelace short", "finish.payout", output(0, coin(-1))},
		{"lovelace surplus", "", output(0, coin(1))},
		{"paid to another", "finish.payout", output(0, toStranger)},
		{"order of payouts", "finish.payout", func(_ *world, d *chain.Draft) { d.Outputs[0], d.Outputs[2] = d.Outputs[2], d.Outputs[0] }},
		{"one payout for two", "finish.lot", func(_ *world, d *chain.Draft) { d.Outputs = d.Outputs[1:] }},
		{"a datum on a payout", "finish.payout", output(0, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
		{"a lot's NTX short", "finish.lot", output(1, more(-1))},
		{"a lot's NTX more", "finish.lot", output(1, more(1))},
		{"a lot's lovelace short", "finish.lot", output(1, coin(-1))},
		{"a lot's lovelace surplus", "", output(1, coin(1))},
		{"a lot with a stake part", "finish.payout", func(w *world, d *chain.Draft) { d.Outputs[1].Address = w.staked() }},
		{"another provider in the lot", "finish.lot", relot(1, func(w *world, l *Lot) { l.Provider = w.stranger.Address })},
		{"born committed", "finish.lot", func(w *world, d *chain.Draft) {
			relot(1, func(_ *world, l *Lot) { l.State, l.ClaimAt = Committed, 1 })(w, d)
			mintsOf(false, lotToken(Open), -1)(w, d)
			mintsOf(false, lotToken(Committed), 1)(w, d)
		}},
		{"a reference script in a lot", "finish.lot", output(1, func(o *chain.Output) { o.Script = chaintest.Accepts(1); o.Value.Coin += 3_000_000 })},
		{"a lot's token more", "finish.mint", mintsOf(false, lotToken(Open), 1)},
		{"a committed token more", "finish.mint", mintsOf(false, lotToken(Committed), 1)},
		{"no lot for its token", "finish.mint", func(w *world, d *chain.Draft) {
			d.Outputs[1] = w.payout(w.addresses[1], ada, price+bond)
		}},
		{"the lots' policy is asked for something else", "tx.born", func(w *world, d *chain.Draft) {
			minted(d, w.Policy).Redeemer = raw(data.NewConstr(uint(slices.Index(kinds(), KindClaim))))
		}},
	}...)}
}

func dissolveAttacks() attacks {
	return attacks{(*world).dissolve, func(w *world) chaintest.Actor { return w.stranger }, append(unlisted("items.one"), []attack{
		{"a slice with surplus lovelace, kept", "", func(_ *world, d *chain.Draft) { d.Inputs[0].Value.Coin += 5 }},
		{"a slot too early", "dissolve.time", func(w *world, d *chain.Draft) { d.From, d.Until = w.commitBy-1, w.commitBy+500 }},
		{"the slice's token and another are burned", "dissolve.burn", func(w *world, d *chain.Draft) {
			w.give(d, alienToken(w))
			mintsOf(true, alienToken, -1)(w, d)
		}},
		{"a smaller slice's token is minted", "dissolve.burn", mintsOf(true, sliceToken(2), 1)},
		{"too much to the requester", "dissolve.provider", func(w *world, d *chain.Draft) { w.moveNTX(d, 1, 0, 1) }},
		{"too much to a provider", "dissolve.provider", func(w *world, d *chain.Draft) { w.moveNTX(d, 0, 2, 1) }},
		{"the submitter keeps one NTX", "dissolve.requester", output(0, more(-1))},
		{"the price of one share kept", "dissolve.requester", output(0, more(-price))},
		{"to another requester", "dissolve.requester", output(0, toStranger)},
		{"a datum on the requester's output", "dissolve.requester", output(0, func(o *chain.Output) { o.Datum = raw(integer(0)) })},
		{"lovelace short", "dissolve.provider", output(1, coin(-1))},
		{"lovelace surplus", "", output(1, coin(1))},
		{"more lovelace for the requester", "", output(0, coin(5_000_000))},
		{"order of payouts", "dissolve.provider", func(_ *world, d *chain.Draft) { d.Outputs[1], d.Outputs[2] = d.Outputs[2], d.Outputs[1] }},
		{"one payout for two", "dissolve.provider", func(_ *world, d *chain.Draft) { d.Outputs = append(d.Outputs[:1], d.Outputs[2:]...) }},
		{"no outputs", "dissolve.provider", func(_ *world, d *chain.Draft) { d.Outputs = nil }},
		{"other terms with an earlier deadline", "slice.job", func(w *world, d *chain.Draft) {
			t := w.sliced
			t.CommitBy--
			resay(0, func(*world) data.PlutusData { return data.NewByteString(t.pack()) })(w, d)
		}},
	}...)}
}
