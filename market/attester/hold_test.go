package attester

import (
	"context"
	"maps"
	"testing"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

func (w *world) Prune(_ context.Context, keep func(market.Hash) bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.store, func(root market.Hash, _ map[string]string) bool { return !keep(root) })
	return nil
}

// What was fetched is removed, but for the outputs that a requester may still want; those when the lot is over.
func TestHolds(t *testing.T) {
	w := newWorld(t)
	w.decided(w.prov.id, w.request(w.result))
	holds := func(roots ...market.Hash) {
		t.Helper()
		if err := w.d.prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, r := range roots {
			if w.store[r] == nil {
				t.Errorf("bundle %s is gone", r)
			}
		}
		if len(w.store) != len(roots) {
			t.Errorf("%d bundles are left, not %d", len(w.store), len(roots))
		}
	}
	if len(w.store) != 3 {
		t.Fatalf("%d bundles were fetched", len(w.store))
	}
	w.d.bundles.RLock() // a lot is looked at
	holds(program, input, output)
	w.d.bundles.RUnlock()
	holds(output)
	before := w.granted[w.req.id]
	if err := w.d.resume(t.Context()); err != nil || w.granted[w.req.id] != before+1 {
		t.Errorf("after a restart: %v, granted %d", err, w.granted[w.req.id])
	}
	w.lot.Status = escrow.Judged
	holds(output) // its verdict window is not over
	clock, _ := w.Clock(t.Context())
	for clock.SlotToTime(w.Tip()) < w.lot.Deadline {
	}
	holds()
	if left, err := w.d.store.holdings(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}
