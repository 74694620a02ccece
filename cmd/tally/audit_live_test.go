//go:build disputes

package main

import (
	"path/filepath"
	"testing"

	"github.com/tallycompute/tally/escrow"
)

// TestDisputesByAudit has one provider return a wrong result and one a right one, and nobody who looks: the requester's
// tool runs both again, pays the right one, and disputes the wrong one, which the attesters take from its provider.
func TestDisputesByAudit(t *testing.T) {
	c := newCourt(t)
	go tamper(t.Context(), filepath.Join(c.Providers[0].Home, "jobs", "*", "shard-*", "out", "n"))
	file := c.disputable(t, "echo 42 > $OUTPUT_DIR/n; sleep 3", 2, "15s", "2m", "0.002", "policy", "accept", "window", "2m", "audit_percent", "100")
	run, err := c.Requester.StartRun(file, filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	out, code, err := run.Outcome(t.Context())
	if err != nil || code != 0 || len(out.Lots) != 2 {
		t.Fatalf("%d %+v %v", code, out, err)
	}
	for i, want := range []escrow.Status{escrow.Judged, escrow.Approved} {
		if l := out.Lots[i]; l.Status != want {
			t.Errorf("lot %d: %+v", i, l)
		}
	}
	c.moved(t, map[string]int64{
		"requester": -priceRight, "provider-0": -disputeCost - slashed, "provider-1": priceRight, "payee": disputeCost, "sink": slashed,
	})
	if left, err := filepath.Glob(filepath.Join(c.Requester.Home, "jobs", "*", "audit-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
