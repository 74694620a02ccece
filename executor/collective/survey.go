package collective

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// surveyTime is how long a survey may take, after all have joined.
const surveyTime = 30 * time.Second

// A survey is how the ranks of a group find out what lies between them, and agree how to lay themselves out. It is an
// operation of all ranks, with nothing else under way.
type survey struct {
	g         *Group
	h         header
	out, back *lane // what is asked, and what is answered
	train     []byte
	trips     []uint32 // this rank's rows
	rates     []uint32 // nil: not being measured
	share     int      // of what trains may take, a round has one in so many
}

// survey lays out the ranks. known is what is known of them already, the same on all ranks or it does not count; nil has
// them measure.
func (g *Group) survey(ctx context.Context, known *matrix) error {
	if g.Size() < 3 {
		return nil
	}
	if g.opts.RankOrder {
		g.lay(inRankOrder(g.Size(), "it was asked for"), nil)
		return nil
	}
	g.starting.Lock()
	if err := g.open(); err != nil {
		g.starting.Unlock()
		return err
	}
	g.ops.Add(1)
	s := &survey{
		g: g, out: g.lanes[0], back: g.lanes[1], train: make([]byte, segmentBytes),
		h: header{op: laying, epoch: g.view.Epoch},
	}
	asking, answering := s.out.turns.ask(), s.back.turns.ask()
	g.starting.Unlock()
	defer g.ops.Done()
	defer close(asking.over)
	defer close(answering.over)
	for _, t := range []turn{asking, answering} {
		if err := g.await(t); err != nil {
			return err
		}
	}
	under := s.h
	s.out.current.Store(&under)
	defer s.out.current.Store(nil)
	ctx, cancel := context.WithTimeout(ctx, g.opts.Join+surveyTime)
	defer cancel()
	start := time.Now()
	stop := context.AfterFunc(ctx, func() { g.fail(s.ended(ctx, time.Since(start))) })
	defer stop()
	if err := s.run(known); err != nil {
		g.fail(err)
		return g.Err()
	}
	g.log.Info("collective: laid out", "ring", g.plan.Load().String(), "why", g.plan.Load().why, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// lay has all operations that start from now on go round in this order.
func (g *Group) lay(p *plan, m *matrix) {
	g.plan.Store(p)
	g.strain.expect(p.rate)
	g.lines = m
}

// ended is what a survey comes to that does not end by itself: it names who is waited for, unless this rank goes away or,
// in a circle, the members meet.
func (s *survey) ended(ctx context.Context, waited time.Duration) error {
	self := &PeerError{s.g.Rank(), s.g.service.host.ID(), ErrTimeout, fmt.Sprintf("%v took %v", s.h, waited.Round(time.Millisecond))}
	if errors.Is(ctx.Err(), context.Canceled) {
		if self.Kind = ErrLost; s.g.told != nil {
			self.Kind = errMeets
		}
		self.Text = fmt.Sprintf("%v: %v", s.h, context.Cause(ctx))
		return self
	}
	for _, l := range []*lane{s.out, s.back} {
		for _, p := range l.pipes {
			if p != nil && (p.reading.active.Load() || p.writing.active.Load()) {
				return &PeerError{p.rank, p.id, ErrTimeout, fmt.Sprintf("rank %d waited %v for it in %v", s.g.Rank(), waited.Round(time.Millisecond), s.h)}
			}
		}
	}
	return self
}

// run is a survey's phases. The headers of each carry what the ones before have led to: who was told other things than the
// others finds out.
func (s *survey) run(known *matrix) error {
	n, me := s.g.Size(), s.g.Rank()
	all, err := s.gather(encodeRow([]uint32{uint32(known.digest()), uint32(known.digest() >> 32)}))
	if err != nil {
		return err
	}
	m := known
	for _, b := range all {
		if known == nil || !slices.Equal(b, all[me]) {
			m = nil
		}
	}
	if m == nil {
		if m, err = s.measure(); err != nil {
			return err
		}
	}
	s.h.digest = m.digest()
	var p *plan
	out := make([]byte, 4*n) // of no meaning, but rank 0's
	if me == 0 {
		var there []int
		if now := s.g.plan.Load(); now != nil {
			there = now.ring
		}
		best := choose(m, there, s.g.opts.near, !s.g.opts.noTeams)
		best.local = s.g.local()
		out = best.encode()
	}
	if all, err = s.gather(out); err != nil {
		return err
	}
	if p, err = decodePlan(all[0], n); err != nil {
		return &PeerError{0, s.g.view.Peers[0].ID, ErrFrame, fmt.Sprintf("%v: %v", s.h, err)}
	}
	s.h.digest = p.digest(m)
	if _, err = s.gather(nil); err != nil {
		return err
	}
	s.g.lay(p.explain(m, s.g.opts.near), m)
	return nil
}

// gather is a phase: it gives what each rank says, all as many bytes.
func (s *survey) gather(mine []byte) ([][]byte, error) {
	s.h.seq++
	s.h.bytes = uint64(len(mine))
	if err := s.out.direct(s.h, mine, func(int) int { return len(mine) }); err != nil {
		return nil, err
	}
	all := make([][]byte, s.g.Size())
	for r := range all {
		all[r] = slices.Clone(s.out.slot(r, len(mine)))
	}
	all[s.g.Rank()] = mine
	return all, nil
}

// measure asks and answers all others, and gathers what each has found. Where a line is long, it also finds out what gets
// through the lines, round by round.
func (s *survey) measure() (*matrix, error) {
	n, me := s.g.Size(), s.g.Rank()
	m := newMatrix(s.g.view)
	s.trips = make([]uint32, n)
	var parts []func() error
	for r := range n {
		if r != me {
			parts = append(parts, probe{s, r}.trip, probe{s, r}.answer)
		}
	}
	err := s.g.together(parts...)
	if err != nil {
		return nil, err
	}
	if m.rtt, err = s.rows(s.trips, 1, maxRTT); err != nil {
		return nil, err
	}
	rounds := schedule(m.places(s.g.opts.near))
	if m.near(s.g.opts.near) || len(rounds) > mostRounds {
		return m, nil
	}
	s.rates = make([]uint32, n)
	s.share = len(rounds)
	for _, lines := range rounds {
		if _, err := s.gather(nil); err != nil {
			return nil, err
		}
		var parts []func() error
		for from, to := range lines {
			if from == me {
				parts = append(parts, probe{s, to}.trains)
			}
			if to == me {
				parts = append(parts, probe{s, from}.answer)
			}
		}
		if err := s.g.together(parts...); err != nil {
			return nil, err
		}
	}
	m.rate, err = s.rows(s.rates, 0, 1<<32-1)
	return m, err
}

// rows gathers a row of each rank.
func (s *survey) rows(mine []uint32, least, most uint32) ([]uint32, error) {
	all, err := s.gather(encodeRow(mine))
	if err != nil {
		return nil, err
	}
	var rows []uint32
	for r, b := range all {
		row, err := decodeRow(b, len(all), r, least, most)
		if err != nil {
			return nil, &PeerError{r, s.g.view.Peers[r].ID, ErrFrame, fmt.Sprintf("%v: %v", s.h, err)}
		}
		rows = append(rows, row...)
	}
	s.h.digest = digestOf(rows)
	return rows, nil
}
