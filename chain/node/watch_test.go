package node_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
)

// lines is a log that tests read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watched is a watcher of a scripted node, looking often.
type watched struct {
	*testing.T
	*node.Watcher
	log *lines
}

func watch(t *testing.T, s *scripted) *watched {
	t.Helper()
	return watchNode(t, dial(t, node.Config{Socket: s.socket, Timeout: 2 * time.Second}))
}

func watchNode(t *testing.T, n *node.Node) *watched {
	t.Helper()
	w := &watched{T: t, log: new(lines)}
	w.Watcher = &node.Watcher{Node: n, Every: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(w.log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Watcher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return w
}

// until waits for a condition and for words in the log.
func (w *watched) until(c node.Condition, words ...string) {
	w.Helper()
	for give := time.Now().Add(30 * time.Second); time.Now().Before(give); {
		log, all := w.log.String(), w.Health().Condition == c
		for _, word := range words {
			all = all && strings.Contains(log, word)
		}
		if all {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.Fatalf("%s (%v); never %s and %q in\n%s", w.Health().Condition, w.Health().Err, c, words, w.log)
}

func TestWatchParameters(t *testing.T) {
	s := newScripted(t)
	w := watch(t, s)
	w.until(node.Ready, "the node is ready")
	fee := s.params.MinFeeA
	changed := *s.params
	changed.MinFeeA = fee + 7
	s.says(func(s *script) { s.params = &changed })
	w.until(node.Ready, "protocol parameters changed", "fee_per_byte 44 → 51")
	p, err := w.Node.Params(t.Context())
	if err != nil || p.FeePerByte != chain.Lovelace(fee)+7 {
		t.Errorf("the new parameters: %d lovelace a byte, %v", p.FeePerByte, err)
	}
	forked := changed
	forked.ProtocolVersion.Major, forked.ProtocolVersion.Minor = 11, 0
	forked.CostModels = map[uint][]int64{2: append([]int64{1}, changed.CostModels[2][1:]...)}
	s.says(func(s *script) { s.params = &forked })
	w.until(node.Ready, "hard fork", "protocol=11.0", "was=10.0", "cost_model_v3")
	if p, err := w.Node.Params(t.Context()); err != nil || p.ProtocolMajor != 11 || p.CostModelV3[0] != 1 {
		t.Errorf("the new cost model: version %d, %v", p.ProtocolMajor, err)
	}
	// An era that this program does not know is named; nothing is built under it.
	for era, name := range map[int]string{7: "era=dijkstra", 8: `era="era 8"`} {
		s.says(func(s *script) { s.era = era })
		w.until(node.Ready, name)
		if _, err := w.Node.Params(t.Context()); !errors.Is(err, node.ErrUnexpected) {
			t.Errorf("parameters of an era that is not known: %v", err)
		}
	}
}

// TestWatchEras: another era has slots of another length, from its beginning on; times before it stay.
func TestWatchEras(t *testing.T) {
	s := newScripted(t)
	w := watch(t, s)
	w.until(node.Ready)
	before, err := w.Node.Clock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.says(func(s *script) { s.forked, s.slotAfter = 900, 2*time.Second })
	w.until(node.Ready, "slots have another length", "length=2s", "was=1s")
	c, err := w.Node.Clock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if at := c.SlotToTime(900); at != before.SlotToTime(900) || c.SlotToTime(901) != at+2000 {
		t.Errorf("slots 900 and 901 at %d and %d, before at %d", at, c.SlotToTime(901), before.SlotToTime(900))
	}
}

func TestWatchRestart(t *testing.T) {
	s := newScripted(t)
	w := watch(t, s)
	w.until(node.Ready)
	s.stop()
	w.until(node.Unreachable, "the node cannot be reached")
	// It comes back with an empty chain and syncs.
	s.says(func(s *script) { s.tip, s.height = point(10), 9 })
	s.listen()
	w.until(node.Syncing, "the node's chain is shorter than it was", "the node is behind and catching up")
	s.says(func(s *script) { s.tip, s.height = point(1000), 900 })
	w.until(node.Ready, "the node is ready again", "was=syncing")
	// Another network's node takes its place.
	s.stop()
	s.says(func(s *script) { s.magic = 1 })
	s.listen()
	w.until(node.Foreign, "the node is of another network")
	if h := w.Health(); !errors.Is(h.Err, node.ErrWrongNetwork) || h.Height != 900 {
		t.Errorf("%+v", h)
	}
}

func TestWatchStall(t *testing.T) {
	s := newScripted(t)
	w := watch(t, s)
	w.until(node.Ready)
	// The tip grows old, and blocks still come: it is behind. Then none come any more.
	s.says(func(s *script) { s.slot = time.Millisecond; s.start = time.Now().Add(-time.Minute) })
	w.until(node.Stalled, "the node has no new blocks")
	s.says(func(s *script) { s.tip = point(1001) })
	w.until(node.Syncing, "the node is behind and catching up")
	w.until(node.Stalled)
	s.says(func(s *script) { s.tip, s.start = point(1002), time.Now().Add(-1002*time.Millisecond) })
	w.until(node.Ready)
}

func TestWatchClock(t *testing.T) {
	s := newScripted(t)
	w := watch(t, s)
	w.until(node.Ready)
	s.says(func(s *script) { s.start = s.start.Add(time.Minute) })
	w.until(node.Ready, "this machine's clock is ", "behind the chain")
	if skew := w.Health().Skew; skew > -50*time.Second || skew < -time.Minute {
		t.Errorf("skew %s of a minute", skew)
	}
}

// TestWatchBlocks: the skew is also seen in the blocks that are followed, and the figure is right.
func TestWatchBlocks(t *testing.T) {
	n := dial(t, node.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tip, err := n.Tip(ctx)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	err = n.Follow(ctx, []chain.Point{tip}, handler{forward: func(chain.Block) error {
		if blocks++; blocks > 5 {
			return errEnough
		}
		return nil
	}})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	w := &node.Watcher{Node: n, Every: time.Hour, Log: slog.New(slog.DiscardHandler)}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for w.Health().Condition == node.Unasked {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if h := w.Health(); h.Condition != node.Ready || h.Skew == 0 || h.Skew.Abs() > node.MaxSkew || h.Protocol() != "10.0" || h.Era != "conway" {
		t.Errorf("%+v", h)
	}
}

// TestWatchFork: a chain that is followed and cut is reported, with both ends of the cut.
func TestWatchFork(t *testing.T) {
	n := dial(t, node.Config{})
	log := new(lines)
	w := &node.Watcher{Node: n, Every: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- w.Run(ctx) }()
	tip, err := n.Tip(ctx)
	if err != nil {
		t.Fatal(err)
	}
	blocks, joined := 0, false
	err = n.Follow(ctx, []chain.Point{tip}, handler{
		forward: func(chain.Block) error {
			if blocks++; blocks == 5 {
				_, err := live.Producers[0].Rollback(ctx, 3)
				return err
			}
			return nil
		},
		backward: func(chain.Point) error {
			if joined {
				return errEnough
			}
			joined = true
			return nil
		},
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	for give := time.Now().Add(30 * time.Second); !strings.Contains(log.String(), "the node switched to another fork"); {
		if time.Now().After(give) {
			t.Fatalf("no word of it:\n%s", log)
		}
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	<-watched
}
