package plutus

import (
	"errors"
	"slices"
	"testing"

	"github.com/blinklabs-io/plutigo/data"
	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// invitation is a leave that the first provider of a slice of three has built, the second is asked to witness, and the
// third stays out of.
type invitation struct {
	w     *world
	raw   chaintest.Raw
	guest Guest
}

func newInvitation(t *testing.T) *invitation {
	t.Helper()
	w := newWorld(t, silentBlueprint)
	host, mine := w.providers[0], Leaver{me, [32]byte{9}}
	d := w.leaving(t, w.slice(t, 1, 0, me, 2), Leaver{0, [32]byte{8}}, mine)
	return &invitation{
		w:   w,
		raw: chaintest.Raw{Draft: d, Paying: purse(host)[1:2], Change: host.Address, Collateral: collateral(host)},
		guest: Guest{
			Slice: w.slice(t, 1, 0, me, 2), Terms: w.sliced, Leaver: mine, Until: w.at(d.Until),
			Coins: slices.Concat(purse(host), collateral(host)),
			Keys:  []chain.KeyHash{w.providers[me].Hash, chaintest.NewActor("stake").Hash},
		},
	}
}

// judge encodes the transaction, whatever its scripts say to it, and goes through the checklist.
func (i *invitation) judge(t *testing.T) error {
	t.Helper()
	tx := must(i.raw.Encode(i.w.ledger, i.w.Network))(t)
	return i.w.CheckLeave(tx, i.guest, i.w.clock)
}

// TestChecklistLetsAnHonestLeavePass: as a caller builds it, of two and of all.
func TestChecklistLetsAnHonestLeavePass(t *testing.T) {
	i := newInvitation(t)
	if err := i.judge(t); err != nil {
		t.Fatal(err)
	}
	w, host := i.w, i.w.providers[0]
	for _, who := range [][]Leaver{
		{{0, [32]byte{}}, i.guest.Leaver}, {{0, [32]byte{8}}, i.guest.Leaver, {2, [32]byte{7}}}, {i.guest.Leaver},
	} {
		d := w.leaving(t, i.guest.Slice, who...)
		tx, err := chain.Balance(d, purse(host), host.Address, collateral(host), w.ledger, w.clock, w.Network)
		if err != nil {
			t.Fatal(w.Explain(err))
		}
		if err := w.CheckLeave(tx, i.guest, w.clock); err != nil {
			t.Errorf("%d leave: %v", len(who), err)
		}
	}
}

// unsafeLeaves break one line of the checklist each.
func unsafeLeaves() []struct {
	name, want string
	do         func(*testing.T, *invitation)
} {
	field := func(k uint64, v any) func(*testing.T, *invitation) {
		return func(_ *testing.T, i *invitation) { i.raw.Fields = map[uint64]any{k: v} }
	}
	draft := func(f func(*world, *chain.Draft)) func(*testing.T, *invitation) {
		return func(_ *testing.T, i *invitation) { f(i.w, &i.raw.Draft) }
	}
	output := func(n int, f func(*chain.Output)) func(*testing.T, *invitation) {
		return draft(func(_ *world, d *chain.Draft) { f(&d.Outputs[n]) })
	}
	const first, mine, rest = 0, 1, 2 // among the outputs: two lots and the slice
	relot := func(f func(*Lot)) func(*testing.T, *invitation) {
		return draft(func(w *world, d *chain.Draft) {
			l, err := w.ReadLot(chain.UTxO{Output: d.Outputs[mine]}, w.sliced)
			if f(&l); err == nil {
				d.Outputs[mine].Datum, err = l.datum()
			}
			if err != nil {
				panic(err)
			}
		})
	}
	own := func(i *invitation) chaintest.Actor { return i.w.providers[me] }
	spend := func(i *invitation, u chain.UTxO, known bool) {
		i.raw.Paying = append(i.raw.Paying, u)
		if known {
			i.guest.Coins = append(i.guest.Coins, u)
		}
	}
	again := func(t *testing.T, i *invitation, s Slice, who ...Leaver) { i.raw.Draft = i.w.leaving(t, s, who...) }
	return []struct {
		name, want string
		do         func(*testing.T, *invitation)
	}{
		{"a certificate", "certificates", field(4, cbor.Tag{Number: 258, Content: []any{[]any{0, []any{0, make([]byte, 28)}}}})},
		{"a withdrawal", "withdrawals", field(5, map[string]uint64{})},
		{"a vote", "votes", field(19, map[uint64]uint64{})},
		{"a proposal", "proposals", field(20, []any{})},
		{"a treasury value", "treasury", field(21, 1)},
		{"a donation", "donation", field(22, 1)},
		{"metadata", "metadata", field(7, make([]byte, 32))},
		{"another slice than the one I am in", "slice", func(t *testing.T, i *invitation) {
			again(t, i, i.w.slice(t, 2, 0, me, 2), Leaver{0, [32]byte{8}}, i.guest.Leaver)
		}},
		{"an input of mine", "inputs", func(_ *testing.T, i *invitation) { spend(i, own(i).Coin(0, chain.Coins(3_000_000)), true) }},
		{"an input at my address with a stake key", "inputs", func(_ *testing.T, i *invitation) {
			u := own(i).Coin(50, chain.Coins(3_000_000))
			u.Address = i.w.addresses[me]
			spend(i, u, true)
		}},
		{"an input that no block has", "inputs", func(_ *testing.T, i *invitation) { spend(i, own(i).Coin(70, chain.Coins(3_000_000)), false) }},
		{"another script's output", "inputs", func(_ *testing.T, i *invitation) {
			u, s := otherScript(0xee)
			i.w.spend(&i.raw.Draft, u, s)
			i.guest.Coins = append(i.guest.Coins, u)
		}},
		{"my collateral", "inputs", func(_ *testing.T, i *invitation) {
			i.raw.Collateral = collateral(own(i))
			i.guest.Coins = append(i.guest.Coins, i.raw.Collateral...)
		}},
		{"collateral that no block has", "inputs", func(_ *testing.T, i *invitation) { i.raw.Collateral = collateral(own(i)) }},
		{"valid for too long", "range", func(_ *testing.T, i *invitation) { i.guest.Until-- }},
		{"an end before the beginning", "range", func(_ *testing.T, i *invitation) { i.raw.Until = 1 }},
		{"a claim put off", "output", relot(func(l *Lot) { l.ClaimAt++ })},
		{"I stay", "leaver", func(t *testing.T, i *invitation) {
			again(t, i, i.guest.Slice, Leaver{0, [32]byte{8}}, Leaver{2, [32]byte{9}})
		}},
		{"another root", "leaver", func(t *testing.T, i *invitation) {
			again(t, i, i.guest.Slice, Leaver{0, [32]byte{8}}, Leaver{me, [32]byte{10}})
		}},
		{"no root", "leaver", func(t *testing.T, i *invitation) {
			again(t, i, i.guest.Slice, Leaver{0, [32]byte{8}}, Leaver{Index: me})
		}},
		{"a root where I have none", "leaver", func(_ *testing.T, i *invitation) { i.guest.Leaver.Root = [32]byte{} }},
		{"a leaver that is not there", "leaver", draft(resay(2, func(*world) data.PlutusData {
			return data.NewList(leaverData(0, 8), leaverData(me, 9), leaverData(7, 9))
		}))},
		{"another list", "redeemers", draft(resay(1, func(w *world) data.PlutusData { return data.NewByteString(list(w.shares(0, me))) }))},
		{"other terms", "redeemers", draft(resay(0, func(w *world) data.PlutusData { return data.NewByteString(w.otherSliced().pack()) }))},
		{"another transition", "redeemers", draft(say(KindDissolve, data.NewByteString(nil)))},
		{"no redeemer that can be read", "redeemers", draft(func(w *world, d *chain.Draft) { minted(d, w.Slices.Policy).Redeemer = raw(data.NewConstr(9)) })},
		{"another request to the lots' policy", "redeemers", draft(func(w *world, d *chain.Draft) { minted(d, w.Policy).Redeemer = raw(data.NewConstr(2)) })},
		{"another request to the stub", "redeemers", draft(func(_ *world, d *chain.Draft) { d.Inputs[0].Redeemer = raw(data.NewConstr(5)) })},
		{"a third policy", "mint", draft(func(w *world, d *chain.Draft) { w.mintsToo(d, w.after()) })},
		{"a token more", "mint", draft(func(w *world, d *chain.Draft) {
			minted(d, w.Policy).Assets[w.Token(jobID(w.sliced.pack()), Committed).Name]++
		})},
		{"my lot is another's", "output", relot(func(l *Lot) { l.Provider = chaintest.NewActor("stranger").Address })},
		{"NTX of my lot short", "output", output(mine, more(-1))},
		{"lovelace of my lot short", "output", output(mine, coin(-1))},
		{"my lot at another address", "output", output(mine, func(o *chain.Output) { o.Address = chaintest.NewActor("stranger").Address })},
		{"NTX of another's lot short", "output", output(first, more(-1))},
		{"NTX of who stays short", "output", output(rest, more(-1))},
		{"no slice for who stays", "output", draft(func(_ *world, d *chain.Draft) { d.Outputs = d.Outputs[:rest] })},
		{"an output more, to a script", "output", draft(func(w *world, d *chain.Draft) {
			d.Outputs = append(d.Outputs, chain.Output{Address: w.Address, Value: chain.Coins(ada)})
		})},
		{"a signer less", "signers", draft(func(_ *world, d *chain.Draft) { d.Signers = d.Signers[1:] })},
		{"a signer more", "signers", draft(func(w *world, d *chain.Draft) { d.Signers = append(d.Signers, w.requester.Hash) })},
	}
}

func TestLeaveChecklist(t *testing.T) {
	for _, c := range unsafeLeaves() {
		t.Run(c.name, func(t *testing.T) {
			i := newInvitation(t)
			c.do(t, i)
			err := i.judge(t)
			var u *Unsafe
			if !errors.As(err, &u) || u.Check != c.want || !errors.Is(err, ErrUnsafe) {
				t.Fatalf("want %q: %v", c.want, err)
			}
		})
	}
}

// TestLeaveOutputsMissing: fewer outputs than lots.
func TestLeaveOutputsMissing(t *testing.T) {
	i := newInvitation(t)
	i.raw.Outputs, i.raw.Change = i.raw.Outputs[:1], i.w.Slices.Address
	var u *Unsafe
	if err := i.judge(t); !errors.As(err, &u) || u.Check != "output" {
		t.Fatal(err)
	}
}

func leaverData(index int, root byte) data.PlutusData {
	return data.NewConstr(0, integer(uint64(index)), data.NewByteString(append([]byte{root}, make([]byte, 31)...)))
}
