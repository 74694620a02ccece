package plutus

import (
	"bytes"
	"slices"
	"strings"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// ofSlices says whether a list of attacks is on a transition of slices.
func ofSlices(name string) bool {
	first, _, _ := strings.Cut(name, ",")
	return slices.Contains(moves(), Kind(first))
}

// everywhereOfSlices is what is tried on every transition of slices.
func everywhereOfSlices(name string) []attack {
	beside, fake, lots := "items.one", "items.one", "stub.policy"
	starts := strings.HasPrefix(name, "start")
	switch {
	case starts:
		beside, fake = "open.alone", "open.alone"
	case name == "settle":
		beside, fake = "items.redeemers", "items.token"
	case name != "dissolve":
		beside, fake, lots = "tx.redeemer", "tx.redeemer", "tx.redeemer" // the lots' policy runs
	}
	return []attack{
		{"another policy mints too", "tx.mint", func(w *world, d *chain.Draft) { w.mintsToo(d, w.after()) }},
		{"a range longer than allowed", "tx.range", func(w *world, d *chain.Draft) { d.Until = d.From + w.longest() + 1 }},
		{"another script's output is spent too", beside, func(w *world, d *chain.Draft) {
			u, s := otherScript(0xee)
			w.spend(d, u, s)
		}},
		{"a lot is spent too", lots, func(w *world, d *chain.Draft) {
			w.spend(d, w.lotIn(0xee, 1, Open, w.otherJob(3)), w.StubScript)
		}},
		{"a stake that names a policy that mints is spent too", beside, func(w *world, d *chain.Draft) {
			s := w.stake(0xee, 0, 100_000_000, 0)
			policyOf(&s.UTxO.Output, w, slices.MinFunc(d.Mint, func(a, b chain.Mint) int { return bytes.Compare(a.Policy[:], b.Policy[:]) }).Policy)
			w.spendStake(d, s, stakeSlash)
		}},
		{"a look-alike of a slice is spent too", fake, func(w *world, d *chain.Draft) {
			w.spend(d, w.fakeSlice(0xee), w.Slices.StubScript)
		}},
		{"the redeemer is of no transition", "redeemer", func(w *world, d *chain.Draft) {
			minted(d, w.Slices.Policy).Redeemer = raw(data.NewConstr(17))
		}},
		{"the policy does not run", "stub.policy", func(w *world, d *chain.Draft) {
			if starts {
				w.spend(d, w.fakeSlice(0xee), w.Slices.StubScript)
			}
			d.Mint, d.Outputs = nil, nil
		}},
		{"two other policies run in its place", "stub.policy", func(w *world, d *chain.Draft) {
			if starts {
				w.spend(d, w.fakeSlice(0xee), w.Slices.StubScript)
			}
			d.Mint, d.Outputs = nil, nil
			w.mintsToo(d, chaintest.Accepts(2), chaintest.Accepts(3))
		}},
		{"a stranger pays with coins and NTX of its own", "", func(w *world, d *chain.Draft) {
			for _, u := range purse(w.stranger) {
				d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
			}
		}},
	}
}

// fakeSlice is an output at the slices' address without a token.
func (w *world) fakeSlice(n byte) chain.UTxO {
	return chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{n}}, Output: chain.Output{
		Address: w.Slices.Address, Value: chain.Coins(3_000_000).With(ntx, 1_000_000),
		Datum: raw(data.NewConstr(0, data.NewByteString(make([]byte, 32)), data.NewByteString(w.Policy[:]))),
	}}
}

// other makes attacks on the opening of lots ones on the start of slices.
func other(list []attack, without ...string) (all []attack) {
	for _, a := range list {
		if slices.Contains(without, a.name) {
			continue
		}
		switch a.want {
		case "open.lot_lovelace":
			a.want = "start.lovelace"
		case "open.mint":
			a.want = "start.mint"
		}
		all = append(all, a)
	}
	return all
}

func startTermsAttacks() attacks {
	const hash = "terms whose hash is not the token's"
	return attacks{(*world).startPlain, func(w *world) chaintest.Actor { return w.requester }, append(other(termsAttacks().list, hash),
		attack{hash, "start.slice", resay(0, func(w *world) data.PlutusData {
			b := w.terms.pack()
			b[159] ^= 1
			return data.NewByteString(b)
		})})}
}

func startContestedAttacks() attacks {
	return attacks{(*world).startSlices, func(w *world) chaintest.Actor { return w.requester }, other(contestedAttacks().list)}
}

// spoil changes the datum of a slice among the outputs.
func spoil(i int, f func(*world) data.PlutusData) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) { d.Outputs[i].Datum = raw(f(w)) }
}

