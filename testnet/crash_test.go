//go:build crash && linux

package testnet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
	"github.com/tallycompute/tally/testnet/images"
)

// crashWorld is a market in which processes are killed.
type crashWorld struct {
	*testnet.World
	t    *testing.T
	job  string // a job file: training
	dir  string
	jobs int
	rows []string
	sums map[string]testnet.Holds
}

func newCrashWorld(t *testing.T) *crashWorld {
	t.Helper()
	ctx := t.Context()
	if _, err := images.Ensure(ctx, func(step string, _ time.Duration, detail string) { t.Log(step, detail) }); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the participants' directories and logs are left in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	pace := testnet.DevnetPace()
	pace.LockMS, pace.MarginMS = 15_000, 4000
	pace.Policy = escrow.Policy{DeclineLead: 2000, CommitLead: 8000, Patience: 10_000, LeaveStep: 400, Grace: 4000}
	nodeBin := ""
	if bin := os.Getenv("TALLY_BIN"); bin != "" {
		nodeBin = filepath.Join(bin, "tally-devnet")
	}
	w, err := testnet.NewWorld(testnet.WorldConfig{
		Dir: filepath.Join(dir, "w"), Bin: program(t), NodeBin: nodeBin, SlotLength: 200 * time.Millisecond,
		Rates: []string{"0.001", "0.0011", "0.0012", "0.0013"}, Pace: pace,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, do := range []func(context.Context) error{
		w.StartNode, w.StartBootstrap,
		func(ctx context.Context) error { return w.Init(ctx, []string{images.Python, images.Torch}) },
		w.Fund, w.StartProviders,
	} {
		if err := do(ctx); err != nil {
			t.Fatal(err)
		}
	}
	x := &crashWorld{World: w, t: t, dir: dir, job: filepath.Join(dir, "digits", "job.yaml")}
	if err := os.CopyFS(filepath.Dir(x.job), os.DirFS(filepath.Join("..", "examples", "digits"))); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(x.job)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`EPOCHS: "10"`, `EPOCHS: "2"`, "window: 30s", "window: 5s",
		"start: 60s, run: 120s, collect: 60s", "start: 40s, run: 60s, collect: 30s").Replace(string(b))
	if err := os.WriteFile(x.job, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	x.sums = x.balances()
	return x
}

func (x *crashWorld) balances() map[string]testnet.Holds {
	x.t.Helper()
	held := map[string]testnet.Holds{}
	for _, p := range x.Participants() {
		h, err := p.Balance(x.t.Context())
		if err != nil {
			x.t.Fatal(err)
		}
		held[p.Name] = h
	}
	return held
}

// begin runs the job until it enters a phase, and gives its last event. Providers that witnessed an opening which never
// came are busy until it has expired for good: a job that finds them so is run again.
func (x *crashWorld) begin(t *testing.T, p requester.Phase) (*testnet.Run, requester.Event) {
	t.Helper()
	const tries, pause = 15, 5 * time.Second
	for i := 0; ; i++ {
		x.jobs++
		r, err := x.Requester.StartRun(x.job, filepath.Join(x.dir, "results", fmt.Sprint(x.jobs)))
		if err != nil {
			t.Fatal(err)
		}
		e, err := r.Until(t.Context(), p)
		if err == nil {
			return r, e
		}
		if i == tries || e.Phase != requester.Failed || !strings.Contains(e.Message, market.RefusedBusy) {
			t.Fatal(err)
		}
		time.Sleep(pause)
	}
}

// check says how a job ended and what every wallet holds, and that no money was made or lost on the way.
func (x *crashWorld) check(t *testing.T, what string, o requester.Outcome, code int) {
	t.Helper()
	after := x.balances()
	var before, now uint64
	row := fmt.Sprintf("%s\t%s\t%s\t%d", what, o.Phase, o.Outcome, code)
	for _, p := range x.Participants() {
		before, now = before+x.sums[p.Name].UNTX, now+after[p.Name].UNTX
		row += fmt.Sprintf("\t%s", market.FormatNTX(after[p.Name].UNTX))
	}
	if before != now {
		t.Errorf("%s: all wallets had %d µNTX together and have %d", what, before, now)
	}
	if !o.Done {
		t.Errorf("%s: the job is not done: %+v", what, o)
	}
	switch {
	case o.Outcome == "approved", o.Outcome == "claimed", o.Outcome == "mixed":
	case o.Phase == requester.Failed && o.Outcome == "":
		for name, h := range x.sums {
			if after[name].UNTX != h.UNTX {
				t.Errorf("%s: nothing was locked, and %s has %d µNTX, not %d", what, name, after[name].UNTX, h.UNTX)
			}
		}
	default:
		t.Errorf("%s: ended %q in phase %s, exit code %d: %s", what, o.Outcome, o.Phase, code, o.Error)
	}
	x.sums = after
	x.rows = append(x.rows, row)
	t.Log(strings.ReplaceAll(row, "\t", "  "))
}

func (x *crashWorld) outcome(t *testing.T, r *testnet.Run) (requester.Outcome, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	o, code, err := r.Outcome(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return o, code
}

// phases in which the requester's own progress says where the job is. The names are beside them.
var crashPhases = []struct {
	phase requester.Phase
	name  string
	early bool // nothing is signed yet: ending without a lock is fine
}{
	{requester.Quoted, "reserved", true},
	{requester.Agreed, "witnessed", true},
	{requester.Signed, "signed", false},
	{requester.Submitted, "submitted", false},
	{requester.Locked, "locked", false},
	{requester.Sent, "inputs sent", false},
	{requester.Running, "training", false},
	{requester.Gathered, "gathered", false},
	{requester.Approved, "approved", false},
}

// TestCrash kills the requester, then a provider, in each phase of a job, restarts them, and prints what came of it.
func TestCrash(t *testing.T) {
	x := newCrashWorld(t)
	defer func() {
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KILLED\tPHASE\tOUTCOME\tEXIT\tREQUESTER NTX\tPROVIDERS NTX")
		for _, r := range x.rows {
			fmt.Fprintln(w, r)
		}
		w.Flush()
		t.Log("\n" + b.String())
	}()
	for _, c := range crashPhases {
		t.Run("requester "+c.name, func(t *testing.T) { x.killRequester(t, c.phase, c.name, c.early) })
	}
	for _, c := range crashPhases {
		t.Run("provider "+c.name, func(t *testing.T) { x.killProvider(t, c.phase, c.name, c.early) })
	}
	t.Run("provider committed", func(t *testing.T) {
		x.killLater(t, "committed", func(l *testnet.DerivedLot) bool { return l.Commit != nil })
	})
	t.Run("provider claimed", func(t *testing.T) { x.killLater(t, "claimed", func(l *testnet.DerivedLot) bool { return l.End != "" }) })
}

func (x *crashWorld) killRequester(t *testing.T, p requester.Phase, name string, early bool) {
	r, e := x.begin(t, p)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	again, err := x.Requester.Resume(e.ID)
	if err != nil {
		t.Fatal(err)
	}
	o, code := x.outcome(t, again)
	x.check(t, "requester, "+name, o, code)
	if !early && o.Outcome != "approved" {
		t.Errorf("a requester that came back at once did not pay: %q", o.Outcome)
	}
}

func (x *crashWorld) killProvider(t *testing.T, p requester.Phase, name string, early bool) {
	const victim = 1
	r, _ := x.begin(t, p)
	if err := x.Providers[victim].Process().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := x.StartProvider(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	o, code := x.outcome(t, r)
	x.check(t, "provider, "+name, o, code)
	if !early && o.Outcome != "approved" {
		t.Errorf("a provider that came back at once was not paid: %q", o.Outcome)
	}
}

// killLater kills a provider when the chain says so, of a job whose requester was killed before it approved and stays
// away until all have claimed.
func (x *crashWorld) killLater(t *testing.T, name string, when func(*testnet.DerivedLot) bool) {
	const victim = 1
	r, e := x.begin(t, requester.Gathered)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	x.onChain(t, e, func(j *testnet.DerivedJob) bool { return when(j.Lots[x.Providers[victim].Address]) })
	if err := x.Providers[victim].Process().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := x.StartProvider(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	x.onChain(t, e, func(j *testnet.DerivedJob) bool {
		opened := map[chain.OutRef]bool{}
		for _, l := range j.Lots {
			opened[l.Lot.Ref] = true
		}
		if len(opened) != 1 {
			t.Errorf("the job was opened in %d outputs, not in a slice", len(opened))
		}
		return j.Settled()
	})
	again, err := x.Requester.Resume(e.ID)
	if err != nil {
		t.Fatal(err)
	}
	o, code := x.outcome(t, again)
	x.check(t, "provider, "+name, o, code)
	if o.Outcome != "claimed" {
		t.Errorf("the providers were left alone and the job ended %q", o.Outcome)
	}
}

// onChain waits until the chain says ok of a job.
func (x *crashWorld) onChain(t *testing.T, e requester.Event, ok func(*testnet.DerivedJob) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var seen collector
	seen.done = func(blocks []chain.Block) bool {
		d, err := testnet.Replay(blocks, x.Contracts)
		if err != nil {
			t.Fatal(err)
		}
		j := d.Jobs[plutus.JobID(*e.Job)]
		return j != nil && ok(j)
	}
	n, err := node.Dial(ctx, node.Config{Socket: x.Process.Socket, Network: x.Network.Chain()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Follow(ctx, nil, &seen); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
}

var errEnough = errors.New("enough")

// collector keeps blocks until it has enough of them.
type collector struct {
	blocks []chain.Block
	done   func([]chain.Block) bool
}

func (c *collector) Forward(_ context.Context, b chain.Block, _ chain.Point) error {
	c.blocks = append(c.blocks, b)
	if len(b.Txs) > 0 && c.done(c.blocks) {
		return errEnough
	}
	return nil
}

func (c *collector) Backward(_ context.Context, p chain.Point) error {
	for len(c.blocks) > 0 && c.blocks[len(c.blocks)-1].Slot > p.Slot {
		c.blocks = c.blocks[:len(c.blocks)-1]
	}
	return nil
}
