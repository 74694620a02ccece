package requester

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor/bundle"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// testProvider does what a provider does, with real signatures and the real checklist, in memory.
type testProvider struct {
	w     *world
	key   crypto.PrivKey
	id    peer.ID
	actor chaintest.Actor
	offer market.Offer
	bond  chain.UTxO
	store *bundle.Store

	// what a test makes it do
	quote    func(*market.Quote)
	propose  func() error                                                // before it looks at a proposal
	witness  func(*market.Witness)                                       // before it leaves
	program  func(shard uint32, r *market.ShardResult) map[string]string // files it leaves; nil: the usual ones
	tamper   func(signed []byte) []byte
	swap     bool // sends other outputs than it signed
	down     bool
	leaves   bool // goes down when the lock is in the chain
	finished bool // answers with a result
	vouchers []market.Voucher

	mu       sync.Mutex
	id16     byte
	request  market.QuoteRequest
	quoted   market.Quote
	released int
	signed   chain.TxID
	terms    market.Terms
	packed   plutus.Terms
	result   []byte
	receipt  []byte
	input    map[uint32]string // what it fetched for a shard
}

func newTestProvider(tb testing.TB, w *world, n byte) *testProvider {
	tb.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		tb.Fatal(err)
	}
	p := &testProvider{w: w, key: key, actor: chaintest.NewActor(fmt.Sprint("provider", n)), finished: true, id16: n, input: map[uint32]string{}}
	if p.id, err = peer.IDFromPrivateKey(key); err != nil {
		tb.Fatal(err)
	}
	if p.store, err = bundle.OpenStore(tb.TempDir()); err != nil {
		tb.Fatal(err)
	}
	p.bond = p.actor.Coin(1, chain.Coins(10_000_000).With(ntx, 5_000_000))
	return p
}

