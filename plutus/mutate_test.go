package plutus

import (
	"bytes"
	"math/big"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// Changes of drafts that pass.

func output(i int, f func(*chain.Output)) func(*world, *chain.Draft) {
	return func(_ *world, d *chain.Draft) { f(&d.Outputs[i]) }
}

func more(untx int64) func(*chain.Output) {
	return func(o *chain.Output) { o.Value = withNTX(o.Value, untx) }
}

func withNTX(v chain.Value, by int64) chain.Value {
	q := int64(v.Of(ntx)) + by
	w := chain.Coins(v.Coin)
	for id, n := range v.Assets {
		if id != ntx {
			w = w.With(id, n)
		}
	}
	return w.With(ntx, uint64(q))
}

func coin(by int64) func(*chain.Output) {
	return func(o *chain.Output) { o.Value.Coin = chain.Lovelace(int64(o.Value.Coin) + by) }
}

func (w *world) moveNTX(d *chain.Draft, from, to int, q int64) {
	d.Outputs[from].Value = withNTX(d.Outputs[from].Value, -q)
	d.Outputs[to].Value = withNTX(d.Outputs[to].Value, q)
}

func nobodySigns(w *world, d *chain.Draft) { d.Signers = []chain.KeyHash{w.stranger.Hash} }

func mints(id chain.AssetID, q int64) func(*world, *chain.Draft) {
	return func(_ *world, d *chain.Draft) { d.Mint[0].Assets[id.Name] += q }
}

func raw(d data.PlutusData) []byte {
	b, err := chain.EncodeData(d)
	if err != nil {
		panic(err)
	}
	return b
}

// act replaces the policy's redeemer, whatever it says.
func act(a Action) func(*world, *chain.Draft) {
	return func(_ *world, d *chain.Draft) {
		d.Mint[0].Redeemer = raw(data.NewConstr(uint(slices.Index(kinds(), a.Kind)), says(a)...))
	}
}

// says are the fields of a redeemer whose terms may be any.
func says(a Action) []data.PlutusData {
	terms := data.NewByteString(a.Terms.pack())
	taken := data.NewInteger(big.NewInt(int64(a.TakenUNTX)))
	award, slash := data.NewInteger(big.NewInt(int64(a.AwardUNTX))), data.NewInteger(big.NewInt(int64(a.SlashUNTX)))
	switch a.Kind {
	case KindClaim, KindBorn:
		return nil
	case KindCommit:
		return []data.PlutusData{terms, data.NewByteString(a.Root[:])}
	case KindClose:
		return []data.PlutusData{terms, award}
	case KindVerdict:
		var list []data.PlutusData
		for _, s := range a.Signatures {
			b := s[:]
			if s == (Signature{}) {
				b = nil
			}
			list = append(list, data.NewByteString(b))
		}
		return []data.PlutusData{terms, award, slash, taken, data.NewList(list...)}
	case KindRedeem:
		var list []data.PlutusData
		for _, e := range a.Earned {
			q := data.NewInteger(big.NewInt(int64(e.CumulativeUNTX)))
			list = append(list, data.NewConstr(0, data.NewByteString(e.Terms.pack()), q, data.NewByteString(e.Signature[:])))
		}
		return []data.PlutusData{data.NewList(list...)}
	}
	return []data.PlutusData{terms}
}

// spend adds an input at a script.
func (w *world) spend(d *chain.Draft, u chain.UTxO, script []byte) {
	d.Inputs = append(d.Inputs, chain.Input{UTxO: u, Redeemer: raw(data.NewConstr(0))})
	d.Scripts = append(d.Scripts, script)
}

// fake is an output at our address that looks like provider i's lot and has no token of ours: foreign or none.
func (w *world) fake(n byte, i int, s State, foreign bool) chain.UTxO {
	l := Lot{State: s, Job: w.job, Provider: w.addresses[i], Root: [32]byte{1}, ClaimAt: 1}
	d, err := l.datum()
	if err != nil {
		panic(err)
	}
	v := chain.Coins(3_000_000).With(ntx, 1_000_000)
	if foreign {
		v = v.With(chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: w.Token(w.job, s).Name}, 1)
	}
	return chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{n}}, Output: chain.Output{Address: w.Address, Value: v, Datum: d}}
}

