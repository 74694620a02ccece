package requester

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// testAuditor answers what a test says, and wants every directory where it is said to be.
type testAuditor struct {
	mu    sync.Mutex
	asked []uint32
	says  func(ctx context.Context, nth int, shard uint32) (bool, string, error)
}

func (a *testAuditor) Again(ctx context.Context, q Audit) (bool, string, error) {
	a.mu.Lock()
	a.asked = append(a.asked, q.Shard.Index)
	nth := len(a.asked)
	a.mu.Unlock()
	_, err := os.Stat(filepath.Join(q.Program, "job", "main.py"))
	_, err2 := os.Stat(filepath.Join(q.Input, "data"))
	_, err3 := os.Stat(filepath.Join(q.Claimed, "part.txt"))
	if err := errors.Join(err, err2, err3); err != nil || !filepath.IsAbs(q.Work) {
		return false, "", fmt.Errorf("%w, work in %s", err, q.Work)
	}
	return a.says(ctx, nth, q.Shard.Index)
}

// audited is a job whose shards are all run again.
func (w *world) audited(t *testing.T, shards int) JobSpec {
	t.Helper()
	return w.spec(market.General, fmt.Sprintf(`shards: {count: %d}
outputs: [{path: /out, gather: concat}]
verify:
  audit_percent: 100
  attesters: [/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN]
  dispute_cost_ntx: 0.01
  payee: addr_test1vz2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzerspjrlsz
`, shards))
}

// lotOf is provider i's lot.
func (w *world) lotOf(t *testing.T, job market.JobID, i int) escrow.Lot {
	t.Helper()
	l, err := testBook{w.chain}.Lot(context.Background(), escrow.Key{Job: plutus.JobID(job), Provider: w.providers[i].actor.Hash})
	if err != nil {
		t.Error(err)
	}
	return l
}

// commit puts a provider's result on chain; the requester's purse lends the fee.
func (p *testProvider) commit(ctx context.Context, t *testing.T) error {
	t.Helper()
	id, err := p.packed.JobID()
	if err != nil {
		return err
	}
	w, book := p.w, testBook{p.w.chain}
	u, _, err := book.Held(ctx, w.lotOf(t, market.JobID(id), int(p.id16)-1).Ref)
	if err != nil {
		return err
	}
	l, err := w.contracts.ReadLot(u, p.packed)
	if err != nil {
		return err
	}
	res, err := market.ReadResult(p.result)
	if err != nil {
		return err
	}
	f := plutus.Frame{From: w.chain.Slot(), Until: w.chain.Slot() + 600}
	d, err := w.contracts.Commit(l, p.packed, res.Root, plutus.ClaimAt(p.packed, f.Until, w.chain.Ledger.Clock()), f)
	if err != nil {
		return err
	}
	tx, err := w.purse.Pay(ctx, d, "commit")
	if err != nil {
		return err
	}
	if err := p.actor.Sign(tx); err != nil {
		return err
	}
	return testLedger{w.chain}.Submit(ctx, tx.Bytes())
}

