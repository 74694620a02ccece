package requester

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// killed runs a job whose process ends in a phase, as a kill there would: whatever that phase has stored is all there is.
func (w *world) killed(t *testing.T, spec JobSpec, p Phase) string {
	t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	w.when(p, kill)
	o, err := w.now.Run(ctx, spec, yes)
	if !errors.Is(err, context.Canceled) || o.ID == "" {
		t.Fatalf("in %s: %+v: %v", p, o, err)
	}
	w.on = nil
	return o.ID
}

func TestResumeFromEveryPhase(t *testing.T) {
	for _, p := range []Phase{Planned, Quoted, Agreed, Signed, Submitted, Locked, Sent, Running, Gathered, Approved} {
		t.Run(string(p), func(t *testing.T) {
			w := newWorld(t, 4)
			spec := w.spec(market.General, "shards: {count: 4}\noutputs: [{path: /out, gather: concat}]\n")
			id := w.killed(t, spec, p)
			o, err := w.start().Resume(context.Background(), id)
			if err != nil || o.Phase != Settled || o.Outcome != "approved" {
				t.Fatalf("%+v: %v", o, err)
			}
			w.checkPaid(t, o, 4)
			if got := read(t, spec.Out, "part.txt"); got != "a\nb\nc\nd\n" {
				t.Errorf("gathered %q", got)
			}
			if all, err := w.now.List(context.Background()); err != nil || len(all) != 1 {
				t.Errorf("%d jobs: %v", len(all), err)
			}
		})
	}
}

// A provider witnesses one opening a quote: a requester that was killed while it collected witnesses goes on with the
// same one.
func TestResumeAmongWitnesses(t *testing.T) {
	w := newWorld(t, 4)
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	first := true
	w.providers[3].witness = func(*market.Witness) {
		if first {
			first = false
			kill()
		}
	}
	o, err := w.now.Run(ctx, w.spec(market.General, "shards: {count: 4}\n"), yes)
	if !errors.Is(err, context.Canceled) || o.Phase != Quoted {
		t.Fatalf("%+v: %v", o, err)
	}
	if o, err = w.start().Resume(context.Background(), o.ID); err != nil {
		t.Fatal(err)
	}
	w.checkPaid(t, o, 4)
}

func TestResumeAfterSubmitted(t *testing.T) {
	w := newWorld(t, 2)
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	w.chain.onSubmit = kill // the node has it, the requester does not know
	o, err := w.now.Run(ctx, w.spec(market.General, "shards: {count: 2}\n"), yes)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v: %v", o, err)
	}
	w.chain.onSubmit = nil
	if o, err = w.start().Resume(context.Background(), o.ID); err != nil {
		t.Fatal(err)
	}
	w.checkPaid(t, o, 2)
}

func TestOpeningThatNeverComesIsReleased(t *testing.T) {
	for name, fault := range map[string]chaintest.Faults{
		"lost":    {Lose: 1 << 30},
		"refused": {Refuse: errors.New("mempool is full")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 4)
			w.when(Signed, func() {
				w.chain.Fail(fault)
				if name == "refused" {
					w.expire()
				}
			})
			if name == "lost" {
				w.chain.onSubmit = w.expire
			}
			o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 4}\n"), yes)
			if !errors.Is(err, ErrLockExpired) {
				t.Fatalf("%+v: %v", o, err)
			}
			if w.openings() != 0 || w.purse.held() != 0 || !o.Done || w.ntxOf(w.chain.wallet.Address) != wealth {
				t.Errorf("%+v", o)
			}
			for i, p := range w.providers {
				if p.released == 0 {
					t.Errorf("provider %d was not released", i)
				}
			}
		})
	}
}

// expire lets time pass until the opening can come no more.
func (w *world) expire() {
	if err := w.chain.passTo(w.providers[0].terms.LockUntil + 60_000); err != nil {
		w.tb.Error(err)
	}
}

func TestRolledBackOpeningComesBack(t *testing.T) {
	w := newWorld(t, 2)
	for _, p := range w.providers {
		p.finished = false
	}
	w.when(Running, func() {
		depth, err := testBook{w.chain}.Confirmations(context.Background(), w.providers[0].signed)
		if err == nil {
			err = w.chain.Rollback(int(depth))
		}
		if err := errors.Join(err, w.chain.read()); err != nil {
			t.Error(err)
		}
		for _, p := range w.providers {
			p.mu.Lock()
			p.finished = true
			p.mu.Unlock()
		}
	})
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 2}\n"), yes)
	if err != nil {
		t.Fatal(err)
	}
	w.checkPaid(t, o, 2)
}

