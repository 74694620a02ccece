package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest/probe"
	"github.com/tallycompute/tally/market"
)

// TestGoodCase: quote, witness, lock, inputs, run, result, approval; and nothing is left.
func TestGoodCase(t *testing.T) {
	w := newWorld(t)
	w.program = func(_ context.Context, task executor.Task, p probe.Process) int {
		in, err := os.ReadFile(p.Path("/data/part"))
		if err != nil {
			return 9
		}
		h := market.HashOf(in)
		line := fmt.Sprintf(`{"step": 10, "parameter_hash": %q}`+"\n", h)
		if err := os.WriteFile(p.Path("/out/metrics.jsonl"), []byte(line), 0o600); err != nil {
			return 9
		}
		if err := os.WriteFile(p.Path("/out/model"), []byte("shard "+p.Getenv("RANK")), 0o600); err != nil {
			return 9
		}
		return 0
	}
	before := w.prov.ntx(w)
	req := w.request(market.General)
	req.Shards = 2
	d := w.quoted(req).drawUp().build().balance()
	d.witness()
	if left := len(w.jobDirs()); left > 0 || w.containers() > 0 {
		t.Errorf("%d directories and %d containers before the lock", left, w.containers())
	}
	d.submit()
	r := d.result()
	if !r.OK() || len(r.Shards) != 2 {
		t.Fatalf("%+v", r)
	}
	for i, s := range r.Shards {
		files := w.files.get(s.Output)
		if files["model"] != fmt.Sprint("shard ", i) || w.files.grants[s.Output] != w.req.id || s.ParamsStep != 10 || s.Params.IsZero() {
			t.Errorf("shard %d: %v, step %d", i, files, s.ParamsStep)
		}
	}
	if st := d.status(); st.Phase != market.PhaseDone || len(st.Shards) != 2 || len(st.Shards[0].Metrics) != 1 {
		t.Errorf("status %+v", st)
	}
	w.verified[d.key] = true
	w.block(5)
	w.block(5)
	if s := d.lot().Status; s != escrow.Approved {
		t.Fatalf("the lot is %s", s)
	}
	d.over(market.PhaseDone)
	if got := w.prov.ntx(w); got != before+d.quote.PriceUNTX || d.quote.PriceUNTX != 2*100*10_000 {
		t.Errorf("%d µNTX after %d, price %d", got, before, d.quote.PriceUNTX)
	}
	if again := d.result(); again.Root != r.Root {
		t.Error("the result is another after the job's end")
	}
}

func (w *world) containers() int {
	w.Helper()
	all, err := w.engine.Runtime().List(w.Context(), w.prov.id.String())
	w.must(err)
	return len(all)
}

// TestNeverLocked: a witnessed opening that never comes frees coin and capacity once it cannot come any more.
func TestNeverLocked(t *testing.T) {
	w := newWorld(t)
	d := w.witnessed(market.General)
	w.until(d.terms.LockUntil, 5)
	if d.record().Done {
		t.Error("given up while the opening could still come")
	}
	w.until(d.terms.LockUntil+millis(w.d.cfg.Margin)+5000, 5)
	d.over(market.PhaseFailed)
}

// TestForeignOpening: the same terms opened by another transaction, in which somebody else pays our bond, are not ours.
func TestForeignOpening(t *testing.T) {
	w := newWorld(t)
	d := w.witnessed(market.General)
	for i, in := range d.draft.Inputs {
		if in.Ref == d.quote.BondInput {
			d.draft.Inputs[i].UTxO = w.output(w.req.Coin(0, chain.Value{}).Ref)
		}
	}
	other := *d
	other.draft.Outputs = other.draft.Outputs[:1] // the lot, without our change
	other.draft.Inputs = nil
	for _, in := range d.draft.Inputs {
		if in.Address == w.req.Address && !contains(other.draft.Inputs, in) {
			other.draft.Inputs = append(other.draft.Inputs, in)
		}
	}
	other.balance()
	w.must(w.req.Sign(other.tx))
	w.must(w.ledger.Submit(other.tx.Bytes()))
	w.until(d.terms.LockUntil, 10)
	if s := d.lot().Status; s != escrow.Open {
		t.Fatalf("the lot that names us is %s", s)
	}
	if got := d.record().Phase; got != market.PhaseWaiting || w.containers() > 0 {
		t.Errorf("works on a lot it never witnessed: %s", got)
	}
	w.until(d.terms.LockUntil+millis(w.d.cfg.Margin)+20_000, 10)
	d.over(market.PhaseFailed)
}

func contains(all []chain.Input, in chain.Input) bool {
	for _, x := range all {
		if x.Ref == in.Ref {
			return true
		}
	}
	return false
}

