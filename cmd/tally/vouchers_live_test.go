//go:build disputes

package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market/requester"
)

// TestVouchersLive pays a provider as its program runs. The requester is killed after a while: the provider stops
// working for nothing, and redeems what it has before commit_by.
func TestVouchersLive(t *testing.T) {
	s := newStreet(t, pace())
	if err := s.StartProvider(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	e := s.deserted(t, "{match: 10s, start: 10s, run: 30s, collect: 10s}")
	const price = 30_000
	var stories []lotStory
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		a := s.run(t, s.Requester.Home, "", nil, "escrow", e.Job.String(), "-o", "json")
		a.wants(t, 0)
		if err := json.Unmarshal([]byte(a.out), &stories); err != nil || len(stories) != 1 {
			t.Fatalf("%v %s", err, a.out)
		}
		if stories[0].Status.Final() {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", stories[0])
		}
	}
	l := stories[0]
	if paid := l.ToProviderUNTX - min(l.ToProviderUNTX, l.BondUNTX); l.Status != escrow.Redeemed || paid < 2*price/30 || paid > 16*price/30 || paid+l.ToRequesterUNTX != price {
		t.Errorf("%+v", l)
	}
	s.run(t, s.Providers[0].Home, "", nil, "provider", "status").wants(t, 0, "redeemed")
}

// deserted is a job that is paid by vouchers, whose requester is killed when it has sent some.
func (s *street) deserted(t *testing.T, timeouts string) requester.Event {
	t.Helper()
	run, err := s.Requester.StartRun(s.job(t, map[string]string{
		"run": "sleep 100", "budget": "{max_ntx: 1, voucher_every: 2s}", "timeouts": timeouts,
	}), filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := run.Until(t.Context(), requester.Running)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(8 * time.Second)
	if err := run.Kill(); err != nil {
		t.Fatal(err)
	}
	return e
}