func TestLateResultCounts(t *testing.T) {
	w := newWorld(t, 4)
	w.on = func(e Event) {
		p := w.providers[3]
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case e.Entered && e.Phase == Locked:
			p.down = true
		case e.Entered && e.Phase == Gathered:
			p.down = false
		}
	}
	spec := w.spec(market.General, "shards: {count: 4, min: 3}\noutputs: [{path: /out, gather: concat}]\n")
	o, err := w.now.Run(context.Background(), spec, yes)
	if err != nil {
		t.Fatal(err)
	}
	w.checkPaid(t, o, 4)
	if got := read(t, spec.Out, "part.txt"); got != "a\nb\nc\nd\n" || o.Note != "" {
		t.Errorf("gathered %q, %q", got, o.Note)
	}
}

// The wallet signs nothing but what the quotes say, whatever the database holds.
func TestSignsOnlyWhatWasAgreed(t *testing.T) {
	for name, spoil := range map[string]func(j *job){
		"another price": func(j *job) {
			q, err := market.ReadQuote(j.rec.Lots[0].Quote)
			if err != nil {
				t.Fatal(err)
			}
			q.PriceUNTX--
			for _, p := range j.r.Sellers.(testMarket).w.providers {
				if p.id == q.Provider {
					if j.rec.Lots[0].Quote, err = market.SignQuote(q, p.key); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"other terms":     func(j *job) { j.packed.ReviewMS++ },
		"another body":    func(j *job) { j.tx = &chain.Tx{} },
		"a foreign input": func(j *job) { j.r.Address = chaintest.NewActor("other").Address },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			id := w.killed(t, w.spec(market.General, "shards: {count: 2}\n"), Agreed)
			rec, err := w.now.store.load(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			j := &job{r: w.start(), rec: rec}
			if err := j.open(); err != nil {
				t.Fatal(err)
			}
			body, err := j.tx.Inspect()
			if err != nil {
				t.Fatal(err)
			}
			if err := j.checkBody(body); err != nil {
				t.Fatalf("the right one: %v", err)
			}
			spoil(j)
			if err := j.checkBody(body); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestTwoProcessesDoNotBothSign(t *testing.T) {
	w := newWorld(t, 2)
	id := w.killed(t, w.spec(market.General, "shards: {count: 2}\n"), Agreed)
	a, err := w.now.store.load(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.now.store.load(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.now.store.save(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	if err := w.now.store.save(context.Background(), b); !errors.Is(err, ErrStore) {
		t.Errorf("both saved: %v", err)
	}
}

func TestLogsAndUnknownJobs(t *testing.T) {
	w := newWorld(t, 2)
	id := w.killed(t, w.spec(market.General, "shards: {count: 2}\n"), Locked)
	var log bytes.Buffer
	if err := w.now.Logs(context.Background(), id, 1, &log); err != nil || log.String() != "log of shard 1\n" {
		t.Errorf("%q: %v", log.String(), err)
	}
	for what, err := range map[string]error{
		"logs":   w.now.Logs(context.Background(), id, 7, &log),
		"cancel": w.now.Cancel(context.Background(), "nobody"),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.now.Status(context.Background(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	o, err := w.now.Status(context.Background(), id)
	if err != nil || o.Phase != Locked || o.Job == nil || fmt.Sprint(o.Lots[0].Shards) != "[0]" {
		t.Errorf("%+v: %v", o, err)
	}
}

// Of a lot whose job is not in the database nothing is verified, and that is no error: it is refunded when it is due.
func TestFactsOfUnknownLots(t *testing.T) {
	w := newWorld(t, 2)
	f, err := w.now.Facts(context.Background(), escrow.Key{Job: [28]byte{1}})
	if err != nil || f.Verified {
		t.Errorf("%+v: %v", f, err)
	}
}

// A job that was over is taken up again when a rollback has taken back how it ended.
func TestRolledBackEndComesBack(t *testing.T) {
	w := newWorld(t, 2)
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 2}\n"), yes)
	if err != nil || !o.Done {
		t.Fatalf("%+v: %v", o, err)
	}
	depth, err := testBook{w.chain}.Confirmations(context.Background(), *o.Lots[0].Txs.Settle)
	if err == nil {
		err = errors.Join(w.chain.Rollback(int(depth)), w.chain.read())
	}
	if err != nil {
		t.Fatal(err)
	}
	if o, err = w.start().Resume(context.Background(), o.ID); err != nil || !o.Done || o.Phase != Settled {
		t.Fatalf("%+v: %v", o, err)
	}
	w.checkPaid(t, o, 2)
}