func dusty(w *world, d *chain.Draft, i int) {
	x := chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: "dust"}
	w.give(d, x)
	d.Outputs[i].Value = d.Outputs[i].Value.With(x, 1)
}

func startAttacks() attacks {
	const first = 0
	lots := func(n int) func(*world) data.PlutusData {
		return func(w *world) data.PlutusData {
			return data.NewConstr(0, data.NewByteString(blake256(list(w.shares(0, 1)))), data.NewByteString(make([]byte, n)))
		}
	}
	tokens := func(f func(w *world, m map[string]int64)) func(*world, *chain.Draft) {
		return func(w *world, d *chain.Draft) { f(w, d.Mint[0].Assets) }
	}
	return attacks{(*world).startSlices, func(w *world) chaintest.Actor { return w.requester }, []attack{
		{"another's slice is spent beside", "open.alone", func(w *world, d *chain.Draft) {
			t := w.otherContested(1)
			w.spend(d, w.sliceIn(0xee, t, 0, 1), w.Slices.StubScript)
		}},
		{"seed not spent", "open.seed", func(_ *world, d *chain.Draft) { d.Inputs = d.Inputs[1:] }},
		{"valid until decline_by", "open.decline_by", func(w *world, d *chain.Draft) { w.ends(d, w.declineBy) }},
		{"valid until just before decline_by", "", func(w *world, d *chain.Draft) { w.ends(d, w.declineBy-1) }},
		{"a record of an unknown kind", "start.kind", reslice(first, func(_ *world, b []byte) []byte { b[0] = 2; return b }, 0, 0)},
		{"a record cut short", "start.kind", reslice(first, func(_ *world, b []byte) []byte { return b[:len(b)-1] }, 0, 0)},
		{"a byte behind the last record", "start.ascending", reslice(first, func(_ *world, b []byte) []byte { return append(b, 0) }, 0, 0)},
		{"a stake key that the record's kind denies", "start.kind", reslice(first, func(_ *world, b []byte) []byte { b[36] = 0; return b }, 0, 0)},
		{"descending keys", "start.ascending", reslice(first, func(w *world, _ []byte) []byte { return list(w.shares(1, 0)) }, 0, 0)},
		{"one provider twice", "start.ascending", reslice(first, func(w *world, _ []byte) []byte { return list(w.shares(0, 0)) }, 0, 0)},
		{"one provider in both slices", "start.ascending", reslice(1, func(w *world, _ []byte) []byte { return list(w.shares(1)) }, 0, 0)},
		{"nothing for a provider", "start.price", reslice(first, func(w *world, _ []byte) []byte {
			s := w.shares(0, 1)
			s[0].PriceUNTX, s[0].BondUNTX = 0, 0
			return list(s)
		}, -price-bond, 0)},
		{"a sum that no price and its bond make", "open.bond", reslice(first, func(w *world, _ []byte) []byte {
			s := w.shares(0, 1)
			s[1].BondUNTX--
			return list(s)
		}, -1, 0)},
		{"another price and its bond", "", reslice(first, func(w *world, _ []byte) []byte {
			s := w.shares(0, 1)
			s[0].BondUNTX += 6
			return list(s)
		}, 6, 0)},
		{"a slice of nobody", "start.count", reslice(1, func(*world, []byte) []byte { return nil }, -price-bond, 0)},
		{"31 shares", "start.count", func(w *world, d *chain.Draft) {
			say(KindStart, data.NewList(data.NewByteString(list(w.crowdOf(MaxShares+1)))))(w, d)
			w.oneSlice(d, MaxShares+1)
		}},
		{"30 shares", "", func(w *world, d *chain.Draft) {
			say(KindStart, data.NewList(data.NewByteString(list(w.crowdOf(MaxShares)))))(w, d)
			w.oneSlice(d, MaxShares)
		}},
		{"no datum", "start.datum", output(first, func(o *chain.Output) { o.Datum = nil })},
		{"a datum without fields", "start.datum", spoil(first, func(*world) data.PlutusData { return data.NewConstr(0) })},
		{"a datum of three fields", "start.slice", spoil(first, func(w *world) data.PlutusData {
			return data.NewConstr(0, data.NewByteString(blake256(list(w.shares(0, 1)))), data.NewByteString(w.Policy[:]), integer(1))
		})},
		{"another list's hash", "start.slice", spoil(first, func(w *world) data.PlutusData {
			return data.NewConstr(0, data.NewByteString(blake256(nil)), data.NewByteString(w.Policy[:]))
		})},
		{"a lots' policy of 27 bytes", "start.lots", spoil(first, lots(27))},
		{"a lots' policy of 64 bytes", "start.lots", spoil(first, lots(64))},
		{"a datum with definite lengths", "", func(_ *world, d *chain.Draft) { d.Outputs[first].Datum = definite(d.Outputs[first].Datum) }},
		{"lovelace short", "start.lovelace", output(first, coin(-1))},
		{"lovelace surplus", "", output(first, coin(1))},
		{"NTX short", "start.slice", output(first, more(-1))},
		{"NTX more", "start.slice", output(first, more(1))},
		{"a slice at a key's address", "start.slice", output(first, toStranger)},
		{"a slice at the lots' address", "start.slice", func(w *world, d *chain.Draft) { d.Outputs[first].Address = w.Address }},
		{"a stake part on our address", "start.slice", func(w *world, d *chain.Draft) { d.Outputs[first].Address = w.stakedSlices() }},
		{"a reference script in a slice", "start.slice", output(first, func(o *chain.Output) { o.Script = chaintest.Accepts(1) })},
		{"another asset in a slice", "start.slice", func(w *world, d *chain.Draft) { dusty(w, d, first) }},
		{"two tokens in a slice", "start.slice", func(w *world, d *chain.Draft) {
			id := w.Slices.Token(w.slicedJob(), 2)
			d.Mint[0].Assets[id.Name]++
			d.Outputs[first].Value = d.Outputs[first].Value.With(id, 1)
		}},
		{"a token that says fewer", "start.slice", func(w *world, d *chain.Draft) {
			d.Mint[0].Assets = map[string]int64{w.Slices.Token(w.slicedJob(), 1).Name: 2}
			d.Outputs[first].Value = chain.Coins(2*ada).With(ntx, 2*(price+bond)).With(w.Slices.Token(w.slicedJob(), 1), 1)
		}},
		{"one token too many", "start.mint", tokens(func(w *world, m map[string]int64) { m[w.Slices.Token(w.slicedJob(), 2).Name]++ })},
		{"a token of another job", "start.mint", tokens(func(w *world, m map[string]int64) { m[w.Slices.Token(w.otherID(), 2).Name] = 1 })},
		{"a slice less than lists", "start.datum", func(_ *world, d *chain.Draft) { d.Outputs = append(d.Outputs[:1], d.Outputs[2:]...) }},
		{"a list less than slices", "start.mint", func(w *world, d *chain.Draft) {
			say(KindStart, data.NewList(data.NewByteString(list(w.shares(0, 1)))))(w, d)
		}},
		{"no lists", "start.mint", say(KindStart, data.NewList())},
		{"the smaller slice first", "start.mint", func(w *world, d *chain.Draft) {
			say(KindStart, data.NewList(data.NewByteString(list(w.shares(0))), data.NewByteString(list(w.shares(1, 2)))))(w, d)
			for i, of := range [][]int{{0}, {1, 2}} {
				o, err := w.sliceOutput(Slice{Job: w.slicedJob(), Lovelace: ada * chain.Lovelace(len(of)), Shares: w.shares(of...)})
				if err != nil {
					panic(err)
				}
				d.Outputs[i] = o
			}
		}},
	}}
}

