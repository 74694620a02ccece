package plutus

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// TestLookalikesOfSlices: what only looks like a slice is not read as one.
func TestLookalikesOfSlices(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	token := w.Slices.Token(w.slicedJob(), 2)
	for name, f := range map[string]func(*chain.UTxO){
		"at the lots' address": func(u *chain.UTxO) { u.Address = w.Address },
		"with a stake part":    func(u *chain.UTxO) { u.Address = w.stakedSlices() },
		"without a token":      func(u *chain.UTxO) { u.Value = chain.Coins(2*ada).With(ntx, 2*(price+bond)) },
		"with two tokens":      func(u *chain.UTxO) { u.Value = u.Value.With(token, 1) },
		"with another number": func(u *chain.UTxO) {
			u.Value = chain.Coins(2*ada).With(ntx, 2*(price+bond)).With(w.Slices.Token(w.slicedJob(), 3), 1)
		},
		"with a lot's token": func(u *chain.UTxO) {
			u.Value = chain.Coins(2*ada).With(ntx, 2*(price+bond)).With(w.Token(w.slicedJob(), Open), 1)
		},
		"with another asset": func(u *chain.UTxO) { u.Value = u.Value.With(chain.AssetID{Name: "x"}, 1) },
		"with less NTX":      func(u *chain.UTxO) { u.Value = withNTX(u.Value, -1) },
		"with a script":      func(u *chain.UTxO) { u.Script = w.StubScript },
		"without a datum":    func(u *chain.UTxO) { u.Datum = nil },
		"with another list":  func(u *chain.UTxO) { u.Datum = w.sliceIn(1, w.sliced, 0, 2).Datum },
		"with a lot's datum": func(u *chain.UTxO) { u.Datum = w.lotIn(1, 0, Open, w.sliced).Datum },
		"of another lots' policy": func(u *chain.UTxO) {
			u.Datum = raw(data.NewConstr(0, data.NewByteString(blake256(list(w.shares(0, 1)))), data.NewByteString(w.Slices.Policy[:])))
		},
	} {
		u := w.sliceIn(1, w.sliced, 0, 1)
		f(&u)
		if _, err := w.ReadSlice(u, w.sliced, w.shares(0, 1)); !errors.Is(err, ErrSlice) {
			t.Errorf("%s: %v", name, err)
		}
	}
	u := w.sliceIn(1, w.sliced, 0, 1)
	u.Datum = definite(u.Datum)
	if _, err := w.ReadSlice(u, w.sliced, w.shares(0, 1)); err != nil {
		t.Error("a datum in another encoding:", err)
	}
}

// TestImpossibleMoves: what cannot pass is refused before it is built.
func TestImpossibleMoves(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	f := frame(workFrom)
	s, alien := w.slice(t, 1, 0, 1), w.sliceOf(t, 2, w.otherContested(1), 0, 1)
	draft := func(_ chain.Draft, err error) error { return err }
	dear := w.parts()
	dear[0].PriceUNTX = maxShareUNTX
	dear[0].BondInput.Value = chain.Coins(7_000_000).With(ntx, maxShareUNTX)
	for name, err := range map[string]error{
		"start without parts":    draft(w.Start(w.sliced, nil, w.seed(), f)),
		"start for too much":     draft(w.Start(w.sliced, dear, w.seed(), f)),
		"settle nothing":         draft(w.Settle(nil, nil, f)),
		"settle another job's":   draft(w.Settle([]Slice{s, alien}, []Terms{w.sliced}, f)),
		"settle one twice":       draft(w.Settle([]Slice{s, s}, []Terms{w.sliced}, f)),
		"settle in no time":      draft(w.Settle([]Slice{s}, []Terms{w.sliced}, Frame{From: 5, Until: 5})),
		"nobody leaves":          draft(w.Leave(s, w.sliced, nil, 0, f)),
		"leave twice":            draft(w.Leave(s, w.sliced, []Leaver{{Index: 1}, {Index: 1}}, 0, f)),
		"leave from behind":      draft(w.Leave(s, w.sliced, []Leaver{{Index: 2}}, 0, f)),
		"leave from before":      draft(w.Leave(s, w.sliced, []Leaver{{Index: -1}}, 0, f)),
		"finish without lots":    draft(w.Finish(s, w.sliced, nil, f)),
		"dissolve another job's": draft(w.Dissolve(alien, w.sliced, f)),
		"finish another job's":   draft(w.Finish(alien, w.sliced, []int{0}, f)),
		"leave another job's":    draft(w.Leave(alien, w.sliced, []Leaver{{}}, 0, f)),
	} {
		if !errors.Is(err, ErrDraft) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestShares: a list reads back as it was written, and lists that the contracts refuse are refused here.
func TestShares(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	whole := list(w.shares(0, 1, 2))
	got, err := ReadShares(whole, w.Network, bondBps)
	if err != nil || !reflect.DeepEqual(got, w.shares(0, 1, 2)) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"nobody": nil, "cut short": whole[:len(whole)-1], "a byte more": append(slices.Clone(whole), 0), "twice": append(slices.Clone(whole), whole...),
		"descending": list(w.shares(1, 0)), "too many": list(w.crowdOf(MaxShares + 1)), "of another kind": append([]byte{2}, whole[1:]...),
		"for nothing": append(make([]byte, 8), whole[8:]...),
	} {
		if _, err := ReadShares(b, w.Network, bondBps); !errors.Is(err, ErrSlice) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReadShares: what is accepted is written the same.
func FuzzReadShares(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	f.Add(list(w.shares(0, 1, 2)), uint16(bondBps))
	f.Add(list(w.crowdOf(MaxShares)), uint16(bondBps))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, bps uint16) {
		shares, err := ReadShares(b, w.Network, bps)
		if err == nil && !bytes.Equal(list(shares), b) {
			t.Fatalf("%x becomes %x", b, list(shares))
		}
	})
}

// FuzzDecodeMove: what is accepted is written as the scripts' own serialiseData would.
func FuzzDecodeMove(f *testing.F) {
	w := newWorld(f, silentBlueprint)
	for _, d := range []chain.Draft{w.startSlices(f), w.settle(f), w.leave(f), w.finish(f), w.dissolve(f)} {
		b := minted(&d, w.Slices.Policy).Redeemer
		f.Add(b)
		f.Add(definite(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) { serialised(t, b, w.Network, DecodeMove) })
}
