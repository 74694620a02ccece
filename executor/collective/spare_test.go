package collective

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// circus is a circle of members, and spares that wait beside it.
type circus struct {
	*world
	members int
	opts    Options
	circles []*Circle
}

// newCircus joins the members; spares come when they Enter.
func newCircus(t *testing.T, members, spares int, o Options) *circus {
	t.Helper()
	w := &circus{world: newHosts(t, members+spares), members: members}
	w.opts = o
	w.opts.Spares = w.world.view(0).Peers[members:]
	w.circles = make([]*Circle, members+spares)
	w.all(func(r int) (err error) {
		if r < members {
			w.circles[r], err = w.services[r].NewCircle(t.Context(), w.view(r), w.opts)
		}
		return err
	})
	return w
}

// view is that of the members, with a place in the roster.
func (w *circus) view(place int) View {
	v := w.world.view(place)
	v.Peers = v.Peers[:w.members]
	return v
}

// enter has a host wait until it is called in.
func (w *circus) enter(ctx context.Context, place int) (err error) {
	o := w.opts
	o.Join = time.Minute
	w.circles[place], err = w.services[place].Enter(ctx, w.view(place), o)
	return err
}

// step is one sum of ones, and its boundary; it gives how many took part, and who are in then.
func (w *circus) step(ctx context.Context, r int) (sum1 int, v View, err error) {
	dst := make([]float32, 1)
	if err := w.circles[r].Do(ctx, sum(dst, []float32{1}, Sum)); err != nil {
		return 0, v, err
	}
	v, err = w.circles[r].Admit(ctx)
	return int(dst[0]), v, err
}

func (w *circus) ids(places ...int) (all []peer.ID) {
	for _, p := range places {
		all = append(all, w.hosts[p].ID())
	}
	return all
}

// ended wants a circle to have come to its end in order, among these members, with these spares beside it.
func (w *circus) ended(t *testing.T, r int, members, stood []peer.ID) {
	t.Helper()
	if e := w.circles[r].Ending(); !slices.Equal(e.Members, members) || !slices.Equal(e.StoodBy, stood) {
		t.Errorf("rank %d saw members %v and spares %v, want %v and %v", r, e.Members, e.StoodBy, members, stood)
	}
}