// publish signs an offer of this moment.
func (p *testProvider) publish(tb testing.TB) {
	tb.Helper()
	now := p.w.chain.Now()
	signed, err := market.SignOffer(market.Offer{
		Version: 1, Magic: p.w.contracts.Network.Magic, Contracts: p.w.contracts.Policy, Sequence: 1, Issued: now, Expires: market.Hour.After(now),
		Peer: p.id, Addrs: []string{"/ip4/127.0.0.1/tcp/4001"}, Payment: p.actor.Address, RateUNTX: 1000 + uint64(p.id16),
		BondBps: market.DefaultBondBps, PenaltyBps: market.DefaultPenaltyBps, Isolation: "seccomp", OS: "linux", Arch: "amd64",
		Capacity: market.Capacity{Resources: market.Resources{MilliCPU: 1000, MemoryMiB: 1024, DiskMiB: 1024}, Slots: 1},
		Images:   []market.ImageDigest{image},
	}, p.key, func(msg []byte) (vkey, sig []byte, err error) {
		return p.vkey(), ed25519.Sign(p.actor.Key, msg), nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if p.offer, err = market.OpenOffer(signed, now, p.w.contracts.Network.Magic, p.id); err != nil {
		tb.Fatal(err)
	}
}

func (p *testProvider) vkey() []byte { return p.actor.Key.Public().(ed25519.PublicKey) }

func (p *testProvider) Quote(r market.QuoteRequest) ([]byte, error) {
	id, err := r.ID()
	if err != nil {
		return nil, err
	}
	now := p.w.chain.Now()
	q := market.Quote{
		Version: 1, Request: id, Requester: r.Requester, Provider: p.id, Reservation: market.ReservationID{p.id16}, Magic: r.Magic,
		Issued: now, Expires: (25 * market.Minute).After(now), PriceUNTX: p.offer.RateUNTX * r.Timeouts.Run.Seconds() * uint64(r.Shards),
		BondBps: p.offer.BondBps, PenaltyBps: p.offer.PenaltyBps, Payment: p.actor.Address, PaymentKey: p.vkey(),
		BondInput: p.bond.Ref, BondAddress: p.bond.Address, BondValue: market.FundsOf(p.bond.Value), Change: p.actor.Address, GPUs: []string{},
	}
	if p.quote != nil {
		p.quote(&q)
	}
	p.request, p.quoted = r, q
	return market.SignQuote(q, p.key)
}

func (p *testProvider) Propose(m market.TermsProposal) (w market.Witness, err error) {
	if p.propose != nil {
		if err := p.propose(); err != nil {
			return w, err
		}
	}
	tx, err := chain.DecodeTx(m.Tx)
	if err != nil {
		return w, err
	}
	if (p.signed != chain.TxID{} && p.signed != tx.ID()) {
		return w, market.Refusal{Code: market.RefusedTx, Sentence: "another opening was signed"}
	}
	t, err := market.DecodeTerms(m.Terms)
	if err != nil {
		return w, err
	}
	if err := t.CheckQuoted(p.request, p.quoted); err != nil {
		return w, market.Refusal{Code: market.RefusedTerms, Sentence: err.Error()}
	}
	packed, err := escrow.PackTerms(t)
	if err != nil {
		return w, err
	}
	known, err := m.UTxOs()
	if err != nil {
		return w, err
	}
	mine := plutus.Mine{
		Terms: packed, Until: t.LockUntil, Keys: []chain.KeyHash{p.actor.Hash}, Owns: func(r chain.OutRef) bool { return r == p.bond.Ref },
		Part:      plutus.Part{Provider: p.actor.Address, PriceUNTX: p.quoted.PriceUNTX, BondInput: p.bond, BondChange: p.actor.Address},
		Attesters: packed.Disputes.Attesters.List(), // it trusts whoever is named
	}
	body, err := tx.Inspect()
	if err != nil {
		return w, err
	}
	check := p.w.contracts.CheckOpening
	if p.w.contracts.Starts(body) {
		check = p.w.contracts.CheckStart
	}
	if err := check(tx, known, mine, p.w.chain.Params(), p.w.chain.Ledger.Clock()); err != nil {
		return w, market.Refusal{Code: market.RefusedTx, Sentence: err.Error()}
	}
	p.terms, p.packed, p.signed = t, packed, tx.ID()
	id := tx.ID()
	w = market.Witness{Reservation: m.Reservation, Tx: id, VKey: p.vkey(), Signature: ed25519.Sign(p.actor.Key, id[:])}
	if p.witness != nil {
		p.witness(&w)
	}
	return w, nil
}

// Status sees the lock on chain, fetches, and is done at once.
func (p *testProvider) Status(ctx context.Context, id market.JobID) (market.JobStatus, error) {
	st := market.JobStatus{Job: id, Phase: market.PhaseWaiting, Shards: []market.ShardStatus{}}
	lot, err := testBook{p.w.chain}.Lot(ctx, escrow.Key{Job: plutus.JobID(id), Provider: p.actor.Hash})
	if err != nil || lot.Status == escrow.Absent {
		return st, err
	}
	if p.result == nil {
		if err := p.work(ctx, id); err != nil {
			return st, err
		}
	}
	st.Phase = market.PhaseRunning
	if p.finished {
		st.Phase = market.PhaseDone
	}
	mine, _ := p.terms.LotOf(p.id)
	for _, s := range mine.Shards {
		st.Shards = append(st.Shards, market.ShardStatus{
			Index: s.Index, Phase: st.Phase, Started: p.w.chain.Now(), Metrics: []string{`{"step":10,"loss":0.5}`}, Traffic: []market.Traffic{},
		})
	}
	return st, nil
}

// work runs the shards.
func (p *testProvider) work(ctx context.Context, id market.JobID) error {
	hash, err := p.terms.Hash()
	if err != nil {
		return err
	}
	res := market.Result{Version: 1, Job: id, Terms: hash, Provider: p.id}
	mine, _ := p.terms.LotOf(p.id)
	for _, s := range mine.Shards {
		if err := p.fetch(ctx, s); err != nil {
			return err
		}
		r := market.ShardResult{Index: s.Index, Started: 1, Finished: 2, Traffic: []market.Traffic{}}
		files := map[string]string{"part.txt": p.input[s.Index], "metrics.jsonl": "{\"step\":10,\"loss\":0.5}\n{\"step\":20,\"loss\":0.25}\n"}
		if p.program != nil {
			files = p.program(s.Index, &r)
		}
		if r.Output, err = packFiles(ctx, p.store, files); err != nil {
			return err
		}
		res.Shards = append(res.Shards, r)
	}
	p.result, err = market.SignResult(res, p.key)
	return err
}

// fetch gets the inputs that were granted to it, and nothing else.
func (p *testProvider) fetch(ctx context.Context, s market.ShardTerms) error {
	for _, root := range []market.Hash{p.terms.Program, s.Input} {
		if root.IsZero() {
			continue
		}
		if !p.w.files.granted(root, p.id) {
			return fmt.Errorf("bundle %s was not granted to %s", root, p.id)
		}
		dir := filepath.Join(p.w.tmp(), "in")
		if err := p.w.files.store.Unpack(ctx, bundle.Root(root), dir, bundle.UnpackOptions{}); err != nil {
			return err
		}
		if b, err := os.ReadFile(filepath.Join(dir, "data")); err == nil {
			p.input[s.Index] = string(b)
		}
	}
	return nil
}

func packFiles(ctx context.Context, s *bundle.Store, files map[string]string) (market.Hash, error) {
	dir, err := os.MkdirTemp("", "pack")
	if err != nil {
		return market.Hash{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return market.Hash{}, err
		}
	}
	m, err := bundle.Pack(ctx, dir, s, bundle.PackOptions{})
	return market.Hash(m.Root()), err
}

// testMarket is the providers as the requester reaches them.
type testMarket struct{ w *world }

func (m testMarket) Find(context.Context, market.Capability) (all []market.Offer, _ []Dropped, _ error) {
	for _, p := range m.w.providers {
		all = append(all, p.offer)
	}
	return all, nil, nil
}

// at calls a provider that is there.
func (m testMarket) at(id peer.ID, f func(p *testProvider) error) error {
	for _, p := range m.w.providers {
		if p.id == id {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.down {
				return errDown
			}
			return f(p)
		}
	}
	return errDown
}

func (m testMarket) Connect(ctx context.Context, to peer.ID, _ []string) error {
	return errors.Join(ctx.Err(), m.at(to, func(*testProvider) error { return nil }))
}

func (m testMarket) Quote(_ context.Context, to peer.ID, r market.QuoteRequest) (b []byte, err error) {
	return b, m.at(to, func(p *testProvider) error { b, err = p.Quote(r); return err })
}

func (m testMarket) Propose(_ context.Context, to peer.ID, t market.TermsProposal) (w market.Witness, err error) {
	err = m.at(to, func(p *testProvider) error { w, err = p.Propose(t); return err })
	return w, err
}

func (m testMarket) Release(_ context.Context, to peer.ID, _ market.ReservationID) error {
	return m.at(to, func(p *testProvider) error { p.released++; return nil })
}

func (m testMarket) Locked(_ context.Context, to peer.ID, _ market.Locked) error {
	return m.at(to, func(*testProvider) error { return nil })
}

func (m testMarket) Status(ctx context.Context, to peer.ID, id market.JobID) (s market.JobStatus, err error) {
	err = m.at(to, func(p *testProvider) error { s, err = p.Status(ctx, id); return err })
	return s, err
}

func (m testMarket) Result(_ context.Context, to peer.ID, _ market.JobID) (b []byte, err error) {
	err = m.at(to, func(p *testProvider) error {
		if b = p.result; p.tamper != nil {
			b = p.tamper(bytes.Clone(b))
		}
		return nil
	})
	return b, err
}

func (m testMarket) Voucher(_ context.Context, to peer.ID, v market.Voucher) error {
	return m.at(to, func(p *testProvider) error { p.vouchers = append(p.vouchers, v); return nil })
}

func (m testMarket) Receipt(_ context.Context, to peer.ID, signed []byte) error {
	return m.at(to, func(p *testProvider) error { p.receipt = signed; return nil })
}

func (m testMarket) Logs(_ context.Context, to peer.ID, _ market.JobID, shard uint32, w io.Writer) error {
	return m.at(to, func(*testProvider) error { _, err := fmt.Fprintf(w, "log of shard %d\n", shard); return err })
}

// testFiles moves bundles between the providers' stores and the requester's.
type testFiles struct {
	w      *world
	store  *bundle.Store
	mu     sync.Mutex
	grants map[string]bool
	other  map[market.Hash]market.Hash // what is sent in place of a bundle
}

func (f *testFiles) Pack(ctx context.Context, dir string) (market.Hash, error) {
	m, err := bundle.Pack(ctx, dir, f.store, bundle.PackOptions{})
	return market.Hash(m.Root()), err
}

func (f *testFiles) Grant(root market.Hash, to peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[root.String()+to.String()] = true
}

func (f *testFiles) granted(root market.Hash, to peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.grants[root.String()+to.String()]
}

func (f *testFiles) Fetch(ctx context.Context, from peer.ID, root market.Hash) error {
	return testMarket{f.w}.at(from, func(p *testProvider) error {
		dir := filepath.Join(f.w.tmp(), "out")
		if err := p.store.Unpack(ctx, bundle.Root(root), dir, bundle.UnpackOptions{}); err != nil {
			return err
		}
		if p.swap {
			if err := os.WriteFile(filepath.Join(dir, "part.txt"), []byte("something else"), 0o600); err != nil {
				return err
			}
		}
		got, err := f.Pack(ctx, dir)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.other[root] = got
		return err
	})
}

func (f *testFiles) Unpack(ctx context.Context, root market.Hash, dir string) error {
	f.mu.Lock()
	got := f.other[root]
	f.mu.Unlock()
	return f.store.Unpack(ctx, bundle.Root(got), dir, bundle.UnpackOptions{})
}