// otherScript is an output of somebody else's script that accepts anything.
func otherScript(n byte) (chain.UTxO, []byte) {
	s := chaintest.Accepts(1)
	a := chain.ScriptAddress(chaintest.Network(), chain.HashScript(s))
	return chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{n}}, Output: chain.Output{Address: a, Value: chain.Coins(3_000_000)}}, s
}

// after is a script that accepts anything, whose hash comes after the policies'.
func (w *world) after() []byte { return w.afters(1)[0] }

// afters are n of them.
func (w *world) afters(n int) (all [][]byte) {
	for i := 0; len(all) < n; i++ {
		s := chaintest.Accepts(i)
		h := chain.HashScript(s)
		if bytes.Compare(h[:], w.Policy[:]) > 0 && bytes.Compare(h[:], w.Slices.Policy[:]) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// mintsToo makes other policies mint.
func (w *world) mintsToo(d *chain.Draft, scripts ...[]byte) {
	for _, s := range scripts {
		d.Mint = append(d.Mint, chain.Mint{Policy: chain.HashScript(s), Assets: map[string]int64{"x": 1}, Redeemer: raw(data.NewConstr(0))})
		d.Scripts = append(d.Scripts, s)
	}
}

// staked is our stub with a stake key.
func (w *world) staked() chain.Address {
	b := append(append([]byte{0x10}, w.Stub[:]...), w.requester.Hash[:]...)
	a, err := chain.AddressFromBytes(b)
	if err != nil {
		panic(err)
	}
	return a
}

// give adds a coin of the stranger's that holds one of an asset, which on a real chain it could not always hold.
func (w *world) give(d *chain.Draft, id chain.AssetID) {
	u := w.stranger.Coin(uint32(60+len(d.Inputs)), chain.Coins(3_000_000).With(id, 1))
	d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
}

func (w *world) otherID() JobID {
	id, err := w.otherJob(0xfe).JobID()
	if err != nil {
		panic(err)
	}
	return id
}

// lotIn is provider i's lot of the job with these terms.
func (w *world) lotIn(n byte, i int, s State, t Terms) chain.UTxO {
	l := Lot{Job: jobID(t.pack()), State: s, Provider: w.addresses[i], PriceUNTX: price, BondUNTX: bond, Lovelace: ada}
	o, err := w.output(w.age(l, t))
	if err != nil {
		panic(err)
	}
	return w.place(n, o)
}

// balanceTokens burns every token of ours that the inputs hold.
func (w *world) balanceTokens(d *chain.Draft) {
	m := map[string]int64{}
	for _, in := range d.Inputs {
		for id, q := range in.Value.Assets {
			if id.Policy == w.Policy {
				m[id.Name] -= int64(q)
			}
		}
	}
	d.Mint[0].Assets = m
}

// recommit writes the committed lot anew, with another root or claim time.
func recommit(w *world, d *chain.Draft, root [32]byte, by chain.Time) {
	l := Lot{State: Committed, Provider: w.addresses[0], Root: root, ClaimAt: ClaimAt(w.terms, d.Until, w.clock) + by}
	b, err := l.datum()
	if err != nil {
		panic(err)
	}
	d.Outputs[0].Datum = b
}

// rootOf commits to a root of n bytes, in redeemer and datum alike.
func rootOf(w *world, d *chain.Draft, n int) {
	root := data.NewByteString(make([]byte, n))
	d.Mint[0].Redeemer = raw(data.NewConstr(1, data.NewByteString(w.terms.pack()), root))
	at := ClaimAt(w.terms, d.Until, w.clock)
	d.Outputs[0].Datum = raw(data.NewConstr(1, addressData(w.addresses[0]), root, integer(uint64(at))))
}

func toStranger(o *chain.Output) { o.Address = chaintest.NewActor("stranger").Address }

// definite writes data with definite lengths.
func definite(b []byte) []byte {
	var conv func(d data.PlutusData) data.PlutusData
	conv = func(d data.PlutusData) data.PlutusData {
		c, ok := d.(*data.Constr)
		if !ok {
			return d
		}
		var f []data.PlutusData
		for _, x := range c.Fields {
			f = append(f, conv(x))
		}
		return data.NewConstrDefIndef(false, c.Tag, f...)
	}
	d, err := chain.DecodeData(b)
	if err != nil {
		panic(err)
	}
	out, err := data.Encode(conv(d))
	if err != nil {
		panic(err)
	}
	return out
}
