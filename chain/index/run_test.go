package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tallycompute/tally/chain"
)

func TestMain(m *testing.M) {
	childMain()
	code := m.Run()
	if err := errors.Join(postgres.stop(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var errCut = errors.New("connection cut")

// scripted is a Source that follows a script of chains: each life serves one chain as a node would, from the
// intersection to its tip and over every reorganisation, and is then cut; the last one stays.
type scripted struct {
	lives [][][]chain.Block // of each life, the chains the node is on, one after the other

	served chan struct{} // if not nil, closed when the last life has given all it has
	n      int           // the life now
}

func (s *scripted) Follow(ctx context.Context, from []chain.Point, f Follower) error {
	life, last := s.lives[s.n], s.n == len(s.lives)-1
	if !last {
		s.n++
	}
	now := life[0]
	at := intersect(now, from)
	if at < 0 {
		return errors.New("no intersection")
	}
	for _, c := range life {
		for at > 0 && (at > len(c) || c[at-1].Hash != now[at-1].Hash) {
			at--
		}
		if err := f.Backward(ctx, pointAt(c, at)); err != nil {
			return err
		}
		for ; at < len(c); at++ {
			if err := f.Forward(ctx, c[at], c[len(c)-1].Point); err != nil {
				return err
			}
		}
		now = c
	}
	if !last {
		return errCut
	}
	if s.served != nil {
		close(s.served)
	}
	<-ctx.Done()
	return ctx.Err()
}

func pointAt(c []chain.Block, n int) chain.Point {
	if n == 0 {
		return chain.Point{}
	}
	return c[n-1].Point
}

// intersect is the height at which the chain has the first of the points it knows, or -1.
func intersect(c []chain.Block, from []chain.Point) int {
	for _, p := range from {
		for n := len(c); n >= 0; n-- {
			if pointAt(c, n) == p {
				return n
			}
		}
	}
	return -1
}

// runAll runs ix over src until the last life is served and written.
func runAll(t *testing.T, ix *Index, src *scripted) {
	t.Helper()
	src.served = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ix.Run(ctx, src) }()
	last := src.lives[len(src.lives)-1]
	final := last[len(last)-1]
	for served := src.served; ; {
		changed := ix.Changed()
		if served == nil && ix.Tip().Point == final[len(final)-1].Point {
			break
		}
		select {
		case <-served:
			served = nil
		case <-changed:
		case err := <-ended:
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// A source that is cut, reorganises and comes back on another branch, or as another chain altogether.
func TestRun(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, other := story(0), story(1)
		fork := append(slices.Clone(main[:3]), blockAfter(main[2], 1), blockAfter(blockAfter(main[2], 1), 2))
		for name, tt := range map[string]struct {
			lives [][][]chain.Block
		}{
			"straight":             {[][][]chain.Block{{main}}},
			"cut and on":           {[][][]chain.Block{{main[:2]}, {main[:2]}, {main[:4]}, {main}}},
			"shorter":              {[][][]chain.Block{{main}, {main[:3]}}},
			"reorganised":          {[][][]chain.Block{{main, fork, main}}},
			"other branch":         {[][][]chain.Block{{main}, {fork}}},
			"another chain":        {[][][]chain.Block{{main}, {other}}},
			"another, then it cut": {[][][]chain.Block{{main}, {other[:1]}, {other}}},
		} {
			t.Run(name, func(t *testing.T) {
				last := tt.lives[len(tt.lives)-1]
				final := last[len(last)-1]
				ix := openTest(t, db.New(t), testConfig())
				runAll(t, ix, &scripted{lives: tt.lives})
				if got, want := dump(t, ix), fresh(t, testConfig(), final); got != want {
					t.Errorf("%s\na fresh index:\n%s", got, want)
				}
			})
		}
	})
}

func TestPointsReachBack(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		ix := openTest(t, db.New(t), testConfig())
		var m []chain.Block
		prev := chain.Block{}
		for range 40 {
			prev = blockAfter(prev, 0)
			m = append(m, prev)
		}
		feed(t, ix, m...)
		ps, err := ix.points(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var want []chain.Point
		for _, back := range []int{0, 1, 2, 4, 8, 16, 32} {
			want = append(want, m[39-back].Point)
		}
		want = append(want, chain.Point{})
		if !slices.Equal(ps, want) {
			t.Errorf("points %v, want %v", ps, want)
		}
	})
}

func TestWait(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main := story(0)
		ix := openTest(t, db.New(t), testConfig())
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { ix.Run(ctx, &scripted{lives: [][][]chain.Block{{main[:3]}, {main}}}) })
		open := main[2].Txs[0]
		p, height, err := ix.WaitTx(ctx, open.ID, 3)
		if err != nil || p != main[2].Point || height != 3 || ix.Tip().Confirmations(height) < 3 {
			t.Errorf("at %v, height %d, %v", p, height, err)
		}
		if err := ix.WaitSlot(ctx, main[5].Slot); err != nil {
			t.Error(err)
		}
		if ix.SourceTip() != main[5].Point || ix.Tip().Point != main[5].Point {
			t.Errorf("tip %v, source's %v", ix.Tip(), ix.SourceTip())
		}
		cancel()
		run.Wait()
		if err := ix.WaitSlot(ctx, 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting with an ended context: %v", err)
		}
	})
}

func TestRunRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main := story(0)
		ix := openTest(t, db.New(t), testConfig())
		broken := errors.New("broken")
		ix.Register("broken/1", HandlerFunc(func(b Block) ([]Event, error) {
			if b.Height == 3 {
				return nil, broken
			}
			return nil, nil
		}))
		err := ix.Run(t.Context(), &scripted{lives: [][][]chain.Block{{main}}})
		if !errors.Is(err, ErrHandler) || !errors.Is(err, broken) || ix.Tip().Point != main[1].Point {
			t.Errorf("a handler that fails: %v, tip %v", err, ix.Tip())
		}
		gap := openTest(t, db.New(t), testConfig())
		feed(t, gap, main[0])
		if err := gap.apply(t.Context(), []chain.Block{main[2]}, main[2].Point); !errors.Is(err, ErrChain) {
			t.Errorf("a block that leaves one out: %v", err)
		}
		twice := blockAfter(main[0], 7, txOf(9, main[0].Txs[0].Inputs), txOf(2, []chain.OutRef{main[0].Txs[0].Outputs[0].Ref}), txOf(3, []chain.OutRef{main[0].Txs[0].Outputs[0].Ref}))
		if err := gap.apply(t.Context(), []chain.Block{twice}, twice.Point); !errors.Is(err, ErrChain) || gap.Tip().Point != main[0].Point {
			t.Errorf("an output spent twice: %v", err)
		}
	})
}

// Two indexes on one database: the second to write notices.
func TestTwoWriters(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, path := story(0), db.New(t)
		a, b := openTest(t, path, testConfig()), openTest(t, path, testConfig())
		feed(t, a, main[0])
		if err := b.apply(t.Context(), []chain.Block{main[0]}, main[0].Point); !errors.Is(err, ErrChain) {
			t.Errorf("the second writer: %v", err)
		}
	})
}

func TestOpenAgain(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, path := story(0), db.New(t)
		ix := openTest(t, path, testConfig())
		feed(t, ix, main...)
		ix.Close()
		other := testConfig()
		other.Network.Magic = 1
		if _, err := Open(t.Context(), path, other); !errors.Is(err, ErrForeign) {
			t.Errorf("opened for another network: %v", err)
		}
		more := testConfig()
		more.Watch = append(more.Watch, Key(nobody))
		ix = openTest(t, path, more)
		if ix.Tip().seq != 0 {
			t.Error("another watch did not start the index over")
		}
		feed(t, ix, main...)
		if us, err := ix.UTxOsOf(t.Context(), Key(nobody)); err != nil || len(us) != 2 {
			t.Errorf("the new watch has %v, %v", us, err)
		}
		ix.Close()
		slices.Reverse(more.Watch)
		ix = openTest(t, path, more)
		if ix.Tip().Point != main[5].Point {
			t.Error("the same watch in another order started the index over")
		}
		ix.Close()
		more.Base = Base{Point: main[2].Point, Height: 3, UTxOs: main[2].Txs[1].Outputs}
		ix = openTest(t, path, more)
		feed(t, ix, main[3:]...)
		if s, ok, err := ix.UTxO(t.Context(), main[2].Txs[1].Outputs[0].Ref); err != nil || !ok || s.SpentBy == nil || *s.SpentBy != main[4].Txs[0].ID {
			t.Errorf("an output of the base, spent later: %+v, %v, %v", s, ok, err)
		}
		ix.Close()
		if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "a\x00b"), testConfig()); !errors.Is(err, ErrDatabase) {
			t.Errorf("a path that cannot be: %v", err)
		}
	})
}

func TestHandlersChange(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, path := story(0), db.New(t)
		ix := openTest(t, path, testConfig())
		runAll(t, ix, &scripted{lives: [][][]chain.Block{{main}}})
		ix.Close()
		ix = openTest(t, path, testConfig())
		ix.Register("count/1", HandlerFunc(func(b Block) ([]Event, error) { return []Event{{Key: "blocks", Kind: "one"}}, nil }))
		runAll(t, ix, &scripted{lives: [][][]chain.Block{{main}}})
		if es, err := ix.Events(t.Context(), "blocks"); err != nil || len(es) != len(main) {
			t.Errorf("a new handler has seen %d blocks of %d, %v", len(es), len(main), err)
		}
	})
}

