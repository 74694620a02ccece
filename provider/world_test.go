package provider

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/escrow/escrowtest"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest"
	"github.com/tallycompute/tally/executor/executortest/probe"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

const image = market.ImageDigest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

var ntx = chain.AssetID{Policy: chain.ScriptHash{0x77}, Name: "tNTX"}

// party is somebody with a peer key, a payment key, a book and a purse.
type party struct {
	chaintest.Actor
	id    peer.ID
	key   crypto.PrivKey
	book  *escrowtest.Book
	kept  *wallet.Reservations
	purse *escrowtest.Purse
	actor *escrow.Actor
}

func (p *party) signMessage(msg []byte) (vkey, sig []byte, err error) {
	return p.Key.Public().(ed25519.PublicKey), ed25519.Sign(p.Key, msg), nil
}

// world is a provider over a ledger in memory, with a container engine in memory, and a requester to trade with it.
// The ledger, the contracts, the wallet's reservations, the state table and every message are real.
type world struct {
	*testing.T
	ledger    *chaintest.Ledger
	contracts *plutus.Contracts
	prov, req *party
	other     *party // another provider, of which only the keys are here
	engine    *executortest.Engine
	files     *files
	rings     *rings
	db        *sql.DB
	cfg       Config
	dir       string
	program   executortest.Program

	d      *Daemon
	cancel context.CancelFunc
	ended  chan error

	verified map[escrow.Key]bool
	nonce    byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(ntx))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, contracts: c, dir: t.TempDir(), verified: map[escrow.Key]bool{}, ended: make(chan error, 1)}
	prov, req, other := chaintest.NewActor("provider"), chaintest.NewActor("requester"), chaintest.NewActor("other")
	w.ledger = chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), []chain.UTxO{
		prov.Coin(0, chain.Coins(20_000_000).With(ntx, 5_000_000)), prov.Coin(1, chain.Coins(20_000_000).With(ntx, 6_000_000)),
		prov.Coin(2, chain.Coins(50_000_000)), prov.Coin(9, chain.Coins(10_000_000)),
		req.Coin(0, chain.Coins(500_000_000).With(ntx, 1_000_000_000)), req.Coin(1, chain.Coins(500_000_000).With(ntx, 1_000_000_000)),
		other.Coin(0, chain.Coins(20_000_000).With(ntx, 5_000_000)), req.Coin(2, chain.Coins(100_000_000)), req.Coin(9, chain.Coins(10_000_000)),
	})
	w.prov, w.req = w.party(prov, 1, escrow.Provider), w.party(req, 2, escrow.Requester)
	w.other = w.party(other, 3, escrow.Provider)
	w.prov.book.Mine = func(ctx context.Context, l escrow.Lot) (bool, error) {
		if l.Key.Provider != prov.Hash || !l.Mine(prov.Hash) {
			return false, nil
		}
		return w.d.Known(ctx, l.Key.Job)
	}
	w.prov.actor.Facts = func(ctx context.Context, k escrow.Key) (escrow.Facts, error) { return w.d.Facts(ctx, k) }
	w.req.actor.Facts = func(_ context.Context, k escrow.Key) (escrow.Facts, error) {
		return escrow.Facts{Verified: w.verified[k]}, nil
	}
	w.program = func(context.Context, executor.Task, probe.Process) int { return 0 }
	w.engine = executortest.NewEngine(func(ctx context.Context, task executor.Task, p probe.Process) int {
		return w.program(ctx, task, p)
	}, map[string]executor.ImageDigest{"tally/test": image})
	t.Cleanup(w.engine.Close)
	w.files = &files{bundles: map[market.Hash]map[string]string{}, grants: map[market.Hash]peer.ID{}}
	w.rings = &rings{with: w.other.id}
	w.db, err = sql.Open("sqlite", "file:"+filepath.Join(w.dir, "provider.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	w.must(err)
	w.db.SetMaxOpenConns(1)
	t.Cleanup(func() { w.must(w.db.Close()) })
	w.cfg = Config{
		Round:    50 * time.Millisecond,
		RateUNTX: 10_000, Capacity: market.Capacity{Slots: 2, Resources: market.Resources{MilliCPU: 4000, MemoryMiB: 4096, DiskMiB: 4096}},
		OS: "linux", Arch: "amd64", Images: []market.ImageDigest{image}, Addrs: func() []string { return []string{"/ip4/127.0.0.1/tcp/4001"} },
		Policy: policy, QuoteLife: time.Minute, MaxLockTime: 2 * time.Minute,
	}
	w.block(5)
	w.start()
	t.Cleanup(w.stop)
	return w
}

// policy is in milliseconds; a slot is 1000.
var policy = escrow.Policy{DeclineLead: 20_000, CommitLead: 60_000, Patience: 100_000, Grace: 50_000}

func (w *world) party(a chaintest.Actor, n byte, role escrow.Role) *party {
	w.Helper()
	p := &party{Actor: a, book: escrowtest.NewBook(w.ledger, w.contracts, a.Hash)}
	var err error
	p.key, _, err = crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 64)))
	w.must(err)
	p.id, err = peer.IDFromPrivateKey(p.key)
	w.must(err)
	p.kept, err = wallet.OpenReservations(w.Context(), filepath.Join(w.dir, a.Hash.String(), "wallet.db"))
	w.must(err)
	w.Cleanup(func() { w.must(p.kept.Close()) })
	p.purse = &escrowtest.Purse{Owner: a, Book: p.book, Kept: p.kept}
	p.actor = &escrow.Actor{
		Role: role, Contracts: w.contracts, Ledger: escrowtest.Node{Ledger: w.ledger}, Purse: p.purse, Book: p.book,
		Policy: policy, Validity: 40 * time.Second, Log: slog.New(slog.DiscardHandler),
	}
	return p
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start starts a daemon on what the last one left.
func (w *world) start() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d, err := New(ctx, w.cfg, Deps{
		Dir: filepath.Join(w.dir, "jobs"), DB: w.db, Peer: w.prov.key, Contracts: w.contracts, Ledger: escrowtest.Node{Ledger: w.ledger},
		Book: w.prov.book, Wallet: coins{w.prov}, SignBinding: w.prov.signMessage, Engine: w.engine.Runtime(), Files: w.files,
		Collectives: w.rings, Publisher: board{}, SDK: w.dir, Log: slog.New(slog.DiscardHandler),
	})
	w.must(err)
	w.d, w.cancel = d, cancel
	go func() { w.ended <- d.Run(ctx) }()
	w.eventually("an offer", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.offerSeq > 0
	})
}

