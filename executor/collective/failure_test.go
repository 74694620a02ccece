package collective

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// prompt are waits short enough for a test that wants them to pass.
var prompt = Options{Heartbeat: 50 * time.Millisecond, Silence: 5 * time.Second, Progress: 500 * time.Millisecond}

func TestMismatchNamesBothRanks(t *testing.T) {
	cases := map[string]func(g *Group, r int) error{
		"small sizes": func(g *Group, r int) error {
			b := make([]float32, 10+r)
			return g.Do(t.Context(), sum(b, b, Sum))
		},
		"large sizes": func(g *Group, r int) error {
			b := make([]float32, 1<<20+r/2)
			return g.Do(t.Context(), sum(b, b, Sum))
		},
		"one small, one large": func(g *Group, r int) error {
			b := make([]float32, 10+r/2*(1<<20))
			return g.Do(t.Context(), sum(b, b, Sum))
		},
		"another operation": func(g *Group, r int) error {
			if r == 1 {
				return g.barrier(t.Context())
			}
			b := make([]float32, 1<<20)
			return g.Do(t.Context(), sum(b, b, Sum))
		},
		"another reduction": func(g *Group, r int) error {
			b := make([]float32, 10)
			return g.Do(t.Context(), sum(b, b, Reduce(r%2)))
		},
		"another share": func(g *Group, r int) error {
			b := make([]float32, 1<<20)
			return g.Do(t.Context(), topK(b, b, Sum, uint16(100+r/2)))
		},
		"another root": func(g *Group, r int) error {
			return g.Do(t.Context(), Operation{Kind: Broadcast, Dst: make([]byte, 1<<20), Root: r % 2})
		},
		"one leaves": func(g *Group, r int) error {
			if r == 2 {
				return g.Close(t.Context())
			}
			return g.barrier(t.Context())
		},
	}
	for name, call := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3, Options{})
			for r, err := range w.each(func(r int) error { return call(w.groups[r], r) }) {
				if err == nil && name != "another root" {
					t.Errorf("rank %d finished an operation the others were not in", r)
				}
				if err != nil && (strings.Count(err.Error(), "operation 1") < 2 || strings.Count(err.Error(), "rank ") < 2) {
					t.Errorf("rank %d is not told of both ranks and their operations: %v", r, err)
				}
			}
			for r, g := range w.groups {
				if err := g.barrier(t.Context()); err == nil {
					t.Errorf("rank %d: a failed group goes on", r)
				}
				_ = g.Close(t.Context())
			}
		})
	}
}

// TestMismatchInOtherWays has one rank sum something small, which on one machine goes through rank 0, and the others something
// large, which goes round, or the other way about: they need not read a byte of each other, and are told by heartbeats.
func TestMismatchInOtherWays(t *testing.T) {
	const n = 4
	for odd := range n {
		for _, small := range []bool{true, false} {
			t.Run(fmt.Sprintf("rank %d, small %v", odd, small), func(t *testing.T) {
				w := newWorld(t, n, Options{Heartbeat: 50 * time.Millisecond})
				for r, err := range w.each(func(r int) error {
					b := make([]float32, 10)
					if (r == odd) != small {
						b = make([]float32, 100_000)
					}
					return w.groups[r].Do(t.Context(), sum(b, b, Sum))
				}) {
					if !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrAborted) || strings.Count(err.Error(), "operation 1") < 2 || strings.Count(err.Error(), "rank ") < 2 {
						t.Errorf("rank %d is not told of both ranks and their operations: %v", r, err)
					}
				}
				w.drop()
			})
		}
	}
}

func TestPeerKilledMidway(t *testing.T) {
	w := newWorld(t, 4, Options{})
	const victim = 2
	size := 1_000_000
	bufs := make([][]float32, 4)
	for r := range bufs {
		bufs[r] = inputs(r, size)
	}
	w.all(func(r int) error { return w.groups[r].Do(t.Context(), sum(bufs[r], bufs[r], Mean)) })
	errs := w.each(func(r int) error {
		for i := 0; ; i++ {
			if r == victim && i == 3 {
				go func() { _ = w.hosts[victim].Close() }() // while the ring is turning
			}
			if err := w.groups[r].Do(t.Context(), sum(bufs[r], bufs[r], Mean)); err != nil {
				return err
			}
		}
	})
	for r, err := range errs {
		if r != victim && !strings.Contains(err.Error(), w.hosts[victim].ID().String()) {
			t.Errorf("rank %d does not name the peer that died: %v", r, err)
		}
		if r != victim && !errors.Is(err, ErrLost) {
			t.Errorf("rank %d takes a dead peer for something else: %v", r, err)
		}
	}
	w.drop()
}

