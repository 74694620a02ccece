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

// request is what a provider is asked to witness, and what it knows itself.
type request struct {
	w        *world
	t        *testing.T
	draft    chain.Draft
	coll     []chain.UTxO
	resolved func([]chain.UTxO) []chain.UTxO
	patch    func(map[uint64]cbor.RawMessage) // fields of the body, afterwards
	redeemer []byte                           // in place of the policy's, afterwards
	mine     Mine
	judge    func(*chain.Tx, []chain.UTxO, Mine, chain.Params, chain.Clock) error
}

// me is the second provider, the one with a stake key.
const me = 1

func newRequest(t *testing.T) *request {
	t.Helper()
	w := newWorld(t, silentBlueprint)
	p := w.providers[me]
	own := append(purse(p), collateral(p)...)
	return &request{
		w: w, t: t, draft: w.open(t), judge: w.CheckOpening, coll: collateral(w.requester),
		resolved: func(us []chain.UTxO) []chain.UTxO { return us },
		mine: Mine{
			Terms: w.terms, Part: w.parts()[me], Until: at(openFrom + 900),
			Keys: []chain.KeyHash{p.Hash, chaintest.NewActor("stake").Hash},
			Owns: func(r chain.OutRef) bool {
				return slices.ContainsFunc(own, func(u chain.UTxO) bool { return u.Ref == r })
			},
		},
	}
}

// check builds the transaction as the requester would, and goes through the checklist.
func (r *request) check() error {
	r.t.Helper()
	tx, err := chain.Balance(r.draft, purse(r.w.requester), r.w.requester.Address, r.coll, chaintest.Params(), chaintest.Clock(), r.w.Network)
	if err != nil {
		r.t.Fatal(r.w.Explain(err))
	}
	resolved := r.resolved(tx.Resolved())
	if r.patch != nil || r.redeemer != nil {
		tx = r.bend(tx)
	}
	return r.judge(tx, resolved, r.mine, chaintest.Params(), chaintest.Clock())
}

// bend changes what Balance would not make.
func (r *request) bend(tx *chain.Tx) *chain.Tx {
	r.t.Helper()
	var parts []cbor.RawMessage
	r.must(cbor.Unmarshal(tx.Bytes(), &parts))
	enc, err := cbor.EncOptions{Sort: cbor.SortBytewiseLexical}.EncMode()
	r.must(err)
	if r.patch != nil {
		var body map[uint64]cbor.RawMessage
		r.must(cbor.Unmarshal(parts[0], &body))
		r.patch(body)
		parts[0], err = enc.Marshal(body)
		r.must(err)
	}
	if r.redeemer != nil {
		var set map[uint64]cbor.RawMessage
		r.must(cbor.Unmarshal(parts[1], &set))
		set[5], err = enc.Marshal(map[[2]uint64][]any{{1, 0}: {cbor.RawMessage(r.redeemer), []uint64{1, 1}}})
		r.must(err)
		parts[1], err = enc.Marshal(set)
		r.must(err)
	}
	b, err := enc.Marshal(parts)
	r.must(err)
	bent, err := chain.DecodeTx(b)
	r.must(err)
	return bent
}

func (r *request) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestChecklistLetsAnHonestOpeningPass(t *testing.T) {
	if err := newRequest(t).check(); err != nil {
		t.Fatal(err)
	}
	r := newRequest(t) // with nothing left to change
	r.mine.Part.BondInput.Value = chain.Coins(ada).With(ntx, bond)
	parts := r.w.parts()
	parts[me] = r.mine.Part
	r.draft = must(r.w.Open(r.w.terms, parts, r.w.seed(), frame(openFrom)))(t)
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
}

// unsafeOpening breaks one line of the checklist, and that line alone.
type unsafeOpening struct {
	name, want string
	do         func(*request)
}