// stop ends the daemon as a signal does: whatever was not stored is lost.
func (w *world) stop() {
	w.Helper()
	if w.cancel == nil {
		return
	}
	w.cancel()
	w.cancel = nil
	if err := <-w.ended; !errors.Is(err, context.Canceled) {
		w.Errorf("Run ended with %v", err)
	}
}

func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

// block lets n slots pass, makes a block and lets everyone read it and act.
func (w *world) block(n chain.Slot) {
	w.Helper()
	_, err := w.ledger.Forge(n)
	w.must(err)
	for _, p := range []*party{w.prov, w.req} {
		w.must(p.book.Sync())
		if w.d == nil {
			continue
		}
		if err := p.actor.Act(w.Context()); err != nil {
			w.Logf("cannot act: %v", err)
		}
	}
}

// until lets blocks of n slots pass until the time t has come.
func (w *world) until(t chain.Time, n chain.Slot) {
	w.Helper()
	for w.ledger.Now() < t {
		w.block(n)
	}
}

// eventually waits for what the daemon does by itself: long, as machines may be busy.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for begun := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 3*time.Minute {
			w.Fatalf("never: %s", what)
		}
	}
}

func (p *party) ntx(w *world) (untx uint64) {
	for _, u := range w.ledger.UTxOs(p.Address) {
		untx += u.Value.Of(ntx)
	}
	return untx
}

// coins is a party's wallet as a daemon uses it.
type coins struct{ p *party }

func (c coins) Address() chain.Address { return c.p.Address }
func (c coins) Keys() []chain.KeyHash  { return []chain.KeyHash{c.p.Hash} }

func (c coins) Available(ctx context.Context, all []chain.UTxO) ([]chain.UTxO, error) {
	free, _, err := c.p.kept.Coins(ctx, all)
	return free, err
}

func (c coins) Reserve(ctx context.Context, ref chain.OutRef, purpose string, until chain.Time) error {
	return c.p.kept.Reserve(ctx, []chain.OutRef{ref}, purpose, until)
}

func (c coins) Release(ctx context.Context, purpose string) error {
	return c.p.kept.Release(ctx, purpose)
}

func (c coins) SignOpening(_ context.Context, tx *chain.Tx, check func(*chain.Tx) error) (vkey, sig []byte, err error) {
	if err := check(tx); err != nil {
		return nil, nil, err
	}
	id := tx.ID()
	return c.p.signMessage(id[:])
}

// board publishes nowhere.
type board struct{}

func (board) Publish(context.Context, []byte, []market.Capability) error { return nil }

// files is a store of bundles whose peers are always there, unless they withhold.
type files struct {
	mu       sync.Mutex
	bundles  map[market.Hash]map[string]string
	grants   map[market.Hash]peer.ID
	withheld bool
}

func (f *files) add(content map[string]string) market.Hash {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all strings.Builder
	for _, p := range slices.Sorted(mapsKeys(content)) {
		fmt.Fprintf(&all, "%q %q\n", p, content[p])
	}
	root := market.HashOf([]byte(all.String()))
	f.bundles[root] = content
	return root
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (f *files) Fetch(_ context.Context, _ peer.ID, root market.Hash) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.withheld || f.bundles[root] == nil {
		return errors.New("denied\x1b[2J")
	}
	return nil
}

func (f *files) withhold(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withheld = yes
}

func (f *files) get(root market.Hash) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bundles[root]
}

func (f *files) Unpack(_ context.Context, root market.Hash, dir string) error {
	for p, content := range f.get(root) {
		p = filepath.Join(dir, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func (f *files) PackOutputs(_ context.Context, dir string, limits executor.OutputLimits) (market.Hash, error) {
	left, err := executor.ListOutputs(dir, limits)
	if err != nil {
		return market.Hash{}, err
	}
	content := map[string]string{}
	for _, o := range left.Files {
		b, err := os.ReadFile(filepath.Join(dir, o.Path))
		if err != nil {
			return market.Hash{}, err
		}
		content[o.Path] = string(b)
	}
	return f.add(content), nil
}

func (f *files) Grant(root market.Hash, to peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[root] = to
}
