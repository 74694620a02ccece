package plutus

import (
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// attack changes one thing in a draft that passes. want is the check that must refuse it, or "" if it is harmless and
// must pass.
type attack struct {
	name string
	want string
	do   func(w *world, d *chain.Draft)
}

// attacks is what is tried on one transition.
type attacks struct {
	draft func(*world, testing.TB) chain.Draft
	payer func(*world) chaintest.Actor
	list  []attack
}

// everything is what is tried on each transition.
func everything() map[string]attacks {
	all := map[string]attacks{
		"open": openAttacks(), "terms": termsAttacks(), "commit": commitAttacks(), "approve": approveAttacks(),
		"claim": claimAttacks(), "refund": refundAttacks(), "decline": declineAttacks(),
		"contested": contestedAttacks(), "close": closeAttacks(), "redeem": redeemAttacks(), "dispute": disputeAttacks(),
		"verdict": verdictAttacks(), "verdict, of stakes": takingAttacks(), "concede": concedeAttacks(), "lapse": lapseAttacks(),
		"start": startAttacks(), "start, terms": startTermsAttacks(), "start, contested": startContestedAttacks(),
		"settle": settleAttacks(), "leave": leaveAttacks(), "leave, last": leaveLastAttacks(), "finish": finishAttacks(), "dissolve": dissolveAttacks(),
	}
	for name, as := range all {
		if ofSlices(name) {
			as.list = append(as.list, everywhereOfSlices(name)...)
		} else {
			as.list = append(as.list, everywhere(name)...)
		}
		all[name] = as
	}
	all["unbond"], all["withdraw"] = unbondAttacks(), withdrawAttacks()
	return all
}

// TestAttacks tries everything on the deployed build, and runs the traced one on what was refused: it must refuse too, at
// the check that the attack is aimed at. What is harmless must pass both.
func TestAttacks(t *testing.T) {
	silent, traced := newWorld(t, silentBlueprint), newWorld(t, tracedBlueprint)
	n := 0
	for name, as := range everything() {
		for _, a := range as.list {
			n++
			t.Run(name+"/"+a.name, func(t *testing.T) {
				try := func(w *world) error {
					d := as.draft(w, t)
					a.do(w, &d)
					_, err := w.submit(d, as.payer(w))
					return w.Explain(err)
				}
				err := try(silent)
				if got := label(err); got != a.want || a.want == "" && err != nil {
					t.Errorf("check %q, want %q: %v", got, a.want, err)
				}
				if a.want == "" {
					if err := try(traced); err != nil {
						t.Errorf("the traced build refuses: %v", err)
					}
				}
			})
		}
	}
	t.Logf("%d attacks", n)
}

// TestBesides puts beside every transition what its transaction must not carry.
func TestBesides(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for kind, as := range everything() {
		for _, b := range besides() {
			if free(kind) {
				b.want = ""
			}
			payer := as.payer(w)
			r := chaintest.Raw{Draft: as.draft(w, t), Paying: purse(payer), Change: payer.Address, Collateral: collateral(payer)}
			b.do(&r)
			tx, err := r.Encode(w.ledger, w.Network)
			if err != nil {
				t.Fatalf("%s, %s: %v", kind, b.name, err)
			}
			_, err = chain.Evaluate(tx, tx.Resolved(), w.ledger, w.clock)
			if got := label(w.Explain(err)); got != b.want {
				t.Errorf("%s, %s: check %q, want %q: %v", kind, b.name, got, b.want, err)
			}
		}
	}
}

// TestEveryCheckIsTried: no check of the contracts is without an attack that only it refuses, and none without its
// sentence. The checks that there is an output at all are tried in the contracts' own tests: a draft has its change.
func TestEveryCheckIsTried(t *testing.T) {
	tried := map[string]bool{
		"commit.output": true, "claim.output": true, "refund.output": true, "redeem.output": true, "dispute.output": true, "redeemer": true,
		"unbond.output": true, "unbond.range": true, "withdraw.range": true, "stakes.left": true,
	}
	for _, b := range besides() {
		tried[b.want] = true
	}
	for _, as := range everything() {
		for _, a := range as.list {
			tried[a.want] = true
			if _, ok := sentences()[a.want]; a.want != "" && !ok {
				t.Errorf("no sentence for %q", a.want)
			}
		}
	}
	for check := range sentences() {
		if !tried[check] {
			t.Errorf("check %q is never tried", check)
		}
	}
	for check := range tried {
		if check != "" && check != "redeemer" && !strings.Contains(labels(t), check) {
			t.Errorf("check %q is not in the contracts", check)
		}
	}
}
