package plutus

import (
	"errors"
	"slices"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain/chaintest"
)

// newStart is a start of slices that the second provider is asked to witness: its share is in the first.
func newStart(t *testing.T) *request {
	t.Helper()
	r := newRequest(t)
	r.draft, r.judge = r.w.startPlain(t), r.w.CheckStart
	r.mine.Until = at(r.draft.Until)
	return r
}

func TestChecklistLetsAnHonestStartPass(t *testing.T) {
	if err := newStart(t).check(); err != nil {
		t.Fatal(err)
	}
}

// unsafeStarts are what is as unsafe in a start as in an opening, and what only a start has.
func unsafeStarts() []unsafeOpening {
	const slice, change = 0, 3 // my slice and my change among the outputs
	stranger := chaintest.NewActor("stranger")
	same := []string{
		"certificates", "withdrawals", "votes", "proposals", "treasury", "donation", "bond input", "inputs", "collateral", "range",
	}
	return append(slices.DeleteFunc(unsafeOpenings(), func(c unsafeOpening) bool { return !slices.Contains(same, c.want) }), []unsafeOpening{
		{"other terms", "terms", func(r *request) { r.mine.Terms.Rest[0]++ }},
		{"terms that cannot be", "terms", func(r *request) { r.mine.Terms.BondBps = wholeBps + 1 }},
		{"a redeemer of another policy's", "redeemers", func(r *request) { r.redeemer = raw(data.NewConstr(9)) }},
		{"a redeemer of another transition", "terms", func(r *request) {
			r.redeemer = r.w.moveData(KindDissolve, data.NewByteString(r.w.terms.pack()), data.NewByteString(nil))
		}},
		{"another list", "slice", func(r *request) {
			r.redeemer = r.w.moveData(KindStart, data.NewByteString(r.w.terms.pack()), data.NewList(data.NewByteString(list(r.w.shares(me)))))
		}},
		{"a share of mine at another price", "share", func(r *request) { r.mine.Part.PriceUNTX++ }},
		{"a share that pays to another address of mine", "share", func(r *request) { r.mine.Part.Provider = r.w.providers[me].Address }},
		{"lots of another policy", "slice", func(r *request) {
			r.draft.Outputs[slice].Datum = raw(data.NewConstr(0, data.NewByteString(blake256(list0(r))), data.NewByteString(make([]byte, 28))))
		}},
		{"change short of a lovelace", "change", func(r *request) { coin(-1)(&r.draft.Outputs[change]) }},
		{"change short of an NTX", "change", func(r *request) { more(-1)(&r.draft.Outputs[change]) }},
		{"change to another", "change", func(r *request) { r.draft.Outputs[change].Address = stranger.Address }},
		{"change with a datum", "change", func(r *request) { r.draft.Outputs[change].Datum = raw(integer(1)) }},
	}...)
}

// list0 is the list of the slice that my share is in.
func list0(r *request) []byte { return list(r.w.shares(0, me)) }

func TestStartChecklist(t *testing.T) {
	for _, c := range unsafeStarts() {
		t.Run(c.name, func(t *testing.T) {
			r := newStart(t)
			c.do(r)
			err := r.check()
			var u *Unsafe
			if !errors.As(err, &u) || u.Check != c.want || !errors.Is(err, ErrUnsafe) {
				t.Fatalf("want %q: %v", c.want, err)
			}
		})
	}
}

// TestChecklistOfAttesters: a job with disputes is witnessed only if all who can decide are on the provider's list.
func TestChecklistOfAttesters(t *testing.T) {
	opening, start := newRequest(t), newStart(t)
	opening.draft, opening.mine.Terms = opening.w.openContested(t), opening.w.contested
	start.draft, start.mine.Terms = start.w.startSlices(t), start.w.sliced
	for _, r := range []*request{opening, start} {
		r.mine.Until = at(r.draft.Until)
		r.mine.Attesters = r.mine.Terms.Disputes.Attesters.List()
		if err := r.check(); err != nil {
			t.Error(err)
		}
		var u *Unsafe
		r.mine.Attesters = r.mine.Attesters[1:]
		if err := r.check(); !errors.As(err, &u) || u.Check != "attesters" {
			t.Errorf("an attester that is not mine: %v", err)
		}
	}
}