// What agrees when it is run again is paid once it is committed, and never before; what differs is disputed once it is
// committed; what could not be run is run once more.
func TestAudit(t *testing.T) {
	w := newWorld(t, 3)
	a := &testAuditor{says: func(_ context.Context, nth int, shard uint32) (bool, string, error) {
		if nth == 1 {
			return false, "", errors.New("the disk is full")
		}
		return shard != 1, "it was looked at", nil
	}}
	w.now.Auditor = a
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ran := make(chan struct{})
	w.when(Gathered, func() {
		go func() { // the third never commits, and time runs out for it, then for a verdict
			defer close(ran)
			id, err := w.providers[0].packed.JobID()
			is := func(i int, want escrow.Status) {
				for ctx.Err() == nil && w.lotOf(t, market.JobID(id), i).Status != want {
					time.Sleep(5 * time.Millisecond)
				}
			}
			pass := func(to chain.Time) { err = errors.Join(err, w.chain.passTo(to)) }
			err = errors.Join(err, w.providers[0].commit(ctx, t), w.providers[1].commit(ctx, t))
			is(0, escrow.Approved)
			is(1, escrow.Disputed)
			for rec := (&record{Lots: make([]lotRecord, 3)}); err == nil && !rec.Lots[2].Accepted; {
				rec, err = w.now.store.load(ctx, market.JobID(id).String())
			}
			is(2, escrow.Open)
			pass(w.providers[0].packed.CommitBy)
			is(2, escrow.Refunded)
			pass(w.lotOf(t, market.JobID(id), 1).Deadline)
			if err != nil {
				t.Error(err)
				stop()
			}
		}()
	})
	o, err := w.now.Run(ctx, w.audited(t, 3), yes)
	if err != nil || !o.Done {
		t.Fatalf("%+v: %v", o, err)
	}
	<-ran
	for i, want := range []escrow.Status{escrow.Approved, escrow.Lapsed, escrow.Refunded} {
		l := w.lotOf(t, *o.Job, i)
		if _, committed := l.Slots[escrow.KindCommit]; l.Status != want || committed != (want != escrow.Refunded) {
			t.Errorf("lot %d is %s, committed %v, not %s", i, l.Status, committed, want)
		}
		wish, err := w.now.store.wish(context.Background(), o.ID, w.providers[i].id)
		if err != nil || (wish == Dispute) != (want == escrow.Lapsed) {
			t.Errorf("lot %d: wish %q: %v", i, wish, err)
		}
	}
	rec, err := w.now.store.load(context.Background(), o.ID)
	if err != nil || !rec.Lots[2].Accepted {
		t.Errorf("the lot that was never committed was found right, and yet: %+v: %v", rec.Lots[2], err)
	}
	if slices.Sort(a.asked); !slices.Equal(slices.Compact(a.asked), []uint32{0, 1, 2}) {
		t.Errorf("run again: %v", a.asked)
	}
	for _, says := range []string{"the disk is full", "it was looked at; its lot is disputed"} {
		if !slices.ContainsFunc(w.events, func(e Event) bool { return strings.Contains(e.Message, says) }) {
			t.Errorf("nobody was told %q", says)
		}
	}
}

// A process that goes on with a job runs again what was drawn before.
func TestAuditGoesOn(t *testing.T) {
	w := newWorld(t, 1)
	ctx, kill := context.WithCancel(context.Background())
	w.now.Auditor = &testAuditor{says: func(ctx context.Context, _ int, _ uint32) (bool, string, error) {
		kill()
		return false, "", ctx.Err()
	}}
	o, err := w.now.Run(ctx, w.audited(t, 1), yes)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v: %v", o, err)
	}
	rec, err := w.now.store.load(context.Background(), o.ID)
	if err != nil || rec.Lots[0].Audit == nil || !slices.Equal(rec.Lots[0].Audit.Left, []uint32{0}) {
		t.Fatalf("%+v: %v", rec, err)
	}
	if err := w.providers[0].commit(context.Background(), t); err != nil {
		t.Fatal(err)
	}
	a := &testAuditor{says: func(context.Context, int, uint32) (bool, string, error) { return true, "as it says", nil }}
	w.start().Auditor = a
	if o, err = w.now.Resume(context.Background(), o.ID); err != nil || o.Outcome != "approved" || len(a.asked) != 1 {
		t.Fatalf("%+v, asked %v: %v", o, a.asked, err)
	}
}

// Shards are drawn with the chance that was named.
func TestDraw(t *testing.T) {
	shards := make([]uint32, 2000)
	for i := range shards {
		shards[i] = uint32(i)
	}
	for bps, want := range map[uint16][2]int{0: {0, 0}, 10_000: {2000, 2000}, 500: {30, 180}} {
		drawn, err := draw(shards, bps)
		if err != nil || len(drawn) < want[0] || len(drawn) > want[1] || !slices.IsSorted(drawn) {
			t.Errorf("%d of 10,000: %d drawn: %v", bps, len(drawn), err)
		}
	}
}
