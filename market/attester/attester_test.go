package attester

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	_ "modernc.org/sqlite"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest"
	"github.com/tallycompute/tally/executor/executortest/probe"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

const (
	image = market.ImageDigest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	price = 1_000_000
	slash = 50_000

	staked, atRisk = 7000, 9000
)

var errGone = errors.New("gone")

// who is a peer with a payment key.
type who struct {
	key crypto.PrivKey
	id  peer.ID
	pay chaintest.Actor
}

func newWho(t *testing.T, name string) who {
	key, _, err := crypto.GenerateEd25519Key(strings.NewReader(strings.Repeat(name, 64)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return who{key, id, chaintest.NewActor(name)}
}

// world is one disputed lot, and an attester over what its parties serve. The engine is in memory.
type world struct {
	*testing.T
	contracts      *plutus.Contracts
	req, prov, att who
	others         []who
	terms          market.Terms
	lot            escrow.Lot
	result         []byte
	dir            string
	db             *sql.DB
	tip            chain.Slot
	stakes         []plutus.Stake // the provider's
	d              *Daemon

	mu      sync.Mutex
	bundles map[peer.ID]map[market.Hash]map[string]string // what each peer serves
	store   map[market.Hash]map[string]string
	hands   []byte // the result that the provider hands over; nil: it does not
	granted map[peer.ID]int
	runs    int
	program func(task executor.Task, run int) int
}

var (
	program = market.HashOf([]byte("program"))
	input   = market.HashOf([]byte("input"))
	output  = market.HashOf([]byte("output"))
)

func newWorld(t *testing.T) *world {
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(chain.AssetID{Policy: chain.ScriptHash{7}, Name: "tNTX"}))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, contracts: c, req: newWho(t, "requester"), prov: newWho(t, "provider"), att: newWho(t, "attester"), dir: t.TempDir(),
		store: map[market.Hash]map[string]string{}, granted: map[peer.ID]int{}, tip: 1000,
		stakes: []plutus.Stake{{UNTX: staked - 1}, {UNTX: 1, Since: 5}},
	}
	w.program = func(task executor.Task, _ int) int { return w.leave(task, "42\n") }
	w.bundles = map[peer.ID]map[market.Hash]map[string]string{
		w.req.id:  {program: {"job/main.py": "print(42)"}, input: {"data/x": "1"}},
		w.prov.id: {output: {"n": "42\n", "metrics.jsonl": "then\n"}},
	}
	w.agree()
	w.commit(market.ShardResult{Output: output, Traffic: []market.Traffic{}})
	if w.db, err = sql.Open("sqlite", "file:"+filepath.Join(w.dir, "attest.db")); err != nil {
		t.Fatal(err)
	}
	w.db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = w.db.Close() })
	engine := executortest.NewEngine(func(_ context.Context, task executor.Task, _ probe.Process) int {
		w.mu.Lock()
		run := w.runs
		w.runs++
		f := w.program
		w.mu.Unlock()
		return f(task, run)
	}, map[string]executor.ImageDigest{"tally/test": image})
	t.Cleanup(engine.Close)
	sdk := filepath.Join(w.dir, "sdk")
	if err := os.Mkdir(sdk, 0o755); err != nil {
		t.Fatal(err)
	}
	w.d, err = New(t.Context(), Deps{
		Dir: filepath.Join(w.dir, "cases"), DB: w.db, Peer: w.att.key, Contracts: []*plutus.Contracts{c}, Ledger: w, Book: w, Peers: w, Files: w, Engine: engine.Runtime(),
		SDK: sdk, Log: slog.New(slog.DiscardHandler), Pause: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// agree makes the terms, of one lot with one shard, that three attesters decide about.
func (w *world) agree() {
	second := newWho(w.T, "second")
	for _, n := range []string{"a", "b"} {
		w.others = append(w.others, newWho(w.T, n))
	}
	d := &market.Disputes{
		Threshold: 2, Verdict: market.Minute, BondUNTX: 20_000, CostUNTX: 20_000, SlashBps: 500, ShareBps: 10_000, StakeUNTX: atRisk,
		Payee: chain.Enterprise(chaintest.Network(), second.pay.Hash),
	}
	for _, a := range append([]who{w.att}, w.others...) {
		d.Attesters = append(d.Attesters, market.Attester{Peer: a.id, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}})
	}
	for i := range d.Attesters {
		for j := range i {
			if d.Attesters[i].Peer < d.Attesters[j].Peer {
				d.Attesters[i], d.Attesters[j] = d.Attesters[j], d.Attesters[i]
			}
		}
	}
	w.terms = market.Terms{
		Version: market.TermsVersion, Magic: w.contracts.Network.Magic, Policy: w.contracts.Policy, Spend: w.contracts.Stub, Name: "job",
		Kind: market.General, Requester: w.req.id, RequesterAddress: chain.Enterprise(chaintest.Network(), w.req.pay.Hash),
		Seed: chain.OutRef{Tx: chain.TxID{1}}, Program: program, Timeouts: market.Timeouts{Match: market.Second, Start: market.Second, Run: market.Second, Collect: market.Second},
		Task: market.Task{
			Image: image, Command: "python main.py", Mounts: []string{"/job", "/data"}, ShardInput: "/data", Shards: 1,
			Resources: market.Resources{MilliCPU: 500, MemoryMiB: 64, DiskMiB: 8},
		},
		Review: market.Minute, LockUntil: 1000, BondBps: 1000, PenaltyBps: 500, LotLovelace: 2_000_000, VoucherKey: market.Key{9: 1},
		Lots: []market.LotTerms{{
			Provider: w.prov.id, Addrs: []string{"/ip4/127.0.0.1/tcp/2"}, Payment: chain.Enterprise(chaintest.Network(), w.prov.pay.Hash),
			PriceUNTX: price, BondInput: chain.OutRef{Tx: chain.TxID{2}}, Shards: []market.ShardTerms{{Index: 0, Input: input}},
		}},
		Disputes: d,
	}
	w.terms.VoucherKey, _ = d.Attesters[0].Key() // any key that the ledger takes
	w.terms.DeclineBy, w.terms.CommitBy = market.Deadlines(1000, w.terms.Timeouts, market.Second)
	packed, err := escrow.PackTerms(w.terms)
	if err != nil {
		w.Fatal(err)
	}
	id, err := packed.JobID()
	if err != nil {
		w.Fatal(err)
	}
	now, _ := w.Clock(w.Context())
	w.lot = escrow.Lot{
		Key: escrow.Key{Job: id, Provider: w.prov.pay.Hash}, Status: escrow.Disputed, Terms: packed, Address: w.terms.Lots[0].Payment,
		PriceUNTX: price, BondUNTX: price / 10, Ref: chain.OutRef{Tx: chain.TxID{3}}, Deadline: now.SlotToTime(w.tip) + 60_000,
	}
}

// commit signs a result of one shard and puts its root on chain.
func (w *world) commit(s market.ShardResult) {
	hash, err := w.terms.Hash()
	if err != nil {
		w.Fatal(err)
	}
	res := market.Result{Job: market.JobID(w.lot.Key.Job), Terms: hash, Provider: w.prov.id, Shards: []market.ShardResult{s}}
	if w.result, err = market.SignResult(res, w.prov.key); err != nil {
		w.Fatal(err)
	}
	root, err := market.MerkleRoot(res.Shards)
	if err != nil {
		w.Fatal(err)
	}
	w.lot.Root, w.hands = root, w.result
}

func (w *world) leave(task executor.Task, n string) int {
	if err := os.WriteFile(filepath.Join(task.OutputDir, "n"), []byte(n), 0o644); err != nil {
		return 1
	}
	return 0
}

// What the daemon works with.

func (w *world) Clock(context.Context) (chain.Clock, error) { return chaintest.Clock(), nil }

func (w *world) Tip() chain.Slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tip++ // time passes as it is looked at
	return w.tip
}

