package collective

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// brisk are waits for a circle that is to lose members soon.
var brisk = Options{Heartbeat: 100 * time.Millisecond, Silence: 10 * time.Second, Progress: time.Minute}

// disperse frees circles that have ended, or whose end does not matter.
func disperse(t *testing.T, circles []*Circle) {
	t.Helper()
	for _, c := range circles {
		c.Leave(t.Context(), errors.New("the test is over"))
	}
}

func newCircles(t *testing.T, n int, o Options) (*world, []*Circle) {
	t.Helper()
	w := newHosts(t, n)
	circles := make([]*Circle, n)
	w.all(func(r int) (err error) {
		circles[r], err = w.services[r].NewCircle(t.Context(), w.view(r), o)
		return err
	})
	return w, circles
}

// TestCircleGoesOn loses one member, and then another, while the ring turns: what broke is done again without it.
func TestCircleGoesOn(t *testing.T) {
	const n, steps, size = 5, 30, 150_000
	w, circles := newCircles(t, n, brisk)
	digests := make([][]string, n)
	errs := w.each(func(r int) error {
		src, dst := inputs(r, size), make([]float32, size)
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		for k := range steps {
			if r == 0 && k == 8 || r == 3 && k == 17 { // the first to lead, and another
				go func() {
					_ = w.hosts[r].Close() // before it can tell anybody
					kill()
				}()
			}
			if r == 0 && k == 11 || r == 3 && k == 20 { // however fast the sums are, they do not come to the end
				<-ctx.Done()
			}
			if err := circles[r].Do(ctx, sum(dst, src, Sum)); err != nil {
				return err
			}
			digests[r] = append(digests[r], digest(dst))
		}
		if digest(src) != digest(inputs(r, size)) {
			return errors.New("the source was changed")
		}
		return circles[r].Close(t.Context())
	})
	for r, err := range errs {
		if gone := r == 0 || r == 3; (err == nil) == gone {
			t.Errorf("rank %d: %v", r, err)
		}
		if v := circles[r].View(); r != 0 && r != 3 && (len(v.Peers) != 3 || v.rankOf(w.hosts[0].ID()) >= 0 || v.rankOf(w.hosts[3].ID()) >= 0) {
			t.Errorf("rank %d ended among %d, in epoch %d", r, len(v.Peers), v.Epoch)
		}
		for k, d := range digests[r] {
			if k < len(digests[1]) && d != digests[1][k] {
				t.Errorf("step %d: rank %d and rank 1 have other results", k, r)
			}
		}
	}
	if len(digests[1]) == steps && digests[1][0] == digests[1][steps-1] {
		t.Error("the sum is the same with and without the lost members")
	}
	disperse(t, circles)
}

// TestMinorityStops has the last of three remain: it does not go on alone.
func TestMinorityStops(t *testing.T) {
	o := brisk
	o.Meet = 3 * time.Second
	w, circles := newCircles(t, 3, o)
	errs := w.each(func(r int) error {
		if r < 2 {
			return w.hosts[r].Close()
		}
		dst, src := make([]float32, 50_000), inputs(r, 50_000)
		for {
			if err := circles[r].Do(t.Context(), sum(dst, src, Sum)); err != nil {
				return err
			}
		}
	})
	if !errors.Is(errs[2], ErrTimeout) || !strings.Contains(errs[2].Error(), "no majority of") {
		t.Errorf("rank 2: %v", errs[2])
	}
	disperse(t, circles)
}

// TestCircleEndsWithAProgram has a member fail itself: that is no reason to go on without it.
func TestCircleEndsWithAProgram(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	errs := w.each(func(r int) error {
		if r == 1 {
			circles[r].group.Abort(errors.New("the disk is full"))
		}
		dst, src := make([]float32, 50_000), inputs(r, 50_000)
		return circles[r].Do(t.Context(), sum(dst, src, Sum))
	})
	for r, err := range errs {
		if !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	disperse(t, circles)
}

func TestCircleArguments(t *testing.T) {
	_, circles := newCircles(t, 1, Options{})
	buf := make([]float32, 10)
	for what, o := range map[string]Operation{
		"in place":        sum(buf, buf, Sum),
		"into its source": {Kind: ReduceScatter, Src: bytesOf(buf), Dst: bytesOf(buf[:10:10])},
		"to itself":       {Kind: Send, Src: bytesOf(buf)},
	} {
		if err := circles[0].Do(t.Context(), o); !errors.Is(err, ErrArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := circles[0].Do(t.Context(), sum(make([]float32, 10), buf, Sum)); err != nil {
		t.Error(err)
	}
	if err := circles[0].Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPromises has leaders ask for what must not be promised.
func TestPromises(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	v := w.view(1)
	ask := summons{kind: prepare, job: w.job, view: v.hash(), epoch: 7}
	stranger := newHost(t)
	s := NewService(stranger, quiet())
	defer func() { _ = s.Close() }()
	stranger.Peerstore().AddAddrs(w.hosts[1].ID(), w.hosts[1].Addrs(), time.Hour)
	no := func(who string, s *Service, what summons) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if a, err := s.summon(ctx, w.hosts[1].ID(), what); err != nil || a.status == saidYes {
			t.Errorf("%s: %+v, %v", who, a, err)
		}
	}
	no("a stranger", s, ask)
	other := ask
	other.view[0] ^= 1
	no("another view", w.services[0], other)
	old := ask
	old.epoch = 1
	no("an epoch that is over", w.services[0], old)
	unknown := ask
	unknown.job[0] ^= 1
	no("another job", w.services[0], unknown)
	early := ask
	early.kind = commit
	early.members.set(0)
	early.members.set(1)
	no("a commit without a promise", w.services[0], early)
	if err := circles[1].group.Err(); err != nil {
		t.Errorf("what was not heeded ended the group: %v", err)
	}
	if a, err := w.services[0].summon(t.Context(), w.hosts[1].ID(), ask); err != nil || a.status != saidYes || a.promised != 7 {
		t.Errorf("a member in its place: %+v, %v", a, err)
	}
	no("the same epoch again", w.services[2], ask)
	wide := early
	wide.epoch = 7
	wide.members.set(200)
	no("ranks that there are not", w.services[0], wide)
	disperse(t, circles)
}
