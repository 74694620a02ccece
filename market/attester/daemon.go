package attester

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Deps is what an attester works with.
type Deps struct {
	Dir       string // of what is run again, private
	DB        *sql.DB
	Peer      crypto.PrivKey      // signs verdicts too
	Contracts []*plutus.Contracts // every version: jobs name theirs
	Ledger    Ledger
	Book      Book
	Peers     Peers
	Files     Files
	Engine    Engine
	SDK       string // directory with the Python SDK, mounted into every container
	Log       *slog.Logger
	Pause     time.Duration // between two attempts at what failed; 0: 2 s
	Workers   int           // lots looked at at once; 0: 2
	Tidy      time.Duration // between two looks at what is not needed any more; 0: 10 minutes
}

// maxCases is how many lots wait to be looked at; whoever asks about another one is told to come again.
const maxCases = 32

// Daemon is an attester.
type Daemon struct {
	Deps
	id    peer.ID
	key   ed25519.PrivateKey
	store *store
	queue chan *inquiry

	bundles sync.RWMutex // read: something is fetched; written: what nobody needs any more is removed

	mu   sync.Mutex
	open map[escrow.Key]*inquiry // asked about and not decided
}

// inquiry is a disputed lot that this attester was asked about.
type inquiry struct {
	lot    escrow.Lot
	terms  market.Terms
	of     peer.ID // whose lot
	result []byte  // signed, as a party sent it; empty: nobody did
	until  chain.Time
	stands string // how far it is, guarded by the daemon's mu
}

// New opens the attester's state. Nothing runs before Run.
func New(ctx context.Context, deps Deps) (*Daemon, error) {
	id, err := peer.IDFromPrivateKey(deps.Peer)
	if err != nil {
		return nil, fmt.Errorf("%w: peer key: %w", ErrConfig, err)
	}
	raw, err := deps.Peer.Raw()
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: the peer key is no Ed25519 key", ErrConfig)
	}
	for _, dir := range []*string{&deps.Dir, &deps.SDK} { // containers are told host paths in full
		if *dir, err = filepath.Abs(*dir); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	if deps.Pause == 0 {
		deps.Pause = 2 * time.Second
	}
	if deps.Workers == 0 {
		deps.Workers = 2
	}
	if deps.Tidy == 0 {
		deps.Tidy = 10 * time.Minute
	}
	s, err := openStore(ctx, deps.DB)
	if err != nil {
		return nil, err
	}
	return &Daemon{Deps: deps, id: id, key: raw, store: s, queue: make(chan *inquiry, maxCases), open: map[escrow.Key]*inquiry{}}, nil
}

// Run looks at lots until ctx ends, and returns ctx's error.
func (d *Daemon) Run(ctx context.Context) error {
	if err := d.removeStrays(ctx); err != nil {
		d.Log.Warn("attester: cannot look for containers left behind", "error", err)
	}
	if err := d.resume(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.tidy(ctx) })
	for range d.Workers {
		wg.Go(func() { d.work(ctx) })
	}
	wg.Wait()
	return ctx.Err()
}

func (d *Daemon) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-d.queue:
			d.bundles.RLock()
			if err := d.inquire(ctx, q); err != nil && ctx.Err() == nil {
				d.Log.Error("attester: no verdict", "lot", q.lot.Key, "error", err)
			}
			d.bundles.RUnlock()
			d.mu.Lock()
			delete(d.open, q.lot.Key)
			d.mu.Unlock()
		}
	}
}

// Opinion answers a party of a disputed lot: with a signature, or with how far this attester is; or refuses with a
// market.Refusal. The first question about a lot begins the work.
func (d *Daemon) Opinion(ctx context.Context, from peer.ID, r market.VerdictRequest) (market.Opinion, error) {
	c, t, k, err := d.mine(from, r)
	if err != nil {
		return market.Opinion{}, err
	}
	l, err := d.Book.Lot(ctx, k)
	if err != nil {
		return market.Opinion{}, err
	}
	clock, err := d.Ledger.Clock(ctx)
	if err != nil {
		return market.Opinion{}, err
	}
	now := clock.SlotToTime(d.Book.Tip())
	switch rest, err := t.Hash(); {
	case err != nil:
		return market.Opinion{}, err
	case l.Status != escrow.Disputed:
		return market.Opinion{Sentence: "the lot is " + l.Status.String() + " in the chain as this attester sees it"}, nil
	case l.Terms.Rest != rest:
		return market.Opinion{}, refuse(market.RefusedTerms, "the lot was opened with other terms")
	}
	v, ok, err := d.store.find(ctx, k, l.Root)
	if err != nil {
		return market.Opinion{}, err
	}
	if ok {
		return d.sign(ctx, c, l, v)
	}
	if now >= l.Deadline {
		return market.Opinion{}, refuse(market.RefusedStale, "the verdict window is over")
	}
	return d.ask(&inquiry{lot: l, terms: t, of: r.Provider, result: r.Result, until: now + (l.Deadline-now)/market.VerdictRuns})
}

