package plutus

import (
	"math/big"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// slice is a slice of the sliced job on chain, of these providers, made by a transaction that n tells apart.
func (w *world) slice(tb testing.TB, n byte, of ...int) Slice {
	tb.Helper()
	return w.sliceOf(tb, n, w.sliced, of...)
}

func (w *world) sliceOf(tb testing.TB, n byte, t Terms, of ...int) Slice {
	tb.Helper()
	u := w.sliceIn(n, t, of...)
	return must(w.ReadSlice(u, t, w.shares(of...)))(tb)
}

// start, settle … are drafts that pass.
func (w *world) startSlices(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.start(w.sliced, w.parts(), w.sliceSeed, 2, w.byReference(w.moments.open)))(tb)
}

// startPlain starts a job without disputes.
func (w *world) startPlain(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.start(w.terms, w.parts(), w.seed(), 2, w.byReference(w.moments.open)))(tb)
}

func (w *world) settle(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Settle([]Slice{w.slice(tb, 1, 0, 1), w.slice(tb, 2, 2), w.sliceOf(tb, 3, w.otherSliced(), 0)}, []Terms{w.sliced, w.otherSliced()}, w.byReference(w.work)))(tb)
}

// leave: the first and the last provider leave, the last with its result.
func (w *world) leave(tb testing.TB) chain.Draft {
	tb.Helper()
	return w.leaving(tb, w.slice(tb, 1, 0, 1, 2), Leaver{Index: 0}, Leaver{2, [32]byte{9}})
}

// leaveLast: nobody is left.
func (w *world) leaveLast(tb testing.TB) chain.Draft {
	tb.Helper()
	return w.leaving(tb, w.slice(tb, 1, 0, 1), Leaver{0, [32]byte{8}}, Leaver{1, [32]byte{9}})
}

func (w *world) leaving(tb testing.TB, s Slice, who ...Leaver) chain.Draft {
	tb.Helper()
	f := w.byReference(w.work)
	return must(w.Leave(s, w.sliced, who, ClaimAt(w.sliced, f.Until, w.clock), f))(tb)
}

func (w *world) finish(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Finish(w.slice(tb, 1, 0, 1, 2), w.sliced, []int{1}, w.byReference(w.moments.open)))(tb)
}

func (w *world) dissolve(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Dissolve(w.slice(tb, 1, 0, 1, 2), w.sliced, w.byReference(w.moments.refund)))(tb)
}

// minted is a policy's part of a draft's mint.
func minted(d *chain.Draft, policy chain.ScriptHash) *chain.Mint {
	for i := range d.Mint {
		if d.Mint[i].Policy == policy {
			return &d.Mint[i]
		}
	}
	return &chain.Mint{Assets: map[string]int64{}}
}

// say replaces the redeemer of the slices' policy, whatever it says.
func say(k Kind, more ...data.PlutusData) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		f := append([]data.PlutusData{data.NewByteString(w.sliced.pack())}, more...)
		minted(d, w.Slices.Policy).Redeemer = w.moveData(k, f...)
	}
}

func (w *world) moveData(k Kind, f ...data.PlutusData) []byte {
	for tag, x := range moves() {
		if x == k {
			return raw(data.NewConstr(uint(tag), f...))
		}
	}
	panic(k)
}

// moveFields are what the slices' redeemer of a draft says.
func (w *world) moveFields(d *chain.Draft) []data.PlutusData {
	x, err := chain.DecodeData(minted(d, w.Slices.Policy).Redeemer)
	if err != nil {
		panic(err)
	}
	return x.(*data.Constr).Fields
}

// resay replaces one field of the slices' redeemer.
func resay(i int, f func(*world) data.PlutusData) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		m := minted(d, w.Slices.Policy)
		x, err := chain.DecodeData(m.Redeemer)
		if err != nil {
			panic(err)
		}
		c, ok := x.(*data.Constr)
		if !ok || i >= len(c.Fields) { // what a mutant has bent
			return
		}
		c.Fields[i] = f(w)
		m.Redeemer = raw(data.NewConstr(c.Tag, c.Fields...))
	}
}

// retermSlices starts a job of slices with other packed terms, the tokens and all.
func (w *world) retermSlices(d *chain.Draft, packed []byte) {
	resay(0, func(*world) data.PlutusData { return data.NewByteString(packed) })(w, d)
	id := jobID(packed)
	rename := func(name string) string { return string(id[:]) + name[len(id):] }
	m := minted(d, w.Slices.Policy)
	assets := map[string]int64{}
	for name, q := range m.Assets {
		assets[rename(name)] = q
	}
	m.Assets = assets
	for i, o := range d.Outputs {
		v := chain.Coins(o.Value.Coin)
		for a, q := range o.Value.Assets {
			if a.Policy == w.Slices.Policy {
				a.Name = rename(a.Name)
			}
			v = v.With(a, q)
		}
		d.Outputs[i].Value = v
	}
}

// reslice changes a slice that is made in an output, its value and all, and its list in the redeemer of a start.
func reslice(i int, f func(*world, []byte) []byte, untx int64, shares int) func(*world, *chain.Draft) {
	return func(w *world, d *chain.Draft) {
		fields := w.moveFields(d)
		lists := fields[1].(*data.List).Items
		changed := f(w, append([]byte{}, lists[i].(*data.ByteString).Inner...))
		all := append([]data.PlutusData{}, lists...)
		all[i] = data.NewByteString(changed)
		resay(1, func(*world) data.PlutusData { return data.NewList(all...) })(w, d)
		o := &d.Outputs[i]
		o.Datum = raw(data.NewConstr(0, data.NewByteString(blake256(changed)), data.NewByteString(w.Policy[:])))
		o.Value = withNTX(o.Value, untx)
		if shares == 0 {
			return
		}
		v := chain.Coins(o.Value.Coin)
		m := minted(d, w.Slices.Policy)
		for a, q := range o.Value.Assets {
			if a.Policy == w.Slices.Policy {
				if m.Assets[a.Name]--; m.Assets[a.Name] == 0 {
					delete(m.Assets, a.Name)
				}
				a = w.Slices.Token(jobID(w.sliced.pack()), shares)
				m.Assets[a.Name]++
			}
			v = v.With(a, q)
		}
		o.Value = v
	}
}

func minusOne() data.PlutusData { return data.NewInteger(big.NewInt(-1)) }

// byReference is a frame whose transaction refers to the scripts.
func (w *world) byReference(from chain.Slot) Frame {
	f := w.frame(from)
	f.References = w.published
	return f
}

// otherSliced are the terms of another job in slices.
func (w *world) otherSliced() Terms { return w.otherContested(2) }