func TestAbortReachesEveryRank(t *testing.T) {
	w := newWorld(t, 4, Options{})
	errs := w.each(func(r int) error {
		if r == 3 {
			w.groups[r].Abort(errors.New("the disk is full"))
		}
		b := make([]float32, 1<<20)
		return w.groups[r].Do(t.Context(), sum(b, b, Sum))
	})
	for r, err := range errs {
		if err == nil || !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	w.drop()
}

func TestProgressTimeoutNamesTheLateRank(t *testing.T) {
	w := newWorld(t, 3, prompt)
	errs := w.each(func(r int) error {
		if r == 1 {
			<-w.groups[r].Done() // alive, but never comes to the operation
			return w.groups[r].Err()
		}
		b := make([]float32, 1<<20)
		return w.groups[r].Do(t.Context(), sum(b, b, Sum))
	})
	for r, err := range errs {
		if !strings.Contains(err.Error(), "waited 500ms") || !strings.Contains(err.Error(), "not yet in it: rank 1 ("+w.hosts[1].ID().String()) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	w.drop()
}

func TestSilentPeerIsLost(t *testing.T) {
	w := newHosts(t, 2)
	w.groups = make([]*Group, 2)
	w.all(func(r int) (err error) {
		o := Options{Heartbeat: 20 * time.Millisecond, Silence: 200 * time.Millisecond}
		if r == 1 { // connected, but it never says anything
			o = Options{Heartbeat: time.Hour, Silence: 10 * time.Hour}
		}
		w.groups[r], err = w.services[r].Join(t.Context(), w.view(r), o)
		return err
	})
	err := w.groups[0].barrier(t.Context())
	var pe *PeerError
	if !errors.As(err, &pe) || pe.Kind != ErrLost || pe.Rank != 1 || !strings.Contains(err.Error(), "silent for 200ms") {
		t.Fatalf("rank 0: %v", err)
	}
	w.drop()
}

func TestCancelledOperationAbortsTheGroup(t *testing.T) {
	w := newWorld(t, 2, Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := w.each(func(r int) error {
		if r == 1 {
			for w.groups[0].entered.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel(errors.New("the container was killed"))
			<-w.groups[1].Done()
			return w.groups[1].Err()
		}
		return w.groups[0].barrier(ctx)
	})
	if !errors.Is(errs[0], ErrAborted) || !strings.Contains(errs[1].Error(), "the container was killed") {
		t.Fatalf("%v", errs)
	}
	w.drop()
}

func TestStrangerIsRefused(t *testing.T) {
	w := newWorld(t, 2, Options{})
	stranger := newHost(t)
	s := NewService(stranger, quiet())
	defer func() { _ = s.Close() }()
	v := w.view(0)
	g := newGroup(s, v, Options{})
	for _, p := range v.Peers {
		stranger.Peerstore().AddAddrs(p.ID, p.Addrs, time.Hour)
	}
	for _, h := range []hello{
		{kind: kindLane, epoch: 1, from: 0, to: 1, size: 2, job: w.job, view: v.hash()},
		{kind: kindControl, epoch: 2, from: 0, to: 1, size: 2, job: w.job, view: v.hash()},
	} {
		_, _, err := s.dialOnce(t.Context(), g, g.links[1], h)
		if !errors.Is(err, errAbsent) {
			t.Errorf("a stranger that claims to be rank 0 was told %v", err)
		}
	}
	st, err := stranger.NewStream(t.Context(), w.hosts[1].ID(), Protocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write(bytes.Repeat([]byte{'x'}, 4096)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(st); err == nil || len(b) > 0 {
		t.Errorf("nonsense was answered with %q, %v", b, err)
	}
	checkSum(t, w, 100_000, false) // the group never noticed
	w.close()
}

func TestJoinFailures(t *testing.T) {
	w := newHosts(t, 3)
	for name, change := range map[string]func(*View){
		"no peers":       func(v *View) { v.Peers = nil },
		"rank too high":  func(v *View) { v.Rank = 3 },
		"somebody else":  func(v *View) { v.Rank = 1 },
		"the same twice": func(v *View) { v.Peers[2] = v.Peers[1] },
	} {
		v := w.view(0)
		change(&v)
		if _, err := w.services[0].Join(t.Context(), v, Options{}); !errors.Is(err, ErrView) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Rank 2 never comes: the others say so, and nothing stays behind.
	for r, err := range w.each(func(r int) error {
		if r == 2 {
			return ErrTimeout
		}
		_, err := w.services[r].Join(t.Context(), w.view(r), Options{Join: time.Second})
		return err
	}) {
		if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrLost) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	// Rank 1 has the ranks in another order.
	errs := w.each(func(r int) error {
		v := w.view(r)
		if r == 1 {
			v.Peers[0], v.Peers[2] = v.Peers[2], v.Peers[0]
		}
		g, err := w.services[r].Join(t.Context(), v, Options{Join: 3 * time.Second})
		if err == nil {
			<-g.Done() // joined before it could be told
			err = g.Err()
			_ = g.Close(t.Context())
		}
		return err
	})
	for r, err := range errs {
		if err == nil {
			t.Errorf("rank %d joined a group with two views", r)
		}
	}
}

func TestTwoJobsAtOnce(t *testing.T) {
	w := newWorld(t, 2, Options{})
	other := &world{tb: t, job: JobID{1}, hosts: w.hosts, services: w.services, groups: make([]*Group, 2)}
	other.all(func(r int) (err error) {
		other.groups[r], err = w.services[r].Join(t.Context(), other.view(r), Options{})
		return err
	})
	if _, err := w.services[0].Join(t.Context(), other.view(0), Options{}); !errors.Is(err, ErrView) {
		t.Errorf("joined one group twice: %v", err)
	}
	other.groups[1].Abort(errors.New("only this job"))
	<-other.groups[0].Done()
	other.drop()
	checkSum(t, w, 300_000, false)
	w.close()
	for _, g := range w.groups {
		if err := g.barrier(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed group answers %v", err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	}
}