// mine refuses what is not this attester's to answer, and finds the contracts that the job is of.
func (d *Daemon) mine(from peer.ID, r market.VerdictRequest) (c *plutus.Contracts, t market.Terms, k escrow.Key, err error) {
	if t, err = market.DecodeTerms(r.Terms); err != nil {
		return c, t, k, refuse(market.RefusedTerms, "%v", err)
	}
	packed, err := escrow.PackTerms(t)
	if err != nil {
		return c, t, k, refuse(market.RefusedTerms, "%v", err)
	}
	id, err := packed.JobID()
	if err != nil {
		return c, t, k, err
	}
	i := slices.IndexFunc(d.Contracts, func(c *plutus.Contracts) bool {
		return t.Magic == c.Network.Magic && t.Policy == c.Policy && t.Spend == c.Stub
	})
	lot, ok := t.LotOf(r.Provider)
	switch {
	case i < 0:
		return c, t, k, refuse(market.RefusedContracts, "this attester does not know network %d with contracts %s", t.Magic, t.Policy)
	case market.JobID(id) != r.Job || !ok:
		return c, t, k, refuse(market.RefusedUnknown, "no such lot in these terms")
	case from != t.Requester && from != r.Provider:
		return c, t, k, refuse(market.RefusedUnknown, "the lot is between others")
	case t.Disputes == nil:
		return c, t, k, refuse(market.RefusedTerms, "the terms provide for no disputes")
	}
	if _, named := t.Disputes.Attester(d.id); !named {
		return c, t, k, refuse(market.RefusedTerms, "the terms name other attesters")
	}
	k = escrow.Key{Job: id}
	k.Provider, _ = lot.Payment.Key()
	return d.Contracts[i], t, k, nil
}

// ask puts an inquiry into the queue, unless it is there, and says how far it is.
func (d *Daemon) ask(q *inquiry) (market.Opinion, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.open[q.lot.Key]; before != nil {
		if len(before.result) == 0 {
			before.result = q.result
		}
		return market.Opinion{Lot: before.lot.Ref, Sentence: before.stands}, nil
	}
	q.stands = "it waits for its turn"
	select {
	case d.queue <- q:
	default:
		return market.Opinion{}, refuse(market.RefusedBusy, "%d lots wait already", maxCases)
	}
	d.open[q.lot.Key] = q
	d.Log.Info("attester: asked about a lot", "lot", q.lot.Key)
	return market.Opinion{Lot: q.lot.Ref, Sentence: q.stands}, nil
}

// sign puts this attester's name to a verdict, on the output that holds the lot now. Of a provider that was found wrong it
// takes what the terms say of its stakes, or all of them if there is less: it has no more to lose, and should not escape.
func (d *Daemon) sign(ctx context.Context, c *plutus.Contracts, l escrow.Lot, v Verdict) (market.Opinion, error) {
	var taken uint64
	if v.AwardUNTX < l.PriceUNTX {
		stakes, err := d.Book.Stakes(ctx, c, l.Key.Provider)
		if err != nil {
			return market.Opinion{}, err
		}
		for _, s := range stakes {
			taken += s.UNTX
		}
		taken = min(taken, l.Terms.Disputes.AtRiskUNTX)
	}
	a := c.Attest(d.key, l.OnChain(), v.AwardUNTX, v.SlashUNTX, taken)
	return market.Opinion{
		Lot: l.Ref, AwardUNTX: v.AwardUNTX, SlashUNTX: v.SlashUNTX, TakenUNTX: taken, Signature: a.Signature[:], Sentence: v.Sentence,
	}, nil
}

// inquire comes to a verdict and records it. What fails on this machine is tried again until it is too late.
func (d *Daemon) inquire(ctx context.Context, q *inquiry) error {
	for {
		right, why, err := d.judge(ctx, q)
		now, timeErr := d.now(ctx)
		switch {
		case err == nil:
			v := Verdict{Lot: q.lot.Key, Root: q.lot.Root, AwardUNTX: q.lot.PriceUNTX, Sentence: safe(why), At: now}
			if !right {
				v.AwardUNTX, v.SlashUNTX = 0, q.terms.Disputes.SlashUNTX(q.lot.PriceUNTX)
			}
			d.Log.Info("attester: verdict", "lot", q.lot.Key, "award_untx", v.AwardUNTX, "why", why)
			return errors.Join(timeErr, d.store.add(ctx, v))
		case timeErr != nil || now >= q.lot.Deadline:
			return errors.Join(err, timeErr)
		}
		d.Log.Warn("attester: trying again", "lot", q.lot.Key, "error", err)
		d.says(q, "something failed here, and is tried again")
		if err := sleep(ctx, d.Pause); err != nil {
			return err
		}
	}
}

func (d *Daemon) says(q *inquiry, stands string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.stands = stands
}

// given is the result that a party sent.
func (d *Daemon) given(q *inquiry) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return q.result
}

// now is the chain's time at the book's tip.
func (d *Daemon) now(ctx context.Context) (chain.Time, error) {
	c, err := d.Ledger.Clock(ctx)
	if err != nil {
		return 0, fmt.Errorf("the chain's time: %w", err)
	}
	return c.SlotToTime(d.Book.Tip()), nil
}

func refuse(code, format string, args ...any) error {
	return market.Refusal{Code: code, Sentence: safe(fmt.Sprintf(format, args...))}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
