package requester

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	_ "modernc.org/sqlite" // database/sql driver "sqlite"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor/bundle"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

const image = market.ImageDigest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

var ntx = chain.AssetID{Policy: chain.ScriptHash{0x77}, Name: "tNTX"}

const wealth = 100_000_000 // µNTX of the requester

// world is a requester in a market of providers on a chain in memory.
type world struct {
	tb        testing.TB
	contracts *plutus.Contracts
	chain     *testChain
	purse     *testPurse
	providers []*testProvider
	files     *testFiles
	db        *sql.DB
	dir       string
	key       crypto.PrivKey

	mu     sync.Mutex
	now    *Requester // the process that lives now
	events []Event
	on     func(Event)
	turns  escrow.Policy
}

// newSlices is a world whose jobs are opened in slices.
func newSlices(t *testing.T, providers int) *world {
	t.Helper()
	w := newWorld(t, providers)
	w.turns = escrow.Policy{DeclineLead: 5000, CommitLead: 10_000, LeaveStep: 1000}
	for _, d := range []chain.Draft{w.contracts.Deploy(plutus.Frame{}), w.contracts.DeploySlices(plutus.Frame{})} {
		d.Until = w.chain.Slot() + 1000
		tx, err := w.purse.Pay(t.Context(), d, "publish")
		if err == nil {
			err = testLedger{w.chain}.Submit(t.Context(), tx.Bytes())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	return w
}

// newWorld has providers, and a requester with coins and a collateral: enough of them, if none are named.
func newWorld(t *testing.T, providers int, coins ...chain.UTxO) *world {
	t.Helper()
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(ntx))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{tb: t, contracts: c, dir: t.TempDir()}
	wallet := chaintest.NewActor("requester")
	if coins == nil {
		coins = []chain.UTxO{
			wallet.Coin(0, chain.Coins(500_000_000).With(ntx, wealth)), wallet.Coin(1, chain.Coins(300_000_000)),
			wallet.Coin(2, chain.Coins(300_000_000)),
		}
	}
	collateral := wallet.Coin(9, chain.Coins(20_000_000))
	genesis := append(coins, collateral)
	for i := range providers {
		p := newTestProvider(t, w, byte(i+1))
		w.providers = append(w.providers, p)
		genesis = append(genesis, p.bond)
	}
	w.chain = newTestChain(c, wallet, genesis)
	if err := w.chain.forge(100); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.providers {
		p.publish(t)
	}
	w.purse = &testPurse{testChain: w.chain, collateral: collateral, reserved: map[chain.OutRef]string{}}
	store, err := bundle.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.files = &testFiles{w: w, store: store, grants: map[string]bool{}, other: map[market.Hash]market.Hash{}}
	if w.db, err = sql.Open("sqlite", filepath.Join(w.dir, "requester.db")); err != nil {
		t.Fatal(err)
	}
	w.db.SetMaxOpenConns(1)
	if w.key, _, err = crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{200}, 32))); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.act(t)
	return w
}

// start is a new process on the same disk. Grants of the one before are forgotten.
func (w *world) start() *Requester {
	w.tb.Helper()
	w.files.mu.Lock()
	w.files.grants = map[string]bool{}
	w.files.mu.Unlock()
	r, err := New(context.Background(), Config{
		LockTime: 20 * time.Minute, Poll: 5 * time.Millisecond, CallTime: 20 * time.Second, Unreachable: 50 * time.Millisecond, Margin: market.Minute, Turns: w.turns,
	}, Deps{
		Dir: filepath.Join(w.dir, "jobs"), DB: w.db, Peer: w.key, Address: w.chain.wallet.Address, Contracts: w.contracts,
		Ledger: testLedger{w.chain}, Book: testBook{w.chain}, Blocks: testBook{w.chain}, Purse: w.purse,
		Offers: testMarket{w}, Sellers: testMarket{w}, Workers: testMarket{w}, Logger: testMarket{w}, Files: w.files,
		Reducer: testReducer{}, Progress: w.heard, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = r
	return r
}

func (w *world) heard(e Event) {
	w.mu.Lock()
	w.events = append(w.events, e)
	on := w.on
	w.mu.Unlock()
	if on != nil {
		on(e)
	}
}

// when calls f, once, as a phase is entered.
func (w *world) when(p Phase, f func()) {
	var once sync.Once
	w.on = func(e Event) {
		if e.Entered && e.Phase == p {
			once.Do(f)
		}
	}
}

// act runs the real escrow actor of the requester beside the test.
func (w *world) act(t *testing.T) {
	a := &escrow.Actor{
		Role: escrow.Requester, Contracts: w.contracts, Ledger: testLedger{w.chain}, Purse: w.purse, Book: testBook{w.chain},
		Validity: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
		Facts: func(ctx context.Context, k escrow.Key) (escrow.Facts, error) {
			w.mu.Lock()
			r := w.now
			w.mu.Unlock()
			return r.Facts(ctx, k)
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx)
	}()
	// The actor looks at every block; blocks come now and then.
	go func() {
		for ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			if w.chain.forge(1) != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done; _ = w.db.Close() })
}

// tmp is a fresh directory.
func (w *world) tmp() string {
	dir, err := os.MkdirTemp(w.dir, "tmp")
	if err != nil {
		w.tb.Fatal(err)
	}
	return dir
}

// spec is a job of four shards with a program and lines to split.
func (w *world) spec(kind market.Kind, more string) JobSpec {
	w.tb.Helper()
	dir := w.tmp()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			w.tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.tb.Fatal(err)
		}
	}
	write("program/main.py", "print()")
	write("lines.txt", "a\nb\nc\nd\n")
	split := market.SplitLines
	if strings.Contains(more, "spares:") {
		split = market.SplitNone
	}
	job, err := market.ParseJob(fmt.Appendf(nil, `version: 1
name: test
kind: %s
image: %s
run: python3 /job/main.py
inputs:
  - {path: program, mount: /job, split: none}
  - {path: lines.txt, mount: /data, split: %s}
budget: {max_ntx: 10}
timeouts: {match: 60s, start: 60s, run: 60s, collect: 60s}
%s`, kind, image, split, more))
	if err != nil {
		w.tb.Fatal(err)
	}
	return JobSpec{Job: job, Dir: dir, Image: image, Out: filepath.Join(dir, "results")}
}

func yes(market.Plan) error { return nil }

// ntxOf is what an address holds.
func (w *world) ntxOf(a chain.Address) (n uint64) {
	for _, u := range w.chain.UTxOs(a) {
		n += u.Value.Of(ntx)
	}
	return n
}

// openings counts the openings in the chain, in lots or slices.
func (w *world) openings() (n int) {
	for _, tx := range w.chain.transactions() {
		made, burned := 0, 0
		for _, q := range tx.Mint {
			if q > 0 {
				made++
			} else {
				burned++
			}
		}
		if made > 0 && burned == 0 {
			n++
		}
	}
	return n
}

// testReducer writes the number of shards it was given.
type testReducer struct{}

func (testReducer) Run(_ context.Context, r Reduction) error {
	if _, err := os.Stat(filepath.Join(r.Program, "job", "main.py")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Out, "sum.txt"), fmt.Append(nil, len(r.Shards)), 0o600)
}