func (w *world) Lot(_ context.Context, k escrow.Key) (escrow.Lot, error) {
	if k != w.lot.Key {
		return escrow.Lot{Key: k}, nil
	}
	return w.lot, nil
}

func (w *world) Stakes(_ context.Context, _ *plutus.Contracts, owner chain.KeyHash) ([]plutus.Stake, error) {
	if owner != w.prov.pay.Hash {
		return nil, errors.New("another's stakes")
	}
	return w.stakes, nil
}

func (w *world) Connect(context.Context, peer.ID, []string) error { return nil }

func (w *world) Result(_ context.Context, to peer.ID, _ market.JobID) ([]byte, error) {
	if to != w.prov.id || w.hands == nil {
		return nil, errGone
	}
	return w.hands, nil
}

func (w *world) FetchWithin(_ context.Context, from peer.ID, root market.Hash, most uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.bundles[from][root]
	if !ok {
		return fmt.Errorf("bundle %s: %w", root, errGone)
	}
	size := 0
	for _, text := range b {
		size += len(text)
	}
	if uint64(size) > most {
		return fmt.Errorf("bundle %s of %d bytes: %w", root, size, errGone)
	}
	w.store[root] = b
	return nil
}

func (w *world) Unpack(_ context.Context, root market.Hash, dir string) error {
	for path, text := range w.store[root] {
		f := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(f), 0o755), os.WriteFile(f, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Grant(_ market.Hash, to peer.ID) { w.granted[to]++ }

// request is what a party asks with.
func (w *world) request(result []byte) market.VerdictRequest {
	terms, err := w.terms.Encode()
	if err != nil {
		w.Fatal(err)
	}
	return market.VerdictRequest{Job: market.JobID(w.lot.Key.Job), Provider: w.prov.id, Terms: terms, Result: result}
}

// decided asks, waits until the attester has done its work, and asks again: meanwhile time passes only as the attester
// looks at it, however long it takes.
func (w *world) decided(from peer.ID, r market.VerdictRequest) market.Opinion {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.d.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if o, err := w.d.Opinion(ctx, from, r); err != nil || o.Decided() {
		w.Fatalf("%+v at once: %v", o, err)
	}
	for working := 1; working > 0; time.Sleep(2 * time.Millisecond) {
		w.d.mu.Lock()
		working = len(w.d.open)
		w.d.mu.Unlock()
	}
	o, err := w.d.Opinion(ctx, from, r)
	if err != nil || !o.Decided() {
		w.Fatalf("it has not decided: %+v, %v", o, err)
	}
	return o
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		award  uint64
		says   string
	}{
		"right":                            {func(*world) {}, price, "ends as its result says"},
		"wrong":                            {func(w *world) { w.bundles[w.prov.id][output]["n"] = "43\n" }, 0, "n differs"},
		"of another length":                {func(w *world) { w.bundles[w.prov.id][output]["n"] = "4\n" }, 0, "n differs"},
		"a file too many":                  {func(w *world) { w.bundles[w.prov.id][output]["m"] = "" }, 0, "m is not left"},
		"a file too few":                   {func(w *world) { delete(w.bundles[w.prov.id][output], "n") }, 0, "n is left beside"},
		"no outputs":                       {func(w *world) { w.commit(market.ShardResult{Traffic: []market.Traffic{}}) }, 0, "n is left beside"},
		"outputs over the limit":           {func(w *world) { w.bundles[w.prov.id][output]["n"] = strings.Repeat("x", 9<<20) }, 0, "outputs of shard 0: cannot be had"},
		"outputs withheld":                 {func(w *world) { delete(w.bundles[w.prov.id], output) }, 0, "outputs of shard 0: cannot be had"},
		"result withheld":                  {func(w *world) { w.result, w.hands = nil, nil }, 0, "the result that was committed: cannot be had"},
		"another root on chain":            {func(w *world) { w.lot.Root[0]++ }, 0, "cannot be had"},
		"only the provider has the result": {func(w *world) { w.result = nil }, price, "ends as its result says"},
		"program withheld":                 {func(w *world) { delete(w.bundles[w.req.id], program) }, price, "the program: cannot be had"},
		"inputs withheld":                  {func(w *world) { delete(w.bundles[w.req.id], input) }, price, "the inputs of shard 0: cannot be had"},
		"inputs without the mount":         {func(w *world) { delete(w.bundles[w.req.id][input], "data/x") }, price, "nothing is there for mount /data"},
		"the provider serves what the requester withholds": {func(w *world) {
			for root, b := range w.bundles[w.req.id] {
				w.bundles[w.prov.id][root] = b
			}
			delete(w.bundles, w.req.id)
		}, price, "ends as its result says"},
		"a failure that is none": {func(w *world) { w.commit(market.ShardResult{ExitCode: 1, Traffic: []market.Traffic{}}) }, 0, "ended well: true instead of false"},
		"a failure of the program's": {func(w *world) {
			w.commit(market.ShardResult{ExitCode: 3, Traffic: []market.Traffic{}})
			w.program = exits(1)
		}, price, "ends as its result says"},
		"a success that is none": {func(w *world) { w.program = exits(1) }, 0, "ended well: false instead of true"},
		"never the same": {func(w *world) {
			w.program = func(task executor.Task, run int) int { return w.leave(task, fmt.Sprint(run)) }
		}, price, "nobody can tell"},
		"right the second time": {func(w *world) {
			w.program = func(task executor.Task, run int) int { return w.leave(task, []string{"41\n", "42\n"}[min(run, 1)]) }
		}, price, "ends as its result says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(w)
			o := w.decided(w.req.id, w.request(w.result))
			want := plutus.Verdict{AwardUNTX: c.award}
			if c.award == 0 {
				want.SlashUNTX, want.TakenUNTX = slash, staked
			}
			if o.AwardUNTX != want.AwardUNTX || o.SlashUNTX != want.SlashUNTX || o.TakenUNTX != want.TakenUNTX || !strings.Contains(o.Sentence, c.says) {
				t.Fatalf("%+v", o)
			}
			key, err := market.Attester{Peer: w.att.id}.Key()
			if err != nil {
				t.Fatal(err)
			}
			if escrow.Collect(w.contracts, w.lot, map[market.Key]market.Opinion{key: o}) != nil {
				t.Error("one attester of three decides")
			}
			for _, other := range w.others { // they sign the same
				raw, err := other.key.Raw()
				if err != nil {
					t.Fatal(err)
				}
				a := w.contracts.Attest(raw, w.lot.OnChain(), o.AwardUNTX, o.SlashUNTX, o.TakenUNTX)
				all := map[market.Key]market.Opinion{key: o, market.Key(a.Attester): {Lot: o.Lot, AwardUNTX: o.AwardUNTX, SlashUNTX: o.SlashUNTX, TakenUNTX: o.TakenUNTX, Signature: a.Signature[:]}}
				v := escrow.Collect(w.contracts, w.lot, all)
				if v == nil || v.AwardUNTX != want.AwardUNTX || v.SlashUNTX != want.SlashUNTX || v.TakenUNTX != want.TakenUNTX {
					t.Errorf("no verdict of two: %+v", v)
				}
			}
			if left, err := os.ReadDir(filepath.Join(w.dir, "cases")); err == nil && len(left) > 0 {
				t.Errorf("%d cases are left", len(left))
			}
		})
	}
}

