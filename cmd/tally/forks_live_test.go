//go:build disputes

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet"
)

// forked is a court on a chain of two producers: the requester's node is the first, the provider's the second. They can
// be cut apart; the parties still talk to each other.
type forked struct{ *court }

// The sides of the cut.
const (
	requesters = 0
	providers  = 1
)

// TestForks cuts the network between the parties, lets each end a lot in its own way or move it on, and joins the two
// again. Whichever side wins, both parties see the same in the end, nobody is paid twice, and what the losing side did
// and is still due is done again in time.
func TestForks(t *testing.T) {
	f := forked{newCourt(t, func(cfg *testnet.WorldConfig) {
		cfg.Producers, cfg.Rates = 2, cfg.Rates[:1]
	})}
	f.quiet(t) // no verdict comes between
	for side, want := range map[int]escrow.Status{requesters: escrow.Approved, providers: escrow.Claimed} {
		t.Run("approved on one side, claimed on the other, ends as "+want.String(), func(t *testing.T) {
			id := f.committed(t, "10s")
			f.cut(t)
			f.run(t, f.Requester.Home, "", nil, "approve", id, "0").wants(t, 0)
			f.sees(t, id, escrow.Approved)
			f.sold(t, escrow.Claimed)
			f.heal(t, side)
			f.both(t, id, want)
			f.moved(t, map[string]int64{"requester": -smallPrice, "provider-0": smallPrice})
		})
	}
	t.Run("a dispute on the losing side is made again", func(t *testing.T) {
		id := f.committed(t, "60s")
		f.cut(t)
		f.run(t, f.Requester.Home, "", nil, "dispute", id, "0").wants(t, 0)
		f.sees(t, id, escrow.Disputed)
		f.sold(t, escrow.Committed)
		f.heal(t, providers)
		f.sold(t, escrow.Disputed)
		f.run(t, f.Requester.Home, "", nil, "concede", id, "0").wants(t, 0)
		f.both(t, id, escrow.Conceded)
		f.moved(t, map[string]int64{"requester": -smallPrice - smallCost, "provider-0": smallPrice, "payee": smallCost})
	})
	t.Run("refunded on one side, committed on the other", func(t *testing.T) {
		// Without attesters a provider waits before it commits, which leaves time to cut.
		_, id := f.begun(t, f.job(t, map[string]string{
			"run": "echo 42 > $OUTPUT_DIR/n; sleep 4", "verify": "{policy: review, window: 10s}", "timeouts": "{match: 10s, start: 20s, run: 6s, collect: 10s}",
		}), requester.Running)
		f.cut(t)
		f.sees(t, id, escrow.Refunded)
		f.sold(t, escrow.Claimed)
		f.heal(t, providers)
		f.both(t, id, escrow.Claimed)
		f.moved(t, map[string]int64{"requester": -smallPrice, "provider-0": smallPrice})
	})
	t.Run("a refund on the losing side is made again", func(t *testing.T) {
		id := f.begins(t, "sleep 5", "10s", requester.Running)
		if err := f.Providers[0].Process().Kill(); err != nil {
			t.Fatal(err)
		}
		f.cut(t)
		f.sees(t, id, escrow.Refunded)
		if _, err := f.Requester.Process().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.heal(t, providers)
		f.sees(t, id, escrow.Open)
		f.run(t, f.Requester.Home, "", nil, "refund", id).wants(t, exitRefunded, "refunded")
		f.moved(t, map[string]int64{"requester": smallPenalty, "provider-0": -smallPenalty})
		if err := f.StartProvider(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		f.both(t, id, escrow.Refunded)
	})
	t.Run("a voucher redeemed on the losing side is redeemed again", f.redeems)
}

// begins runs a job of one shard, whose results wait for a person, until a phase. The requester's process goes on.
func (f forked) begins(t *testing.T, program, review string, p requester.Phase) string {
	t.Helper()
	file := f.disputable(t, program, 1, "6s", "30s", "0.0008", "window", review)
	_, id := f.begun(t, file, p)
	return id
}

// committed runs a job until both sides have its result in the chain.
func (f forked) committed(t *testing.T, review string) string {
	t.Helper()
	id := f.begins(t, "echo 42 > $OUTPUT_DIR/n", review, requester.Gathered)
	f.sold(t, escrow.Committed)
	f.sees(t, id, escrow.Committed)
	return id
}

// sees waits for a lot's state as the requester sees it.
func (f forked) sees(t *testing.T, id string, want escrow.Status) { t.Helper(); f.until(t, id, want) }

// both waits until both parties see a lot in the same state.
func (f forked) both(t *testing.T, id string, want escrow.Status) {
	t.Helper()
	f.sees(t, id, want)
	f.sold(t, want)
	if _, err := f.Requester.Process().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (f forked) cut(t *testing.T) {
	t.Helper()
	if err := f.Process.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// heal joins the two sides so that one of them wins: the other forges nothing until its chain is the shorter one. What it
// had is not taken back into its node's mempool, so that only the parties can bring it again.
func (f forked) heal(t *testing.T, winner int) {
	t.Helper()
	ctx := t.Context()
	w, l := f.Process.Producers[winner], f.Process.Producers[1-winner]
	if err := l.Stall(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	last, err := l.Tip(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for tip := last; tip.Height <= last.Height; {
		if tip, err = w.Tip(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.LimitMempool(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Process.Heal(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Stall(ctx, 0), l.LimitMempool(ctx, 8<<20)); err != nil {
		t.Fatal(err)
	}
}

// redeems has a provider whose requester is gone redeem its vouchers on the side that loses.
func (f forked) redeems(t *testing.T) {
	e := f.deserted(t, "{match: 10s, start: 10s, run: 20s, collect: 30s}")
	f.cut(t)
	f.sold(t, escrow.Redeemed)
	f.heal(t, requesters)
	f.sold(t, escrow.Redeemed)
	f.sees(t, e.ID, escrow.Redeemed)
	before, after := f.before, f.ntx(t)
	got, spent := int64(after["provider-0"]-before["provider-0"]), int64(before["requester"]-after["requester"])
	if got <= 0 || got != spent {
		t.Errorf("the provider got %d µNTX, the requester spent %d", got, spent)
	}
	f.before = after
}
