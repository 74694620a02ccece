//go:build disputes

package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// TestVersions changes the contracts while a job is under way. The job ends with those that it was opened with, and the
// next one uses the new ones.
func TestVersions(t *testing.T) {
	quick := pace()
	quick.Policy.Patience = 1000
	s := newStreet(t, quick)
	if err := s.StartProviders(t.Context()); err != nil {
		t.Fatal(err)
	}
	waits := map[string]string{"verify": "{policy: review, window: 3m}"}
	first := s.gathered(t, waits)
	if err := s.Requester.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	home := s.Requester.Home
	next := s.Network
	next.Older = []plutus.Params{s.Network.Contracts}
	next.Contracts.MaxReviewMS--
	for _, p := range []*testnet.Participant{s.Requester, s.Providers[0]} {
		if p != s.Requester {
			if err := p.Process().Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := next.Save(filepath.Join(p.Home, "network.json")); err != nil {
			t.Fatal(err)
		}
	}
	s.run(t, home, "", nil, "contracts", "deploy", "-y").wants(t, 0)
	s.run(t, home, "", nil, "contracts", "deploy", "-y").wants(t, 0, "published already")
	show := s.run(t, home, "", nil, "contracts", "show", "-o", "json")
	show.wants(t, 0)
	var versions []deployed
	if err := json.Unmarshal([]byte(show.out), &versions); err != nil || len(versions) != 2 {
		t.Fatalf("%v %s", err, show.out)
	}
	for i, v := range versions {
		if len(v.Published) != 5 || v.Older != (i == 1) || v.Policy == versions[1-i].Policy {
			t.Errorf("version %d: %+v", i, v)
		}
	}
	if err := s.StartProvider(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s.run(t, home, "", nil, "approve", first).wants(t, 0, "approved")
	second := s.gathered(t, waits)
	c, err := plutus.New(next.Chain(), next.Contracts)
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Node.UTxOs(t.Context(), c.Address)
	if err != nil || len(at) != 6 { // five published scripts, and the lot
		t.Errorf("%d outputs of the new contracts: %v", len(at), err)
	}
	s.run(t, home, "", nil, "approve", second).wants(t, 0)
	if code, err := s.Requester.Process().Wait(t.Context()); err != nil || code != 0 {
		t.Errorf("exit code %d %v", code, err)
	}
	for _, id := range []string{first, second} {
		var o requester.Outcome
		if err := s.Requester.Tally(t.Context(), &o, "status", id); err != nil || o.Lots[0].Status != escrow.Approved {
			t.Errorf("%+v %v", o, err)
		}
	}
}

// gathered runs a small job until its results wait for a decision.
func (s *street) gathered(t *testing.T, change map[string]string) string {
	t.Helper()
	run, err := s.Requester.StartRun(s.job(t, change), filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := run.Until(t.Context(), requester.Gathered)
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}