// Of stakes that hold more than is at risk, what is at risk is taken.
func TestTakesWhatIsAtRisk(t *testing.T) {
	w := newWorld(t)
	w.stakes = append(w.stakes, plutus.Stake{UNTX: atRisk})
	w.program = func(task executor.Task, _ int) int { return w.leave(task, "41\n") }
	if o := w.decided(w.req.id, w.request(w.result)); o.AwardUNTX != 0 || o.TakenUNTX != atRisk {
		t.Errorf("%+v", o)
	}
}

func exits(code int) func(executor.Task, int) int {
	return func(executor.Task, int) int { return code }
}

// What was signed once is signed again, after a restart and on another output, and nothing is run for it.
func TestVerdictsStay(t *testing.T) {
	w := newWorld(t)
	first := w.decided(w.prov.id, w.request(w.result))
	if w.granted[w.req.id] != 1 {
		t.Error("the requester may not have the outputs")
	}
	w.program = exits(1)
	runs := w.runs
	w.lot.Ref.Index++
	again, err := w.d.Opinion(t.Context(), w.req.id, w.request(nil))
	if err != nil || !again.Decided() || again.AwardUNTX != first.AwardUNTX || again.Lot == first.Lot || bytes.Equal(again.Signature, first.Signature) {
		t.Errorf("%+v %v", again, err)
	}
	if w.runs != runs {
		t.Error("it ran again")
	}
	all, err := Verdicts(t.Context(), w.db)
	if err != nil || len(all) != 1 || all[0].AwardUNTX != price || all[0].Lot != w.lot.Key {
		t.Errorf("%+v %v", all, err)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		from   peer.ID
		change func(*market.VerdictRequest, *market.Terms)
		code   string
	}{
		"a stranger":      {w.others[0].id, func(*market.VerdictRequest, *market.Terms) {}, market.RefusedUnknown},
		"another job":     {w.req.id, func(r *market.VerdictRequest, _ *market.Terms) { r.Job[0]++ }, market.RefusedUnknown},
		"another lot":     {w.req.id, func(r *market.VerdictRequest, _ *market.Terms) { r.Provider = w.att.id }, market.RefusedUnknown},
		"other contracts": {w.req.id, func(_ *market.VerdictRequest, t *market.Terms) { t.Policy[0]++ }, market.RefusedContracts},
		"no disputes":     {w.req.id, func(_ *market.VerdictRequest, t *market.Terms) { t.Disputes = nil }, market.RefusedTerms},
		"other attesters": {w.req.id, func(_ *market.VerdictRequest, t *market.Terms) {
			t.Disputes.Attesters = []market.Attester{{Peer: w.others[0].id, Addrs: []string{"/x"}}}
			t.Disputes.Threshold = 1
		}, market.RefusedTerms},
	} {
		terms := w.terms
		d := *w.terms.Disputes
		terms.Disputes = &d
		r := w.request(w.result)
		c.change(&r, &terms)
		if r.Job == w.request(nil).Job { // the terms may be others: the job is theirs
			packed, err := escrow.PackTerms(terms)
			if err != nil {
				t.Fatal(err)
			}
			id, err := packed.JobID()
			if err != nil {
				t.Fatal(err)
			}
			r.Job = market.JobID(id)
		}
		var err error
		if r.Terms, err = terms.Encode(); err != nil {
			t.Fatal(err)
		}
		_, err = w.d.Opinion(t.Context(), c.from, r)
		var no market.Refusal
		if !errors.As(err, &no) || no.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.lot.Status = escrow.Committed
	if o, err := w.d.Opinion(t.Context(), w.req.id, w.request(w.result)); err != nil || o.Decided() || !strings.Contains(o.Sentence, "committed") {
		t.Errorf("not disputed: %+v %v", o, err)
	}
	w.lot.Status, w.lot.Deadline = escrow.Disputed, 1
	if _, err := w.d.Opinion(t.Context(), w.req.id, w.request(w.result)); err == nil {
		t.Error("the window is over")
	}
	if w.runs != 0 || len(w.d.open) != 0 {
		t.Error("it went to work")
	}
}

// An image that is not here, or an engine that fails, is no verdict.
func TestUnableSaysNothing(t *testing.T) {
	w := newWorld(t)
	w.terms.Task.Image = "sha256:" + market.ImageDigest(strings.Repeat("1", 64))
	w.lot.Status = escrow.Disputed
	packed, err := escrow.PackTerms(w.terms)
	if err != nil {
		t.Fatal(err)
	}
	w.lot.Terms = packed
	if w.lot.Key.Job, err = packed.JobID(); err != nil {
		t.Fatal(err)
	}
	w.commit(market.ShardResult{Output: output, Traffic: []market.Traffic{}})
	r := w.request(w.result)
	q := &inquiry{lot: w.lot, terms: w.terms, of: w.prov.id, result: r.Result, until: w.lot.Deadline}
	if err := w.d.inquire(t.Context(), q); !errors.Is(err, ErrUnable) {
		t.Errorf("%v", err)
	}
	if all, err := Verdicts(t.Context(), w.db); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}
