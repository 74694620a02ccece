package requester

import (
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// Vouchers grow with the time that a program has run, counted from no earlier than its provider heard of the lock.
func TestVouch(t *testing.T) {
	w := newWorld(t, 1)
	p := w.providers[0]
	now := time.Now().UnixMilli()
	f := &follower{job: &job{
		r: w.now, rec: &record{At: map[Phase]int64{Sent: now - 5500}, Job: market.JobID{1}},
		terms: market.Terms{Policy: w.contracts.Policy, VoucherEvery: market.Second, Timeouts: market.Timeouts{Run: 1000 * market.Second}},
	}}
	l := lotRecord{Offer: p.offer, PriceUNTX: 1_000_000}
	running := func(started, finished int64) market.JobStatus {
		return market.JobStatus{Shards: []market.ShardStatus{{Started: chain.Time(started), Finished: chain.Time(finished)}}}
	}
	for _, st := range []market.JobStatus{{}, running(0, 0), running(now-5000, now), running(now, 0)} {
		if sent := f.vouch(t.Context(), l, st, 0); sent != 0 || len(p.vouchers) > 0 {
			t.Errorf("%+v: %d sent", st, sent)
		}
	}
	sent := f.vouch(t.Context(), l, running(now-60_000, 0), 0)
	if sent < 5000 || sent > 30_000 || len(p.vouchers) != 1 || p.vouchers[0].CumulativeUNTX != sent || p.vouchers[0].Validate() != nil {
		t.Errorf("%d sent, %+v", sent, p.vouchers)
	}
	if again := f.vouch(t.Context(), l, running(now, 0), sent); again != sent || len(p.vouchers) != 1 {
		t.Errorf("%d sent after %d", again, sent)
	}
	f.terms.VoucherEvery = 0
	if f.vouch(t.Context(), l, running(now-60_000, 0), 0) != 0 {
		t.Error("a voucher that nobody promised")
	}
}
