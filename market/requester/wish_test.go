package requester

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

func TestWishes(t *testing.T) {
	rec := &record{Spec: JobSpec{Job: market.Job{Disputes: &market.Disputes{}}}}
	for _, c := range []struct {
		status escrow.Status
		wish   Wish
		lot    lotRecord
		ok     bool
	}{
		{escrow.Open, Dispute, lotRecord{}, true}, // as soon as it is committed
		{escrow.Committed, Dispute, lotRecord{}, true},
		{escrow.Committed, Dispute, lotRecord{Accepted: true}, false},
		{escrow.Approved, Dispute, lotRecord{}, false},
		{escrow.Committed, Approve, lotRecord{}, true},
		{escrow.Disputed, Approve, lotRecord{}, false},
		{escrow.Claimed, Approve, lotRecord{}, false},
		{escrow.Disputed, Concede, lotRecord{}, true},
		{escrow.Committed, Concede, lotRecord{}, false},
		{escrow.Judged, Concede, lotRecord{}, false},
	} {
		if err := possible(rec, c.lot, escrow.Lot{Status: c.status}, c.wish); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrWish) {
			t.Errorf("%s a lot that is %s: %v", c.wish, c.status, err)
		}
	}
	if err := possible(&record{}, lotRecord{}, escrow.Lot{Status: escrow.Committed}, Dispute); !errors.Is(err, ErrWish) {
		t.Errorf("without attesters: %v", err)
	}
}

// A job's voucher key follows from the peer key and the job's nonce, and from nothing else.
func TestVoucherKey(t *testing.T) {
	r := &Requester{Deps: Deps{Peer: newWorld(t, 1).key}}
	one, err := r.voucherKey([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	same, err := r.voucherKey([16]byte{1})
	if err != nil || !bytes.Equal(one, same) {
		t.Errorf("two keys for one job: %v", err)
	}
	if other, err := r.voucherKey([16]byte{2}); err != nil || bytes.Equal(one, other) {
		t.Errorf("one key for two jobs: %v", err)
	}
}

// TestReviewedIsGatheredOnce: while a person decides, what came is not gathered again at every block.
func TestReviewedIsGatheredOnce(t *testing.T) {
	w := newWorld(t, 2)
	again := 0
	w.on = func(e Event) {
		if e.Message == "a late result was added" {
			again++
		}
		if !e.Entered || e.Phase != Gathered {
			return
		}
		go func() {
			time.Sleep(200 * time.Millisecond) // some blocks
			for shard := range uint32(2) {
				if _, err := w.now.Wish(t.Context(), e.ID, shard, Approve); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	o, err := w.now.Run(t.Context(), w.spec(market.General, "shards: {count: 2}\nverify: {policy: review, window: 30m}\n"), yes)
	if err != nil {
		t.Fatal(err)
	}
	w.checkPaid(t, o, 2)
	if again > 0 {
		t.Errorf("gathered %d times more", again)
	}
}