// TestInputsWithheld: the provider declines, and its bond is whole.
func TestInputsWithheld(t *testing.T) {
	w := newWorld(t)
	before := w.prov.ntx(w)
	w.files.withhold(true)
	d := w.opened(market.General)
	w.eventually("a try", func() bool { return d.record().Message != "" })
	if st := d.status(); strings.ContainsRune(st.Message, '\x1b') || st.Phase != market.PhaseFetching {
		t.Errorf("status %+v", st)
	}
	w.until(d.terms.DeclineBy, 5)
	w.block(5)
	if s := d.lot().Status; s != escrow.Declined {
		t.Fatalf("the lot is %s", s)
	}
	d.over(market.PhaseDeclined)
	if got := w.prov.ntx(w); got != before {
		t.Errorf("%d µNTX of %d", got, before)
	}
}

// TestInputsWithheldTooLong: if declining failed too, the receipt says whose fault it was, and is committed.
func TestInputsWithheldTooLong(t *testing.T) {
	w := newWorld(t)
	before := w.prov.ntx(w)
	w.files.withhold(true)
	d := w.opened(market.General)
	w.ledger.Tick(chain.Slot((d.terms.DeclineBy - w.ledger.Now()) / 1000))
	w.until(d.terms.CommitBy-chain.Time(policy.CommitLead)+2000, 20)
	r := d.result()
	if r.OK() || !strings.Contains(r.Shards[0].Message, "never arrived") {
		t.Errorf("%+v", r)
	}
	w.block(2)
	w.block(2)
	l := d.lot()
	if l.Status != escrow.Committed || l.Root != r.Root {
		t.Fatalf("the lot is %s", l.Status)
	}
	w.until(l.ClaimAt+10_000, 20)
	d.over(market.PhaseFailed)
	if got := w.prov.ntx(w); got != before+d.quote.PriceUNTX {
		t.Errorf("%d µNTX after %d", got, before)
	}
}

// TestRequesterGone: without approval the provider commits its result's root in time, and claims after the window.
func TestRequesterGone(t *testing.T) {
	w := newWorld(t)
	before := w.prov.ntx(w)
	d := w.opened(market.General)
	r := d.result()
	w.until(w.ledger.Now()+chain.Time(policy.Patience)+10_000, 5)
	l := d.lot()
	if l.Status != escrow.Committed || l.Root != r.Root {
		t.Fatalf("the lot is %s, committed to %x, the result's root is %s", l.Status, l.Root, r.Root)
	}
	w.restart()
	w.until(l.ClaimAt+10_000, 10)
	if s := d.lot().Status; s != escrow.Claimed {
		t.Fatalf("the lot is %s", s)
	}
	d.over(market.PhaseDone)
	if got := w.prov.ntx(w); got != before+d.quote.PriceUNTX {
		t.Errorf("%d µNTX after %d", got, before)
	}
}

// TestRestart: a daemon that is ended in any phase goes on from it, and runs nothing twice.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	starts, release := make(chan string, 10), make(chan struct{})
	w.program = func(ctx context.Context, task executor.Task, p probe.Process) int {
		starts <- task.ID
		select {
		case <-release:
			return 0
		case <-ctx.Done():
			return 1
		}
	}
	d := w.quoted(w.request(market.General)).drawUp().build().balance()
	w.restart()
	d.witness()
	w.restart()
	w.files.withhold(true)
	d.submit()
	w.eventually("fetching", func() bool { return d.record().Phase == market.PhaseFetching })
	w.restart()
	w.files.withhold(false)
	w.eventually("a container", func() bool { return d.record().Phase == market.PhaseRunning })
	w.restart()
	// What the container has mounted stays as it is, and so does the container.
	w.eventually("the container again", func() bool { return d.record().Phase == market.PhaseRunning && d.record().InputsReady })
	if w.containers() != 1 || len(starts) != 1 {
		t.Errorf("%d containers, %d starts", w.containers(), len(starts))
	}
	close(release)
	r := d.result()
	w.restart()
	delete(w.files.grants, r.Shards[0].Output)
	w.restart()
	w.eventually("a grant", func() bool {
		w.files.mu.Lock()
		defer w.files.mu.Unlock()
		return w.files.grants[r.Shards[0].Output] == w.req.id
	})
	w.verified[d.key] = true
	w.stop() // approved while nobody looks
	w.block(5)
	w.block(5)
	w.start()
	d.over(market.PhaseDone)
	if len(starts) != 1 {
		t.Errorf("%d starts", len(starts))
	}
}

