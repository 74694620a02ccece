package requester

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/market"
)

// checkNothing wants no transaction of the job anywhere and nothing reserved.
func (w *world) checkNothing(t *testing.T, o Outcome) {
	t.Helper()
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	if len(w.chain.submitted) != 0 {
		t.Errorf("%d transactions were submitted", len(w.chain.submitted))
	}
	if n := w.purse.held(); n != 0 {
		t.Errorf("%d coins are still reserved", n)
	}
	if o.ID != "" && (!o.Done || o.Phase != Failed) {
		t.Errorf("%+v", o)
	}
}

func TestRefusalReleasesEverybody(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(p *testProvider)
		want  string
	}{
		"no witness": {func(p *testProvider) {
			p.propose = func() error { return market.Refusal{Code: market.RefusedTx, Sentence: "changed my mind"} }
		}, "changed my mind"},
		"a signature by another key": {func(p *testProvider) {
			p.witness = func(w *market.Witness) { w.VKey = chaintest.NewActor("other").Key.Public().(ed25519.PublicKey) }
		}, "it signed"},
		"a signature over something else": {func(p *testProvider) {
			p.witness = func(w *market.Witness) { w.Signature[5] ^= 1 }
		}, "does not verify"},
		"another transaction": {func(p *testProvider) {
			p.witness = func(w *market.Witness) { w.Tx[0] ^= 1 }
		}, "it signed"},
		"a bond input that is too small": {func(p *testProvider) {
			p.quote = func(q *market.Quote) { q.BondValue = market.FundsOf(chain.Coins(10_000_000).With(ntx, 1)) }
		}, "does not cover"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 4)
			c.spoil(w.providers[2])
			o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 4}\n"), yes)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatal(err)
			}
			w.checkNothing(t, o)
			for i, p := range w.providers {
				if p.released == 0 {
					t.Errorf("provider %d was not released", i)
				}
			}
		})
	}
}

func TestNextInRankIsAsked(t *testing.T) {
	for name, spoil := range map[string]func(p *testProvider){
		"above the posted price": func(p *testProvider) { p.quote = func(q *market.Quote) { q.PriceUNTX++ } },
		"another bond rate":      func(p *testProvider) { p.quote = func(q *market.Quote) { q.BondBps++ } },
		"for another request":    func(p *testProvider) { p.quote = func(q *market.Quote) { q.Request[0] ^= 1 } },
		"not there":              func(p *testProvider) { p.down = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5)
			spoil(w.providers[0])
			o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 4}\n"), yes)
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range o.Lots {
				if l.Provider != w.providers[i+1].id || l.PaidUNTX != price(i+1) {
					t.Errorf("lot %d: %+v", i, l)
				}
			}
			w4 := newWorld(t, 4)
			spoil(w4.providers[0])
			o, err = w4.now.Run(context.Background(), w4.spec(market.General, "shards: {count: 4}\n"), yes)
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), w4.providers[0].id.String()) {
				t.Fatal(err)
			}
			w4.checkNothing(t, o)
			for i, p := range w4.providers[1:] {
				if p.released == 0 {
					t.Errorf("provider %d was not released", i+1)
				}
			}
		})
	}
}

func TestNothingStarts(t *testing.T) {
	for name, c := range map[string]struct {
		more  string
		spoil func(w *world, s *JobSpec)
		want  error
		text  string
	}{
		"budget too small":  {"", func(_ *world, s *JobSpec) { s.Job.Budget = 100 }, ErrNotEnough, "budget.max_ntx"},
		"no offers":         {"", func(w *world, _ *JobSpec) { w.providers = nil }, ErrNoOffers, "no offer"},
		"too many shards":   {"shards: {count: 3}\n", nil, ErrNoOffers, "shards.count: 3 → 2"},
		"too little NTX":    {"", func(_ *world, s *JobSpec) { s.Job.Budget, s.Job.Timeouts.Run = 1<<50, 30*market.Hour }, ErrNotEnough, "the wallet has"},
		"too much locked":   {"", func(_ *world, s *JobSpec) { s.MaxLocked = 1 }, ErrNotEnough, "at most 0.000001 are to be locked"},
		"no program":        {"", func(_ *world, s *JobSpec) { _ = os.RemoveAll(filepath.Join(s.Dir, "program")) }, market.ErrJobFile, "line 7"},
		"too few lines":     {"shards: {count: 2}\n", func(_ *world, s *JobSpec) { _ = os.WriteFile(filepath.Join(s.Dir, "lines.txt"), []byte("a\n"), 0o600) }, market.ErrJobFile, "at most 1 shards"},
		"a link among them": {"", func(_ *world, s *JobSpec) { _ = os.Symlink("/etc/passwd", filepath.Join(s.Dir, "program", "x")) }, market.ErrJobFile, "links"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			spec := w.spec(market.General, c.more)
			if c.spoil != nil {
				c.spoil(w, &spec)
			}
			o, err := w.now.Run(context.Background(), spec, yes)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Fatal(err)
			}
			w.checkNothing(t, o)
			if left, err := os.ReadDir(w.now.Dir); err == nil && len(left) > 0 {
				t.Errorf("%d directories are left", len(left))
			}
		})
	}
	t.Run("not confirmed", func(t *testing.T) {
		w := newWorld(t, 2)
		o, err := w.now.Run(context.Background(), w.spec(market.General, ""), func(market.Plan) error { return errors.New("too dear") })
		if !errors.Is(err, ErrDeclined) {
			t.Fatal(err)
		}
		w.checkNothing(t, o)
	})
}

func TestTooLittleADA(t *testing.T) {
	w := newWorld(t, 2, chaintest.NewActor("requester").Coin(3, chain.Coins(1_500_000).With(ntx, wealth)))
	o, err := w.now.Run(context.Background(), w.spec(market.General, "shards: {count: 2}\n"), yes)
	if !errors.Is(err, ErrNotEnough) || !strings.Contains(err.Error(), "send ADA to") {
		t.Fatal(err)
	}
	w.checkNothing(t, o)
}

func TestCancel(t *testing.T) {
	w := newWorld(t, 2)
	ctx, kill := context.WithCancel(context.Background())
	w.when(Agreed, kill)
	o, err := w.now.Run(ctx, w.spec(market.General, "shards: {count: 2}\n"), yes)
	if !errors.Is(err, context.Canceled) || o.Phase != Agreed {
		t.Fatalf("%+v: %v", o, err)
	}
	r := w.start()
	if err := r.Cancel(context.Background(), o.ID); err != nil {
		t.Fatal(err)
	}
	o, err = r.Resume(context.Background(), o.ID)
	if !errors.Is(err, ErrCancelled) || o.Phase != Cancelled || w.purse.held() != 0 || w.openings() != 0 {
		t.Errorf("%+v: %v", o, err)
	}
	for i, p := range w.providers {
		if p.released == 0 {
			t.Errorf("provider %d was not released", i)
		}
	}
	w.on = nil
	for _, p := range w.providers {
		p.signed = chain.TxID{}
	}
	done, err := r.Run(context.Background(), w.spec(market.General, ""), yes)
	if err == nil {
		err = r.Cancel(context.Background(), done.ID)
	}
	if !errors.Is(err, ErrSigned) {
		t.Errorf("cancelled after the fact: %v", err)
	}
}
