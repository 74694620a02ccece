package requester

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// price of shard i at its provider: 60 seconds.
func price(i int) uint64 { return 60 * (1001 + uint64(i)) }

func total(n int) (sum uint64) {
	for i := range n {
		sum += price(i)
	}
	return sum
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkPaid wants every provider paid and its bond back, in one opening, and nothing of the job left reserved.
func (w *world) checkPaid(t *testing.T, o Outcome, paid int) {
	t.Helper()
	if n := w.openings(); n != 1 {
		t.Errorf("%d openings", n)
	}
	if n := w.purse.held(); n != 0 {
		t.Errorf("%d coins are still reserved", n)
	}
	for i, l := range o.Lots {
		if i < paid && (l.PaidUNTX != price(i) || l.Status != escrow.Approved || l.BondReturnedUNTX != l.BondUNTX) {
			t.Errorf("lot %d: %+v", i, l)
		}
		if got := w.ntxOf(l.Address); i < paid && got != 5_000_000+price(i) {
			t.Errorf("provider %d has %d µNTX", i, got)
		}
	}
}

func TestJobIsPaid(t *testing.T) {
	w := newWorld(t, 4)
	spec := w.spec(market.General, "shards: {count: 4}\noutputs: [{path: /out, gather: concat}]\n")
	asked := 0
	o, err := w.now.Run(context.Background(), spec, func(p market.Plan) error { asked++; return p.Err() })
	if err != nil {
		t.Fatal(err)
	}
	if !o.Done || o.Phase != Settled || o.Outcome != "approved" || asked != 1 || o.PriceUNTX != total(4) {
		t.Fatalf("%+v", o)
	}
	w.checkPaid(t, o, 4)
	if got := w.ntxOf(w.chain.wallet.Address); got != wealth-total(4) {
		t.Errorf("the requester has %d µNTX", got)
	}
	if got := read(t, spec.Out, "part.txt"); got != "a\nb\nc\nd\n" {
		t.Errorf("gathered %q", got)
	}
	if got := read(t, o.Dir, "metrics.csv"); !strings.HasPrefix(got, "shard,step,loss\n0,10,0.5\n0,20,0.25\n1,") {
		t.Errorf("metrics %q", got)
	}
	if o.Fees == 0 || o.Fees > 2_000_000 {
		t.Errorf("fees of %d lovelace", o.Fees)
	}
	got, err := w.now.Receipts(context.Background(), o.Job.String())
	if err != nil || len(got) != 4 {
		t.Fatalf("%d receipts: %v", len(got), err)
	}
	for i, p := range w.providers {
		r, res, err := market.OpenReceipt(p.receipt)
		if err != nil || !r.Accepted || r.PriceUNTX != price(i) || res.Provider != p.id || r.Requester != w.now.id {
			t.Errorf("receipt %d: %+v %v", i, r, err)
		}
		if p.released != 0 {
			t.Errorf("provider %d was released", i)
		}
		read(t, o.Dir, "receipts", shardName(uint32(i))+".json")
	}
	again, err := w.now.Resume(context.Background(), o.ID)
	if err != nil || again.Phase != Settled {
		t.Errorf("again: %+v %v", again, err)
	}
}

func TestReduceGetsEveryShard(t *testing.T) {
	w := newWorld(t, 4)
	spec := w.spec(market.General, "shards: {count: 4}\noutputs: [{path: /out, reduce: python3 /job/reduce.py}]\n")
	if _, err := w.now.Run(context.Background(), spec, yes); err != nil {
		t.Fatal(err)
	}
	if got := read(t, spec.Out, "sum.txt"); got != "4" {
		t.Errorf("reduced %q", got)
	}
}

// trained is a program of a collective: shard's traffic is what it must be, and its parameters are hash's.
func trained(hash func(shard uint32) string) func(uint32, *market.ShardResult) map[string]string {
	return func(s uint32, r *market.ShardResult) map[string]string {
		r.ParamsStep, r.Params = 10, market.HashOf([]byte("same"))
		r.Traffic = []market.Traffic{{Shard: (s + 1) % 4, Sent: 100}, {Shard: (s + 3) % 4, Received: 100}}
		return map[string]string{"model": "m", "metrics.jsonl": `{"step":10,"parameter_hash":"` + hash(s) + "\"}\n"}
	}
}

func TestTraining(t *testing.T) {
	for name, c := range map[string]struct {
		program func(uint32, *market.ShardResult) map[string]string
		want    error
	}{
		"equal parameters": {trained(func(uint32) string { return "aa" }), nil},
		"other parameters at a step": {trained(func(s uint32) string {
			if s == 2 {
				return "bb"
			}
			return "aa"
		}), ErrJobFailed},
		"other parameters at the end": {func(s uint32, r *market.ShardResult) map[string]string {
			files := trained(func(uint32) string { return "aa" })(s, r)
			if s == 1 {
				r.Params = market.HashOf([]byte("other"))
			}
			return files
		}, ErrJobFailed},
		"other traffic": {func(s uint32, r *market.ShardResult) map[string]string {
			files := trained(func(uint32) string { return "aa" })(s, r)
			if s == 1 {
				r.Traffic[0].Sent++
			}
			return files
		}, ErrJobFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 4)
			for _, p := range w.providers {
				p.program = c.program
			}
			w.when(Failed, w.passCommitBy)
			o, err := w.now.Run(context.Background(), w.spec(market.Training, "shards: {count: 4}\n"), yes)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			if err == nil {
				w.checkPaid(t, o, 4)
				return
			}
			if o.Outcome != "refunded" || !o.Done || w.openings() != 1 {
				t.Errorf("%+v", o)
			}
			for _, l := range o.Lots {
				if l.Accepted || l.PaidUNTX != 0 || l.RefundedUNTX != l.PriceUNTX {
					t.Errorf("%+v", l)
				}
			}
		})
	}
}