// TestStrays: a container of a job that is over, or never was, does not outlive a start.
func TestStrays(t *testing.T) {
	w := newWorld(t)
	_, err := w.engine.Runtime().Start(t.Context(), executor.Task{
		ID: "stray-0", Owner: w.prov.id.String(), Image: image, Limits: executor.Limits{CPUs: 1, MemoryBytes: 64 << 20}, Timeout: time.Hour,
	})
	w.must(err)
	w.restart()
	w.eventually("no container", func() bool { return w.containers() == 0 })
}

// TestRollback: an opening that is undone and comes again stops nobody's work; one that stays away ends it.
func TestRollback(t *testing.T) {
	w := newWorld(t)
	killed := make(chan struct{})
	w.program = func(ctx context.Context, _ executor.Task, _ probe.Process) int {
		<-ctx.Done()
		close(killed)
		return 1
	}
	d := w.opened(market.General)
	w.eventually("a container", func() bool { return d.record().Phase == market.PhaseRunning })
	w.must(w.ledger.Rollback(1))
	w.block(1)
	if s := d.lot().Status; s != escrow.Absent {
		t.Fatalf("the lot is %s", s)
	}
	w.must(w.ledger.Submit(d.tx.Bytes()))
	w.block(1)
	if d.lot().Status != escrow.Open || w.containers() != 1 {
		t.Fatalf("the lot is %s, %d containers", d.lot().Status, w.containers())
	}
	w.must(w.ledger.Rollback(1))
	w.until(d.terms.LockUntil+millis(w.d.cfg.Margin)+10_000, 5)
	<-killed
	d.over(market.PhaseFailed)
}

// TestProgramFails: a failure is a result too, with the program's last words made safe.
func TestProgramFails(t *testing.T) {
	w := newWorld(t)
	w.program = func(_ context.Context, _ executor.Task, p probe.Process) int {
		fmt.Fprintf(p.Output, "%s\n\x1b[2Jno such file\xff\n", strings.Repeat("x", 3*market.MaxMessage))
		return 3
	}
	d := w.opened(market.General)
	r := d.result()
	s := r.Shards[0]
	if s.ExitCode != 3 || !strings.HasPrefix(s.Message, "exited, exit code 3\n") || !strings.HasSuffix(s.Message, "?[2Jno such file?") {
		t.Errorf("exit code %d: %q", s.ExitCode, s.Message)
	}
	if got := d.status(); got.Phase != market.PhaseFailed {
		t.Errorf("status %+v", got)
	}
}

// TestHostileOutputs: whatever a program leaves, its provider can sign a result and answer for it.
func TestHostileOutputs(t *testing.T) {
	for name, leave := range map[string]func(out string) error{
		"metrics are a link out":  func(out string) error { return os.Symlink("/etc/hostname", filepath.Join(out, metricsFile)) },
		"metrics are a directory": func(out string) error { return os.Mkdir(filepath.Join(out, metricsFile), 0o755) },
		"metrics are one long line": func(out string) error {
			return os.WriteFile(filepath.Join(out, metricsFile), make([]byte, 1<<20), 0o600)
		},
		"metrics are no text": func(out string) error {
			return os.WriteFile(filepath.Join(out, metricsFile), []byte("\"\xff\"\n"), 0o600)
		},
		"metrics are long and many":  manyMetrics,
		"outputs are more than paid": func(out string) error { return os.Truncate(touch(filepath.Join(out, "big")), 300<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.program = func(_ context.Context, _ executor.Task, p probe.Process) int {
				if leave(p.Path("/out")) != nil {
					return 9
				}
				return 0
			}
			d := w.opened(market.General)
			r := d.result()
			if failed := !r.OK(); failed != strings.HasPrefix(name, "outputs") {
				t.Errorf("%+v", r)
			}
			for _, m := range d.status().Shards[0].Metrics {
				if !json.Valid([]byte(m)) {
					t.Errorf("metric %q", m)
				}
			}
		})
	}
}

func touch(path string) string {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		panic(err)
	}
	return path
}

func manyMetrics(out string) error {
	line := fmt.Sprintf("{\"note\": %q}\n", strings.Repeat("y", market.MaxMetric-20))
	return os.WriteFile(filepath.Join(out, metricsFile), []byte(strings.Repeat(line, 2000)), 0o600)
}

// TestEngineAway: while the engine does not answer nothing is lost, and a provider that cannot start declines.
func TestEngineAway(t *testing.T) {
	w := newWorld(t)
	d := w.witnessed(market.General)
	w.engine.SetDown(true)
	d.submit()
	w.engine.SetDown(false)
	if r := d.result(); !r.OK() {
		t.Errorf("%+v", r)
	}
	_, err := w.d.Result(t.Context(), stranger(), d.job())
	if r := (market.Refusal{}); !errors.As(err, &r) || r.Code != market.RefusedUnknown {
		t.Errorf("a stranger asks for the result: %v", err)
	}
}
