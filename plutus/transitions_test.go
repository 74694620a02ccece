package plutus

import (
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// passing lists the drafts that both builds must accept, with who pays the fee.
func passing() []struct {
	name  string
	draft func(*world, testing.TB) chain.Draft
	payer func(*world) chaintest.Actor
} {
	requester := func(w *world) chaintest.Actor { return w.requester }
	provider := func(w *world) chaintest.Actor { return w.providers[0] }
	stranger := func(w *world) chaintest.Actor { return w.stranger }
	return []struct {
		name  string
		draft func(*world, testing.TB) chain.Draft
		payer func(*world) chaintest.Actor
	}{
		{"open", (*world).open, requester},
		{"commit", (*world).commit, provider},
		{"approve", (*world).approve, requester},
		{"claim", (*world).claim, provider},
		{"refund", (*world).refund, stranger},
		{"decline", (*world).decline, provider},
		{"open, contested", (*world).openContested, requester},
		{"close", (*world).close, requester},
		{"redeem", (*world).redeem, provider},
		{"dispute", (*world).dispute, requester},
		{"verdict", (*world).verdict, stranger},
		{"concede", (*world).concede, requester},
		{"lapse", (*world).lapse, stranger},
		{"verdict, of stakes", (*world).verdictOfStakes, stranger},
		{"unbond", (*world).unbond, provider},
		{"withdraw", (*world).withdraw, provider},
		{"start", (*world).startSlices, requester},
		{"settle", (*world).settle, requester},
		{"leave", (*world).leave, stranger},
		{"leave, last", (*world).leaveLast, stranger},
		{"finish", (*world).finish, requester},
		{"dissolve", (*world).dissolve, stranger},
	}
}

func TestEveryTransitionPasses(t *testing.T) {
	for name, blueprint := range map[string][]byte{"silent": silentBlueprint, "traced": tracedBlueprint} {
		w := newWorld(t, blueprint)
		for _, c := range passing() {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				tx, err := w.submit(c.draft(w, t), c.payer(w))
				if err != nil {
					t.Fatal(w.Explain(err))
				}
				if n := len(tx.Bytes()); n > 16384 {
					t.Errorf("%d bytes, those of lots with both scripts attached", n)
				}
			})
		}
	}
}