// passCommitBy lets time pass until nobody can commit any more.
func (w *world) passCommitBy() {
	if err := w.chain.passTo(w.providers[0].terms.CommitBy + 1000); err != nil {
		w.tb.Error(err)
	}
}

func TestOneProviderShort(t *testing.T) {
	for name, spoil := range map[string]func(p *testProvider){
		"gone after the lock":           func(p *testProvider) { p.leaves = true },
		"outputs other than signed":     func(p *testProvider) { p.swap = true },
		"a result with a broken seal":   func(p *testProvider) { p.tamper = func(b []byte) []byte { b[len(b)-1] ^= 1; return b } },
		"a result about something else": func(p *testProvider) { p.tamper = func([]byte) []byte { return p.w.providers[0].signedResult() } },
		"a program that failed": func(p *testProvider) {
			p.program = func(_ uint32, r *market.ShardResult) map[string]string {
				r.ExitCode, r.Message = 3, "Traceback: no"
				return map[string]string{"part.txt": "half"}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 4)
			spoil(w.providers[3])
			spec := w.spec(market.General, "shards: {count: 4, min: 3}\noutputs: [{path: /out, gather: concat}]\n")
			w.on = func(e Event) {
				switch {
				case e.Entered && e.Phase == Locked && w.providers[3].leaves:
					w.providers[3].vanish()
				case e.Entered && e.Phase == Approved:
					w.passCommitBy()
				}
			}
			o, err := w.now.Run(context.Background(), spec, yes)
			if err != nil {
				t.Fatal(err)
			}
			w.checkPaid(t, o, 3)
			bad := o.Lots[3]
			if bad.Accepted || bad.Status != escrow.Refunded || bad.PaidUNTX != 0 || bad.RefundedUNTX != price(3) || bad.PenaltyUNTX != price(3)/10 {
				t.Errorf("%+v", bad)
			}
			if o.Outcome != "mixed" || o.Note != "rests on 3 shards of 4" {
				t.Errorf("%q, %q", o.Outcome, o.Note)
			}
			if got := read(t, spec.Out, "part.txt"); got != "a\nb\nc\n" {
				t.Errorf("gathered %q", got)
			}
		})
	}
}

func (p *testProvider) signedResult() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result
}

func (p *testProvider) vanish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
}

func TestFailedProgramNamesItsCause(t *testing.T) {
	w := newWorld(t, 2)
	for i, p := range w.providers {
		p.program = func(_ uint32, r *market.ShardResult) map[string]string {
			r.ExitCode, r.Started, r.Finished, r.Message = int32(4-i), 1, chain.Time(20-i), "last words"
			return map[string]string{}
		}
	}
	w.when(Failed, w.passCommitBy)
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 2}\n"), yes)
	if !errors.Is(err, ErrJobFailed) || !strings.Contains(err.Error(), "last words") || o.Failure == nil {
		t.Fatalf("%+v: %v", o, err)
	}
	again, err := w.now.Resume(context.Background(), o.ID)
	if !errors.Is(err, ErrJobFailed) || again.Failure.Shard != 1 || again.Failure.ExitCode != 3 || again.Failure.At != 19 {
		t.Errorf("%+v: %v", again.Failure, err)
	}
}

func TestNobodyDelivers(t *testing.T) {
	w := newWorld(t, 2)
	for _, p := range w.providers {
		p.finished = false
	}
	w.when(Running, w.passCommitBy)
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 2}\n"), yes)
	if !errors.Is(err, ErrRefunded) || o.Outcome != "refunded" {
		t.Fatalf("%+v: %v", o, err)
	}
	if got := w.ntxOf(w.chain.wallet.Address); got != wealth+price(0)/10+price(1)/10 {
		t.Errorf("the requester has %d µNTX", got)
	}
}
