package plutus

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// move is an attempt: a transition of a slice, by somebody, in a part of the job's life.
type move struct {
	kind Kind
	who  who
	when int
}

// allowedMove are the rules, as the protocol has them.
func allowedMove(m move) bool {
	requester, provider := m.who == requesterAlone || m.who == both, m.who == providerAlone || m.who == both
	switch m.kind {
	case KindSettle:
		return requester
	case KindLeave:
		return provider && m.when <= 1
	case KindFinish: // in when 1 the range ends at commit_by
		return requester && m.when != 1
	case KindDissolve:
		return m.when >= 2
	}
	return false
}

// attemptMove builds a move of a slice with so many shares, by the providers whose share is the first.
func (w *world) attemptMove(tb testing.TB, m move, of ...int) (chain.Draft, error) {
	tb.Helper()
	f := w.lives()[m.when]
	f.References = w.published
	s := w.slice(tb, 1, of...)
	var d chain.Draft
	var err error
	switch m.kind {
	case KindSettle:
		d, err = w.Settle([]Slice{s}, []Terms{w.sliced}, f)
	case KindLeave:
		d, err = w.Leave(s, w.sliced, []Leaver{{Index: 0}}, 0, f)
	case KindFinish:
		d, err = w.Finish(s, w.sliced, []int{0}, f)
	case KindDissolve:
		d, err = w.Dissolve(s, w.sliced, f)
	}
	d.Signers = map[who][]chain.KeyHash{
		requesterAlone: {w.requester.Hash}, providerAlone: {w.providers[of[0]].Hash}, both: {w.requester.Hash, w.providers[of[0]].Hash},
	}[m.who]
	return d, err
}

// TestWalkOfSlices tries every transition of slices of one, two and three shares, by everybody, in every part of a job's
// life, and compares what the contracts accept with the rules: so of every slice that a start and any leaving can make
// here. All NTX is in the end with those it may go to, and every slice has a way out that takes nobody's signature.
func TestWalkOfSlices(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for _, of := range [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}} {
		free := false
		for _, kind := range moves() {
			for who := nobody; who <= both && kind != KindStart; who++ {
				for when := range w.lives() {
					m := move{kind, who, when}
					d, err := w.attemptMove(t, m, of...)
					if err == nil {
						_, err = w.submit(d, w.stranger)
					}
					if allowedMove(m) != (err == nil) {
						t.Errorf("%v, %+v: allowed %v: %v", of, m, allowedMove(m), err)
					}
					if err != nil {
						continue
					}
					if err := w.conservedMove(d, of); err != nil {
						t.Errorf("%v, %+v: %v", of, m, err)
					}
					free = free || who == nobody && when == len(w.lives())-1
				}
			}
		}
		if !free {
			t.Errorf("%v: no way out in the end for anybody", of)
		}
	}
}

// conservedMove says whether all NTX of a slice is with the requester, its providers, in lots or in a slice.
func (w *world) conservedMove(d chain.Draft, of []int) error {
	may := []chain.Address{w.requester.Address, w.Address, w.Slices.Address}
	for _, i := range of {
		may = append(may, w.addresses[i])
	}
	sum := uint64(0)
	for _, o := range d.Outputs {
		if !slices.Contains(may, o.Address) {
			return fmt.Errorf("paid to %s", o.Address)
		}
		sum += o.Value.Of(ntx)
	}
	if want := d.Inputs[0].Value.Of(ntx); sum != want {
		return fmt.Errorf("%d of %d paid", sum, want)
	}
	return nil
}