// knocks waits until a member has heard these spares.
func (w *circus) knocks(ctx context.Context, r int, places ...int) error {
	for ; ; time.Sleep(10 * time.Millisecond) {
		c, all := w.circles[r], true
		c.mu.Lock()
		for _, p := range places {
			_, heard := c.wants[p]
			all = all && heard
		}
		c.mu.Unlock()
		if all {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// TestSpareComesIn loses a member: the first spare takes its place at the next step boundary, with no fewer than all wanted
// from there on, and the second one stands by to the end.
func TestSpareComesIn(t *testing.T) {
	o := brisk
	o.Least = 3
	w := newCircus(t, 3, 2, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	errs := w.each(func(r int) error {
		if r >= 3 {
			if err := w.enter(ctx, r); err != nil {
				return err
			}
			return errors.Join(w.knocks(ctx, r, 4), w.circles[r].Close(ctx))
		}
		if err := w.knocks(ctx, r, 3, 4); err != nil {
			return err
		}
		if _, v, err := w.step(ctx, r); err != nil || len(v.Peers) != 3 {
			return fmt.Errorf("%d members before any was lost: %w", len(v.Peers), err)
		}
		if r == 1 {
			w.circles[1].Leave(ctx, errors.New("the disk is full"))
			return nil
		}
		if n, v, err := w.step(ctx, r); err != nil || n != 2 || len(v.Peers) != 3 || v.Peers[2].ID != w.hosts[3].ID() {
			return fmt.Errorf("a sum of %d, and then %d members: %w", n, len(v.Peers), err)
		}
		return w.circles[r].Close(ctx)
	})
	for r, err := range errs {
		if want := map[int]error{4: ErrOver}[r]; !errors.Is(err, want) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	for _, r := range []int{0, 2, 3} {
		w.ended(t, r, w.ids(0, 2, 3), w.ids(4))
	}
}

// TestSparesStandBy has nothing happen. A spare that is killed disturbs nobody, and is not seen at the end.
func TestSparesStandBy(t *testing.T) {
	w := newCircus(t, 3, 2, brisk)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	living, kill := context.WithCancel(ctx)
	killed := make(chan struct{})
	errs := w.each(func(r int) error {
		switch r {
		case 3:
			defer close(killed)
			return w.enter(living, 3)
		case 4:
			return w.enter(ctx, 4)
		}
		if err := w.knocks(ctx, r, 3, 4); err != nil {
			return err
		}
		if n, v, err := w.step(ctx, r); err != nil || n != 3 || len(v.Peers) != 3 {
			return fmt.Errorf("a sum of %d, and then %d members: %w", n, len(v.Peers), err)
		}
		kill() // all of them have heard it
		<-killed
		c := w.circles[r]
		c.mu.Lock()
		c.wants[3] = c.wants[3].Add(-c.opts.Silence) // as long ago
		c.mu.Unlock()
		return c.Close(ctx)
	})
	for r, err := range errs {
		if want := map[int]error{3: context.Canceled, 4: ErrOver}[r]; !errors.Is(err, want) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	for r := range 3 {
		w.ended(t, r, w.ids(0, 1, 2), w.ids(4))
	}
}

// TestSpareThatWasMissed has no spare there when a member is lost. Both come later: the first is let in then, and of the
// second the members say no more that it stood by.
func TestSpareThatWasMissed(t *testing.T) {
	w := newCircus(t, 3, 2, brisk)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	missed := make(chan struct{})
	errs := w.each(func(r int) error {
		if r >= 3 {
			<-missed
			if err := w.enter(ctx, r); err != nil {
				return err
			}
		} else {
			if r == 1 {
				w.circles[1].Leave(ctx, errors.New("the disk is full"))
				return nil
			}
			if _, v, err := w.step(ctx, r); err != nil || len(v.Peers) != 2 {
				return fmt.Errorf("%d members, and no spare was there: %w", len(v.Peers), err)
			}
			if r == 0 {
				close(missed)
			}
			if err := w.knocks(ctx, r, 3, 4); err != nil {
				return err
			}
			if _, v, err := w.step(ctx, r); err != nil || len(v.Peers) != 3 {
				return fmt.Errorf("%d members, and two spares: %w", len(v.Peers), err)
			}
		}
		return w.circles[r].Close(ctx)
	})
	for r, err := range errs {
		if want := map[int]error{4: ErrOver}[r]; !errors.Is(err, want) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	for _, r := range []int{0, 2} {
		w.ended(t, r, w.ids(0, 2, 3), nil)
	}
}

// TestTooFewWithoutSpares loses a member that no spare takes the place of: all find at the same boundary that they are too
// few.
func TestTooFewWithoutSpares(t *testing.T) {
	o := brisk
	o.Least = 3
	w := newCircus(t, 3, 1, o)
	errs := w.each(func(r int) error {
		switch r {
		case 1:
			w.circles[1].Leave(t.Context(), errors.New("the disk is full"))
			return nil
		case 3:
			return nil
		}
		_, _, err := w.step(t.Context(), r)
		return err
	})
	for _, r := range []int{0, 2} {
		if err := errs[r]; !errors.Is(err, ErrLost) || w.circles[r].Err() == nil {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	disperse(t, w.circles[:3])
}

// TestOverIsForTheRoster tells nobody else that there was a circle, and forgets it some day.
func TestOverIsForTheRoster(t *testing.T) {
	w := newCircus(t, 2, 1, brisk)
	w.all(func(r int) error {
		if r == 2 {
			return nil
		}
		return w.circles[r].Close(t.Context())
	})
	ask := summons{kind: knock, job: w.job}
	if a := w.say(t, 2, 0, ask); a.status != saidOver {
		t.Errorf("the spare heard %+v", a)
	}
	stranger := newHost(t)
	s := NewService(stranger, quiet())
	defer func() { _ = s.Close() }()
	stranger.Peerstore().AddAddrs(w.hosts[0].ID(), w.hosts[0].Addrs(), time.Hour)
	if a, err := s.summon(t.Context(), w.hosts[0].ID(), ask); err != nil || a.status != saidNo {
		t.Errorf("a stranger heard %+v, %v", a, err)
	}
	for i := range 2 * maxOvers {
		w.services[0].remember(View{Job: JobID{1: byte(i), 2: byte(i >> 8)}})
	}
	if n := len(w.services[0].overs); n != maxOvers {
		t.Errorf("it remembers %d circles, at most %d", n, maxOvers)
	}
	if a := w.say(t, 2, 0, ask); a.status != saidNo {
		t.Errorf("of a circle long ago the spare heard %+v", a)
	}
}

// TestSparesUnderLoss loses members at random, as well as spares that have come in, while sums go on: those who come to the
// end are as many as began, have one state, and tell the same of each other.
func TestSparesUnderLoss(t *testing.T) {
	const members, spares, steps = 4, 3, 24
	for round := range 2 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(round), 7))
			dies := map[int]int64{rng.IntN(members): 3 + rng.Int64N(5), members: 14 + rng.Int64N(5)} // a member, and the first spare
			o := brisk
			o.Least = members
			w := newCircus(t, members, spares, o)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			ends, dead := make([][]int64, members+spares), make([]bool, members+spares)
			errs := w.each(func(r int) (err error) {
				living, kill := context.WithCancel(ctx)
				defer kill()
				if r >= members {
					err = w.enter(living, r)
				} else {
					err = w.knocks(living, r, 4, 5, 6)
				}
				state := make([]int64, 2) // the step, and what came of all sums
				var epoch uint64
				for err == nil && state[0] < steps {
					if v := w.circles[r].Spoken(); v.Epoch != epoch || epoch == 0 { // the others' state
						epoch = v.Epoch
						state, err = w.most(living, r, state)
						continue
					}
					switch {
					case dies[r] == 0 || state[0] < dies[r]:
					case !dead[r]: // while it goes on,
						dead[r] = true
						go func() {
							_ = w.hosts[r].Close()
							kill()
						}()
					case state[0] >= dies[r]+3: // but not to the end
						<-living.Done()
					}
					var n int
					if n, _, err = w.step(living, r); err == nil {
						state = []int64{state[0] + 1, (31*state[1] + int64(n)) % (1 << 40)}
					}
				}
				if ends[r] = state; err != nil {
					return err
				}
				return w.circles[r].Close(ctx)
			})
			var came []int
			for r, err := range errs {
				switch {
				case dead[r]:
				case err == nil:
					came = append(came, r)
				case !errors.Is(err, ErrOver):
					t.Errorf("rank %d: %v", r, err)
				}
			}
			if len(came) != members {
				t.Fatalf("%v came to the end, %v died, who were to at %v: %v", came, dead, dies, errs)
			}
			for _, r := range came {
				if !slices.Equal(ends[r], ends[came[0]]) || !slices.Equal(w.circles[r].Ending().Members, w.ids(came...)) {
					t.Errorf("rank %d came to %v among %v, rank %d to %v", r, ends[r], w.circles[r].Ending().Members, came[0], ends[came[0]])
				}
			}
		})
	}
}

// most is the state of those who have come furthest, element by element.
func (w *circus) most(ctx context.Context, r int, state []int64) ([]int64, error) {
	src, dst := make([]byte, 8*len(state)), make([]byte, 8*len(state))
	for i, n := range state {
		binary.LittleEndian.PutUint64(src[8*i:], uint64(n))
	}
	err := w.circles[r].Do(ctx, Operation{Kind: AllReduce, Type: I64, Reduce: Max, Src: src, Dst: dst})
	all := make([]int64, len(state))
	for i := range all {
		all[i] = int64(binary.LittleEndian.Uint64(dst[8*i:]))
	}
	return all, err
}

// TestSpareIsCalledTwice calls a spare into an epoch that comes to nothing. It does not wait there when it is called into a
// later one.
func TestSpareIsCalledTwice(t *testing.T) {
	o := brisk
	o.Silence = time.Hour // for which it would wait, twice
	w := newCircus(t, 3, 1, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	called := make(chan struct{})
	w.all(func(r int) error {
		if r == 3 {
			if err := w.enter(ctx, r); err != nil {
				return err
			}
			return w.circles[r].Close(ctx)
		}
		if err := w.knocks(ctx, r, 3); err != nil {
			return err
		}
		if r == 0 {
			first := summons{kind: commit, job: w.job, epoch: w.circles[0].View().Epoch + 1, members: bitmap{0b1001}}
			if a, err := w.services[0].summon(ctx, w.hosts[3].ID(), first); err != nil || a.status != saidYes {
				return fmt.Errorf("the first call: %+v: %w", a, err)
			}
			close(called)
		}
		<-called
		if r == 1 {
			w.circles[1].Leave(ctx, errors.New("the disk is full"))
			return nil
		}
		if _, v, err := w.step(ctx, r); err != nil || len(v.Peers) != 3 {
			return fmt.Errorf("%d members: %w", len(v.Peers), err)
		}
		return w.circles[r].Close(ctx)
	})
}

// TestSpareThatNeverComes has a spare ask to be let in, and not come: the others wait for it a few times, and go on.
func TestSpareThatNeverComes(t *testing.T) {
	o := brisk
	o.Silence = time.Second
	w := newCircus(t, 3, 1, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	over, stop := context.WithCancel(ctx)
	w.all(func(r int) error {
		switch r {
		case 1:
			w.circles[1].Leave(ctx, errors.New("the disk is full"))
			return nil
		case 3:
			for ; over.Err() == nil; time.Sleep(50 * time.Millisecond) {
				for to := range 3 {
					w.hosts[3].Peerstore().AddAddrs(w.hosts[to].ID(), w.hosts[to].Addrs(), time.Hour)
					_, _ = w.services[3].summon(over, w.hosts[to].ID(), summons{kind: knock, job: w.job})
				}
			}
			return nil
		}
		defer stop()
		if err := w.knocks(ctx, r, 3); err != nil {
			return err
		}
		for range 2 {
			if n, v, err := w.step(ctx, r); err != nil || n != 2 || len(v.Peers) != 2 {
				return fmt.Errorf("a sum of %d, and then %d members: %w", n, len(v.Peers), err)
			}
		}
		return nil
	})
	disperse(t, w.circles[:3])
}