func TestEvents(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main := story(0)
		ix := openTest(t, db.New(t), testConfig())
		feed(t, ix, main...)
		made := main[2].Txs[0].Outputs[0]
		es, err := ix.Events(t.Context(), made.Ref.String())
		if err != nil || len(es) != 2 || es[0].Kind != "made" || es[1].Kind != "spent" || es[0].Block != main[2].Point || es[0].Height != 3 || string(es[0].Payload) != string(made.Datum) || es[0].Handler != "observe/1" {
			t.Errorf("events of a lot: %+v, %v", es, err)
		}
		all, err := ix.EventsSince(t.Context(), 0, 100)
		if err != nil || len(all) != 4 {
			t.Fatalf("all events: %+v, %v", all, err)
		}
		for i, e := range all {
			rest, err := ix.EventsSince(t.Context(), e.ID, 100)
			if err != nil || len(rest) != len(all)-i-1 {
				t.Errorf("after event %d: %d, %v", e.ID, len(rest), err)
			}
		}
		if err := ix.undo(t.Context(), main[3].Point); err != nil {
			t.Fatal(err)
		}
		feed(t, ix, main[4:]...)
		if _, err := ix.EventsSince(t.Context(), all[3].ID, 100); !errors.Is(err, ErrRolledBack) {
			t.Errorf("after an event that was undone and came again: %v", err)
		}
		if rest, err := ix.EventsSince(t.Context(), all[2].ID, 100); err != nil || len(rest) != 1 || rest[0].ID <= all[3].ID {
			t.Errorf("after an event that stayed: %+v, %v", rest, err)
		}
	})
}

func TestReads(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main := story(0)
		ix, ctx := openTest(t, db.New(t), testConfig()), t.Context()
		feed(t, ix, main[:3]...)
		us, err := ix.UTxOs(ctx, addressOf(lot))
		want := main[2].Txs[1].Outputs[0]
		if err != nil || len(us) != 1 || us[0].Ref != want.Ref || !us[0].Value.Equal(want.Value) || string(us[0].Datum) != string(want.Datum) || us[0].Script != nil {
			t.Errorf("the lot: %+v, want %+v, %v", us, want, err)
		}
		if us, err := ix.UTxOs(ctx, chain.Base(network, chain.KeyHash{'a'}, chain.KeyHash{'z'})); err != nil || len(us) != 0 {
			t.Errorf("at another address of alice: %v, %v", us, err)
		}
		open := main[2].Txs[0]
		s, ok, err := ix.UTxO(ctx, open.Outputs[0].Ref)
		if err != nil || !ok || s.SpentBy == nil || *s.SpentBy != main[2].Txs[1].ID {
			t.Errorf("a spent output: %+v, %v, %v", s, ok, err)
		}
		if _, ok, err := ix.UTxO(ctx, chain.OutRef{Index: 4}); ok || err != nil {
			t.Errorf("an unknown output: %v, %v", ok, err)
		}
		if _, _, ok, err := ix.TxBlock(ctx, main[3].Txs[0].ID); ok || err != nil {
			t.Errorf("a transaction that touches nothing watched: %v, %v", ok, err)
		}
		if c := ix.Tip().Confirmations(3); c != 1 {
			t.Errorf("%d confirmations in the tip", c)
		}
		if c := ix.Tip().Confirmations(4); c != 0 {
			t.Errorf("%d confirmations above the tip", c)
		}
	})
}

// Tables of an older version are made anew; those of a newer one are left alone.
func TestVersions(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		main, path := story(0), db.New(t)
		ix := openTest(t, path, testConfig())
		feed(t, ix, main...)
		for _, s := range []string{"ALTER TABLE blocks DROP COLUMN height", "UPDATE meta SET v = '1' WHERE k = 'schema'"} {
			if _, err := ix.db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
		ix.Close()
		ix = openTest(t, path, testConfig())
		feed(t, ix, main...)
		if dump(t, ix) != fresh(t, testConfig(), main) {
			t.Error("tables of version 1 were not made anew")
		}
		if _, err := ix.db.Exec("UPDATE meta SET v = '99' WHERE k = 'schema'"); err != nil {
			t.Fatal(err)
		}
		ix.Close()
		if _, err := Open(t.Context(), path, testConfig()); !errors.Is(err, ErrForeign) {
			t.Errorf("tables of version 99: %v", err)
		}
	})
}

func TestStanding(t *testing.T) {
	cfg := testConfig()
	cfg.K = 5
	ix := openTest(t, Databases[0].New(t), cfg)
	for confirmations, want := range []Standing{Pending, Pending, Pending, Confirmed, Confirmed, Confirmed, Settled, Settled} {
		if got := ix.Standing(uint64(confirmations), 3); got != want {
			t.Errorf("%d confirmations are %s, want %s", confirmations, got, want)
		}
	}
	if got := ix.Standing(0, 0); got != Pending {
		t.Errorf("what is in no block is %s", got)
	}
}
