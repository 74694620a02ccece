package requester

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/market"
)

// TestSpares has three shards train beside two spares. Who was there at the end, at work or standing by, is paid by the
// word of most who worked, and nobody else.
func TestSpares(t *testing.T) {
	type u = []uint32
	member := func(members, stoodBy u) *market.Circle { return &market.Circle{Members: members, StoodBy: stoodBy} }
	stood := func(s uint32) *market.Circle { return &market.Circle{StoodBy: u{s}} }
	all, mended := u{0, 1, 2}, u{0, 2, 3}
	for name, c := range map[string]struct {
		circles map[uint32]*market.Circle // none: it failed
		paid    u
		note    string
		want    error
	}{
		"nothing happened": {
			map[uint32]*market.Circle{0: member(all, u{3, 4}), 1: member(all, u{3, 4}), 2: member(all, u{3, 4}), 3: stood(3), 4: stood(4)},
			u{0, 1, 2, 3, 4},
			"", nil,
		},
		"one came in, one stood by": {
			map[uint32]*market.Circle{0: member(mended, u{4}), 2: member(mended, u{4}), 3: member(mended, nil), 4: stood(4)},
			u{0, 2, 3, 4},
			"spare 3 came in", nil,
		},
		"a spare that most did not see": {
			map[uint32]*market.Circle{0: member(all, u{3, 4}), 1: member(all, u{3}), 2: member(all, u{3}), 3: stood(3), 4: stood(4)},
			u{0, 1, 2, 3},
			"", nil,
		},
		"the lost one says that it was there": {
			map[uint32]*market.Circle{0: member(mended, u{4}), 1: stood(1), 2: member(mended, u{4}), 3: member(mended, u{4}), 4: stood(4)},
			u{0, 2, 3, 4},
			"spare 3 came in", nil,
		},
		"both spares were away": {
			map[uint32]*market.Circle{0: member(u{0, 2}, nil), 2: member(u{0, 2}, nil)}, u{0, 2}, "rests on 2 shards of 3", nil,
		},
		"everybody says something else": {
			map[uint32]*market.Circle{0: member(u{0, 1}, nil), 1: member(u{1, 2}, nil), 2: member(u{0, 2}, nil), 3: stood(3), 4: stood(4)}, nil, "", ErrJobFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5)
			for _, p := range w.providers {
				p.program = func(s uint32, r *market.ShardResult) map[string]string {
					if r.Circle = c.circles[s]; r.Circle == nil {
						r.ExitCode = 1
						return nil
					}
					if r.StoodBy() {
						return map[string]string{"early.txt": "before it was needed"}
					}
					r.ParamsStep, r.Params = 10, market.HashOf([]byte("same"))
					return map[string]string{"model": "m"}
				}
			}
			w.on = func(e Event) {
				if e.Entered && (e.Phase == Approved || e.Phase == Failed) {
					w.passCommitBy()
				}
			}
			o, err := w.now.Run(context.Background(), w.spec(market.Training, "shards: {count: 3, min: 2, spares: 2}\n"), yes)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			if o.Note != c.note || len(o.Lots) != 5 {
				t.Errorf("%d lots, note %q", len(o.Lots), o.Note)
			}
			for _, l := range o.Lots {
				s := l.Shards[0]
				if paid := slices.Contains(c.paid, s); l.Accepted != paid || (l.PaidUNTX == l.PriceUNTX) != paid || l.Spare != (s >= 3) {
					t.Errorf("shard %d: %+v", s, l)
				}
				said := c.circles[s]
				if l.StoodBy != (said != nil && len(said.Members) == 0) {
					t.Errorf("shard %d stood by: %t", s, l.StoodBy)
				}
				if !l.Accepted && said != nil && c.want == nil && !strings.Contains(l.Rejected, "most of those who came to the end") {
					t.Errorf("shard %d was rejected with %q", s, l.Rejected)
				}
			}
			if c.want == nil {
				if read(t, o.Out, "model") != "m" {
					t.Error("the result is not what members left")
				}
				absent(t, o.Out, "early.txt")
			}
		})
	}
}

// TestSparesArePlanned has a market that is too small for the spares say what would do.
func TestSparesArePlanned(t *testing.T) {
	w := newWorld(t, 4)
	_, err := w.now.Run(context.Background(), w.spec(market.Training, "shards: {count: 3, spares: 2}\n"), yes)
	if !errors.Is(err, ErrNoOffers) || !strings.Contains(err.Error(), "3 shards + 2 spares wanted") || !strings.Contains(err.Error(), "shards.spares: 2 → 1") {
		t.Errorf("%v", err)
	}
}

func absent(t *testing.T, dir, name string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", name, err)
	}
}