func item(v any) cbor.RawMessage {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func unsafeOpenings() []unsafeOpening {
	field := func(k uint64, v any) func(*request) {
		return func(r *request) { r.patch = func(b map[uint64]cbor.RawMessage) { b[k] = item(v) } }
	}
	spend := func(r *request, u chain.UTxO) { r.draft.Inputs = append(r.draft.Inputs, chain.Input{UTxO: u}) }
	stranger := chaintest.NewActor("stranger")
	lot, change := 1, 4 // my lot and my change among the outputs

	return []unsafeOpening{
		{"a certificate", "certificates", field(4, cbor.Tag{Number: 258, Content: []any{[]any{0, []any{0, make([]byte, 28)}}}})},
		{"a withdrawal", "withdrawals", field(5, map[string]uint64{})},
		{"a vote", "votes", field(19, map[uint64]uint64{})},
		{"a proposal", "proposals", field(20, []any{})},
		{"a treasury value", "treasury", field(21, 1)},
		{"a donation", "donation", field(22, 1)},
		{"another bond input of mine", "bond input", func(r *request) {
			r.mine.Part.BondInput.Ref.Index++
		}},
		{"a bond input said to hold something else", "bond input", func(r *request) {
			r.resolved = func(us []chain.UTxO) []chain.UTxO {
				i := slices.IndexFunc(us, func(u chain.UTxO) bool { return u.Ref == r.mine.Part.BondInput.Ref })
				us[i].Value = us[i].Value.With(ntx, 1)
				return us
			}
		}},
		{"a second input of mine", "inputs", func(r *request) { spend(r, r.w.providers[me].Coin(0, chain.Coins(3_000_000))) }},
		{"a second input of mine, unknown to my index", "inputs", func(r *request) {
			spend(r, r.w.providers[me].Coin(77, chain.Coins(3_000_000)))
		}},
		{"a second input of mine, said to be another's", "inputs", func(r *request) {
			spend(r, r.w.providers[me].Coin(1, chain.Coins(3_000_000)))
			r.resolved = func(us []chain.UTxO) []chain.UTxO {
				for i := range us {
					if us[i].Ref == r.w.providers[me].Coin(1, chain.Value{}).Ref {
						us[i].Address = stranger.Address
					}
				}
				return us
			}
		}},
		{"an input nobody explains", "inputs", func(r *request) {
			r.resolved = func(us []chain.UTxO) []chain.UTxO {
				return slices.DeleteFunc(us, func(u chain.UTxO) bool { return u.Ref == r.w.seed().Ref })
			}
		}},
		{"my collateral", "collateral", func(r *request) { r.coll = collateral(r.w.providers[me]) }},
		{"my bond input as collateral", "collateral", func(r *request) {
			b := r.mine.Part.BondInput.Ref
			field(13, cbor.Tag{Number: 258, Content: []any{[]any{b.Tx[:], b.Index}}})(r)
		}},
		{"collateral nobody explains", "collateral", func(r *request) {
			r.resolved = func(us []chain.UTxO) []chain.UTxO {
				return slices.DeleteFunc(us, func(u chain.UTxO) bool { return u.Ref.Index == 9 })
			}
		}},
		{"other terms", "terms", func(r *request) { r.mine.Terms.Rest[0]++ }},
		{"terms that cannot be", "terms", func(r *request) { r.mine.Terms.BondBps = wholeBps + 1 }},
		{"another redeemer", "redeemers", func(r *request) { r.redeemer = raw(data.NewConstr(9)) }},
		{"a redeemer of another transition", "terms", func(r *request) { r.redeemer = raw(data.NewConstr(2)) }},
		{"a redeemer with other terms", "terms", func(r *request) {
			r.redeemer = raw(data.NewConstr(0, data.NewByteString(r.w.otherJob(1).pack())))
		}},
		{"no lot of mine", "lot", func(r *request) {
			l := Lot{Provider: chain.Enterprise(r.w.Network, after(r.w.providers[me].Hash))}
			r.draft.Outputs[lot].Datum, _ = l.datum()
		}},
		{"a lot that pays to another address of mine", "lot address", func(r *request) {
			l := Lot{Provider: r.w.providers[me].Address}
			r.draft.Outputs[lot].Datum, _ = l.datum()
		}},
		{"another price and its bond", "lot value", func(r *request) { more(6)(&r.draft.Outputs[lot]) }},
		{"more lovelace in the lot", "lot lovelace", func(r *request) { coin(5)(&r.draft.Outputs[lot]) }},
		{"change short of a lovelace", "change", func(r *request) { coin(-1)(&r.draft.Outputs[change]) }},
		{"change short of an NTX", "change", func(r *request) { more(-1)(&r.draft.Outputs[change]) }},
		{"no change", "change", func(r *request) { r.draft.Outputs = slices.Delete(r.draft.Outputs, change, change+1) }},
		{"change to another", "change", func(r *request) { r.draft.Outputs[change].Address = stranger.Address }},
		{"change to another stake key", "change", func(r *request) {
			r.draft.Outputs[change].Address = chain.Base(r.w.Network, r.w.providers[me].Hash, stranger.Hash)
		}},
		{"change with a datum", "change", func(r *request) { r.draft.Outputs[change].Datum = raw(integer(1)) }},
		{"change with a script", "change", func(r *request) {
			r.draft.Outputs[change].Script = chaintest.Accepts(1)
		}},
		{"valid after the reservation's end", "range", func(r *request) { r.mine.Until-- }},
		{"no end of validity", "range", func(r *request) { r.patch = func(b map[uint64]cbor.RawMessage) { delete(b, 3) } }},
		{"no start of validity", "range", func(r *request) { r.patch = func(b map[uint64]cbor.RawMessage) { delete(b, 8) } }},
	}
}

func TestChecklist(t *testing.T) {
	for _, c := range unsafeOpenings() {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(t)
			c.do(r)
			err := r.check()
			var u *Unsafe
			if !errors.As(err, &u) || u.Check != c.want || !errors.Is(err, ErrUnsafe) {
				t.Fatalf("want %q: %v", c.want, err)
			}
		})
	}

	t.Run("the script refuses", func(t *testing.T) {
		r := newRequest(t)
		r.mine.Until = at(10000)
		r.patch = func(b map[uint64]cbor.RawMessage) { b[3], b[8] = item(4000), item(3500) }
		if err := r.check(); label(err) != "open.decline_by" {
			t.Fatal(err)
		}
	})
}

// after is a key hash that follows another.
func after(h chain.KeyHash) chain.KeyHash {
	h[27]++
	return h
}
