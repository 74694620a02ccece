package plutus

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// stakeMove is an attempt on a stake: what, by its owner alone or by all others together, and when.
type stakeMove struct {
	kind  string
	owner bool
	in    Frame
}

// stakeMoves are the kinds: as many attesters decide on half of a stake, on all of it, or one too few; or it is taken by
// nobody's verdict.
func stakeMoves() []string {
	return []string{"unbond", "withdraw", "half", "whole", "one attester", "no verdict"}
}

// allowedStake are the rules, as the protocol has them.
func (w *world) allowedStake(s Stake, m stakeMove, l Lot) bool {
	switch m.kind {
	case "unbond":
		return m.owner && s.Since == 0
	case "withdraw":
		return m.owner && s.Since != 0 && w.at(m.in.From) >= w.FreeAt(s)
	case "half", "whole":
		return w.at(m.in.Until) <= l.Deadline // bonded or not, whoever submits
	}
	return false
}

// attemptStake builds a move with whatever it takes beside the right state, signature and time.
func (w *world) attemptStake(s Stake, m stakeMove, l Lot) (d chain.Draft, err error) {
	take := map[string]uint64{"half": s.UNTX / 2, "whole": s.UNTX, "one attester": s.UNTX}[m.kind]
	of := attesterNames[:2]
	if m.kind == "one attester" {
		of = of[:1]
	}
	says := s // drafts refuse what is not in the right state: they are given a stake that says it is
	switch m.kind {
	case "unbond":
		says.Since = 0
		d, err = w.Unbond(says, w.at(m.in.Until), w.ledger, m.in)
	case "withdraw":
		says.Since = 1
		d, err = w.Withdraw([]Stake{says}, m.in)
	case "no verdict":
		d = chain.Draft{From: m.in.From, Until: m.in.Until}
		w.spendStake(&d, s, stakeSlash)
	default:
		v := Verdict{SlashUNTX: slash, TakenUNTX: take}
		for _, n := range of {
			v.Signatures = append(v.Signatures, w.Attest(signer(n), l, v.AwardUNTX, v.SlashUNTX, v.TakenUNTX))
		}
		d, err = w.Verdict(l, w.contested, v, m.in, s)
	}
	d.Signers = nil
	for _, a := range w.everyone() {
		if (a.Hash == s.Owner) == m.owner {
			d.Signers = append(d.Signers, a.Hash)
		}
	}
	return d, err
}

// lasting are ranges of slots in which something may become possible with a stake, from a slot on.
func (w *world) lasting(s Stake, now chain.Slot) (all []Frame, err error) {
	at := []chain.Slot{now, now + w.span}
	if s.Since != 0 {
		free, err := w.clock.CeilSlot(w.FreeAt(s))
		if err != nil {
			return nil, err
		}
		at = append(at, free-1, free)
	}
	for _, from := range at {
		all = append(all, w.frame(from))
	}
	return all, nil
}

// stakeWalk goes through what becomes of a stake.
type stakeWalk struct {
	*world
	t       *testing.T
	reached map[string]int
}

// from tries everything with a stake, and goes on with what is left of it. It says whether the owner got all of what is
// left back, with nobody's help.
func (w *stakeWalk) from(s Stake, now chain.Slot, path string, depth int) (out bool) {
	frames, err := w.lasting(s, now)
	if err != nil {
		w.t.Fatal(err)
	}
	l := w.lotOf(w.t, byte(20+depth), 0, Disputed, w.contested)
	for _, kind := range stakeMoves() {
		for _, owner := range []bool{false, true} {
			for _, in := range frames {
				m := stakeMove{kind, owner, in}
				left, err := w.attempt(s, m, l)
				if allowed := w.allowedStake(s, m, l); allowed != (err == nil) {
					w.t.Errorf("%s, %+v: allowed %v: %v", path, m, allowed, err)
				}
				if err != nil {
					continue
				}
				w.reached[kind]++
				alone := owner && (kind == "unbond" || kind == "withdraw")
				if left == nil {
					out = out || alone && kind == "withdraw"
				} else if depth > 1 {
					got := w.from(*left, in.From, path+", "+kind, depth-1)
					out = out || alone && got
				}
			}
		}
	}
	if depth > 1 && !out {
		w.t.Errorf("%s: the owner does not get it back", path)
	}
	return out
}

// attempt submits a move. If it is accepted, all NTX must be where it may be, and the stake that is left as it was.
func (w *stakeWalk) attempt(s Stake, m stakeMove, l Lot) (left *Stake, err error) {
	d, err := w.attemptStake(s, m, l)
	if err != nil {
		return nil, err
	}
	tx, err := w.submit(d, w.stranger)
	if err != nil {
		return nil, err
	}
	b, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	var sunk uint64
	for _, o := range b.Outputs {
		switch o.Address {
		case w.StakeAddress:
			got, err := w.ReadStake(o)
			if err != nil || left != nil {
				w.t.Errorf("%+v leaves %s, beside %v: %v", m, o.Ref, left, err)
			}
			left = &got
		case chain.ScriptAddress(w.Network, w.Params.Sink):
			sunk += o.Value.Of(ntx)
		}
	}
	if why := w.wrong(s, left, m, sunk); why != "" {
		w.t.Errorf("%+v: %s", m, why)
	}
	return left, nil
}

// wrong is what must not have become of a stake.
func (w *stakeWalk) wrong(s Stake, left *Stake, m stakeMove, sunk uint64) string {
	taken := map[string]uint64{"half": s.UNTX / 2, "whole": s.UNTX, "withdraw": s.UNTX}[m.kind]
	switch {
	case m.kind == "half" || m.kind == "whole":
		if sunk != slash+taken {
			return fmt.Sprintf("%d went to the sink, not %d", sunk, slash+taken)
		}
	case sunk != 0:
		return fmt.Sprintf("%d went to the sink", sunk)
	}
	if left == nil {
		if taken != s.UNTX {
			return "nothing is left of it"
		}
		return ""
	}
	since := s.Since
	if m.kind == "unbond" {
		since = w.at(m.in.Until)
	}
	if left.Owner != s.Owner || left.UNTX != s.UNTX-taken || left.Since != since || left.UTxO.Value.Coin < s.UTxO.Value.Coin {
		return fmt.Sprintf("%+v is left of %+v", *left, s)
	}
	return ""
}

// TestWalkOfStakes tries everything with a stake, by its owner and by all others together, at every time that matters, and
// with what is left of it again: only an owner who has waited gets a stake back, only a verdict takes of it, and nothing
// that anybody does makes a stake younger or older or keeps it from its owner for longer than the delay.
func TestWalkOfStakes(t *testing.T) {
	w := &stakeWalk{world: newWorld(t, silentBlueprint), t: t, reached: map[string]int{}}
	w.from(w.stake(2, 0, firstStake, 0), w.moments.verdict, "bonded", 3)
	for _, kind := range stakeMoves() {
		if want := !slices.Contains([]string{"one attester", "no verdict"}, kind); want != (w.reached[kind] > 0) {
			t.Errorf("%s was accepted %d times", kind, w.reached[kind])
		}
	}
	t.Logf("accepted: %v", w.reached)
}