// shares are those of providers in the sliced job.
func (w *world) shares(of ...int) (all []Share) {
	for _, i := range of {
		all = append(all, Share{w.addresses[i], price, bond})
	}
	return all
}

func (w *world) slicedJob() JobID { return jobID(w.sliced.pack()) }

// sliceIn is a slice of a job among the inputs.
func (w *world) sliceIn(n byte, t Terms, of ...int) chain.UTxO {
	o, err := w.sliceOutput(Slice{Job: jobID(t.pack()), Lovelace: ada * chain.Lovelace(len(of)), Shares: w.shares(of...)})
	if err != nil {
		panic(err)
	}
	return w.place(n, o)
}

// crowdOf are n shares of n providers.
func (w *world) crowdOf(n int) (all []Share) {
	for i := range n {
		all = append(all, Share{chain.Enterprise(w.Network, chain.KeyHash{byte(i + 1)}), price, bond})
	}
	return all
}

// oneSlice makes a start's draft one of a single slice of so many of a crowd.
func (w *world) oneSlice(d *chain.Draft, n int) {
	o, err := w.sliceOutput(Slice{Job: w.slicedJob(), Lovelace: ada * chain.Lovelace(n), Shares: w.crowdOf(n)})
	if err != nil {
		panic(err)
	}
	d.Outputs = append([]chain.Output{o}, d.Outputs[2:]...)
	d.Mint[0].Assets = map[string]int64{w.Slices.Token(w.slicedJob(), n).Name: 1}
}

// stakedSlices is the slices' stub with a stake key.
func (w *world) stakedSlices() chain.Address {
	b := append(append([]byte{0x10}, w.Slices.Stub[:]...), w.requester.Hash[:]...)
	a, err := chain.AddressFromBytes(b)
	if err != nil {
		panic(err)
	}
	return a
}
