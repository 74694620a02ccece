package collective

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// say has one rank's host tell another one something at a meeting.
func (w *world) say(t *testing.T, from, to int, s summons) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.hosts[from].Peerstore().AddAddrs(w.hosts[to].ID(), w.hosts[to].Addrs(), time.Hour)
	a, err := w.services[from].summon(ctx, w.hosts[to].ID(), s)
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	return a
}

// TestForgedCommits has a member that leads by the rules commit what no honest leader would: it is refused, and the circle
// goes on as if nothing had been said.
func TestForgedCommits(t *testing.T) {
	w := newHosts(t, 4)
	circles := make([]*Circle, 3)
	v := w.view(0)
	o := brisk
	o.Spares = v.Peers[3:]
	v.Peers = v.Peers[:3]
	for r, err := range w.each(func(r int) (err error) {
		if r < 3 {
			v := v
			v.Rank = r
			circles[r], err = w.services[r].NewCircle(t.Context(), v, o)
		}
		return err
	}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	step := func(want int) {
		t.Helper()
		for r, err := range w.each(func(r int) error {
			if r == 3 {
				return nil
			}
			dst := make([]float32, 9)
			if err := circles[r].Do(t.Context(), sum(dst, inputs(r, 9), Sum)); err != nil {
				return err
			}
			if n := len(circles[r].View().Peers); n != want {
				return fmt.Errorf("%d members", n)
			}
			return nil
		}) {
			if err != nil {
				t.Errorf("rank %d: %v", r, err)
			}
		}
	}
	step(3)
	step(3)

	// What is said of a view that stands is promised only by prepare, so the forger begins with that.
	view := circles[1].View()
	honest := summons{kind: commit, job: view.Job, view: view.hash(), epoch: view.Epoch + 7, happened: numbers{2, 0}}
	for place := range 3 {
		honest.members.set(place)
	}
	if a := w.say(t, 0, 1, summons{kind: prepare, job: view.Job, view: view.hash(), epoch: honest.epoch}); a.status != saidYes {
		t.Fatalf("an honest leader: %+v", a)
	}
	for what, change := range map[string]func(s *summons){
		"more has happened than was had": func(s *summons) { s.happened[inOrder]++ },
		"by name, too":                   func(s *summons) { s.happened[byName]++ },
		"less than has happened":         func(s *summons) { s.happened[inOrder] = 0 },
		"no majority":                    func(s *summons) { s.members = bitmap{0b010} },
		"without this member":            func(s *summons) { s.members = bitmap{0b101} },
		"without its leader":             func(s *summons) { s.members = bitmap{0b110} },
		"a spare that nobody let in":     func(s *summons) { s.members.set(3) },
		"places that there are not":      func(s *summons) { s.members.set(200) },
		"an epoch that nobody promised":  func(s *summons) { s.epoch += 100 }, // the next one they may be meeting for
		"an epoch that is over":          func(s *summons) { s.epoch = view.Epoch },
		"of another view":                func(s *summons) { s.view[0] ^= 1 },
	} {
		s := honest
		change(&s)
		if a := w.say(t, 0, 1, s); a.status == saidYes {
			t.Errorf("%s: %+v", what, a)
		}
	}
	if a := w.say(t, 3, 1, honest); a.status == saidYes {
		t.Errorf("from a spare: %+v", a)
	}
	step(3) // they have met again: the prepare ended the group
	if a := w.say(t, 0, 1, honest); a.status == saidYes {
		t.Errorf("the commit replayed: %+v", a)
	}
	step(3)
	disperse(t, circles)
}

// TestLiarAtAMeeting has a member say that things happened that did not, or that it lacks what has: the others go on without
// it, and without the one that was lost.
func TestLiarAtAMeeting(t *testing.T) {
	for what, lie := range map[string]func(a *answer){
		"more has happened": func(a *answer) { a.happened[inOrder] += 9; a.had[inOrder] += 9 },
		"less was had":      func(a *answer) { a.happened[inOrder], a.had[inOrder] = 0, 0 },
	} {
		t.Run(what, func(t *testing.T) {
			w, circles := newCircles(t, 5, brisk)
			w.all(func(r int) error { return circles[r].Do(t.Context(), Operation{Kind: Barrier}) })
			w.hosts[3].SetStreamHandler(MeetProtocol, func(st network.Stream) {
				defer func() { _ = st.Close() }()
				b := make([]byte, summonsBytes)
				if _, err := io.ReadFull(st, b); err != nil {
					return
				}
				s, err := decodeSummons(b)
				if err != nil {
					return
				}
				a := answer{status: saidYes, promised: s.epoch, happened: numbers{1}, had: numbers{1}}
				lie(&a)
				_, _ = st.Write(a.encode())
			})
			circles[3].stop() // it has nothing else to say
			w.lose(4)
			errs := w.each(func(r int) error {
				if r > 2 {
					return nil
				}
				if err := circles[r].Do(t.Context(), Operation{Kind: Barrier}); err != nil {
					return err
				}
				if v := circles[r].View(); v.rankOf(w.hosts[3].ID()) >= 0 || len(v.Peers) != 3 {
					return fmt.Errorf("%d members, the liar at %d", len(v.Peers), v.rankOf(w.hosts[3].ID()))
				}
				return nil
			})
			for r, err := range errs {
				if err != nil {
					t.Errorf("rank %d: %v", r, err)
				}
			}
			disperse(t, circles)
		})
	}
}

// TestForgedResults has a member speak of results in ways that no honest one does: it is named.
func TestForgedResults(t *testing.T) {
	for what, frames := range map[string][]control{
		"of another track":   {{typ: controlHad, rank: tracks, seq: 1}},
		"lost what it had":   {{typ: controlHad, seq: 9}, {typ: controlHad, seq: 8}},
		"outside of circles": {{typ: controlHad, seq: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			var forged, victim *Group
			if what == "outside of circles" {
				w := newWorld(t, 2, Options{})
				victim, forged = w.groups[0], w.groups[1]
				defer w.drop()
			} else {
				_, circles := newCircles(t, 2, brisk)
				victim, forged = circles[0].group, circles[1].group
				defer disperse(t, circles)
			}
			for _, c := range frames {
				if _, err := forged.links[0].ctl.Write(c.encode()); err != nil {
					t.Fatal(err)
				}
			}
			<-victim.Done()
			var pe *PeerError
			if err := victim.Err(); !errors.As(err, &pe) || pe.Kind != ErrFrame || pe.Rank != 1 {
				t.Errorf("the other said %v", err)
			}
		})
	}
}

// TestResultsThatNobodyHasAreNoResults has a member say that it has all results there will ever be: nothing has happened
// that the others do not have.
func TestResultsThatNobodyHasAreNoResults(t *testing.T) {
	w, circles := newCircles(t, 2, brisk)
	circles[1].group.tell(inOrder, 1<<60)
	h, err := circles[0].Start(t.Context(), Operation{Kind: Barrier})
	if err != nil {
		t.Fatal(err)
	}
	for heard := uint64(0); heard == 0; time.Sleep(time.Millisecond) {
		heard = circles[0].group.told.least(inOrder, 0)
	}
	select {
	case <-h.Done():
		t.Error("a barrier ended that one member came to")
	case <-time.After(50 * time.Millisecond):
	}
	circles[0].mu.Lock()
	if n := circles[0].tracks[inOrder].happened; n != 0 {
		t.Errorf("%d operations have happened", n)
	}
	circles[0].mu.Unlock()
	w.lose(1)
	disperse(t, circles)
	<-h.Done()
}

// TestLeaveMidOperation has one member leave while operations of every kind are under way: hers end, the others' go on.
func TestLeaveMidOperation(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	errs := w.each(func(r int) error {
		var handles []*Handle
		for k := range 20 {
			o := sum(make([]float32, 100_000), inputs(r, 100_000), Sum)
			if k%2 == 1 {
				o.Name = strings.Repeat("w", k)
			}
			h, err := circles[r].Start(t.Context(), o)
			if err != nil {
				return err
			}
			handles = append(handles, h)
			if r == 1 && k == 9 {
				circles[r].Leave(t.Context(), errors.New("no time left"))
				break
			}
		}
		for _, h := range handles {
			if err := h.Wait(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	for r, err := range errs {
		if r == 1 && (!errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "no time left")) || r != 1 && err != nil {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	if err := circles[1].Close(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("closing after leaving: %v", err)
	}
	disperse(t, circles)
}

// TestFloodOfKnocks has strangers and spares ask to come in without end: strangers are told nothing, and nothing is kept.
func TestFloodOfKnocks(t *testing.T) {
	w, circles := newCircles(t, 2, brisk)
	stranger := newHost(t)
	s := NewService(stranger, quiet())
	defer func() { _ = s.Close() }()
	stranger.Peerstore().AddAddrs(w.hosts[0].ID(), w.hosts[0].Addrs(), time.Hour)
	for range 500 {
		if a, err := s.summon(t.Context(), w.hosts[0].ID(), summons{kind: knock, job: w.job}); err == nil && a != (answer{}) {
			t.Fatalf("a stranger was told %+v", a)
		}
		if a := w.say(t, 1, 0, summons{kind: knock, job: w.job}); a.status != saidElsewhere {
			t.Fatalf("a member was told %+v", a)
		}
	}
	circles[0].mu.Lock()
	if len(circles[0].wants) > 1 {
		t.Errorf("%d who want in", len(circles[0].wants))
	}
	circles[0].mu.Unlock()
	w.all(func(r int) error { // a member that knocks is no newcomer
		v, err := circles[r].Admit(t.Context())
		if err != nil || len(v.Peers) != 2 {
			return fmt.Errorf("%+v, %w", v, err)
		}
		return circles[r].Close(t.Context())
	})
	disperse(t, circles)
}
