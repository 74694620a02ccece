package collective

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// layouts are plans for five ranks.
var layouts = []*plan{
	{ring: []int{0, 3, 1, 4, 2}},
	{ring: []int{0, 1, 2, 3, 4}, teams: [][]int{{2, 0}, {1, 4, 3}}},
	{ring: []int{0, 4, 2, 1, 3}, teams: [][]int{{0}, {4, 1}, {3, 2}}},
	{ring: []int{0, 4, 2, 1, 3}, teams: [][]int{{1}, {3, 4, 0, 2}}},
}

// TestLayouts has every operation give the same in any layout, bit for bit on all ranks, and leave its source as it was.
func TestLayouts(t *testing.T) {
	const n = 5
	sizes := []int{5000, 100_001, 600_000}
	bells := make([][]float32, n)
	for r := range bells {
		bells[r] = bell(r, sizes[2])
	}
	w := newWorld(t, n, Options{RankOrder: true})
	for _, p := range layouts {
		for _, g := range w.groups {
			g.lay(p, nil)
		}
		t.Run(p.String(), func(t *testing.T) {
			for _, size := range sizes {
				for _, c := range []struct {
					red  Reduce
					wire Wire
				}{{Sum, AsItIs}, {Mean, AsItIs}, {Max, AsItIs}, {Mean, AsBF16}, {Sum, AsInt8}} {
					outs := make([][]float32, n)
					w.all(func(r int) error {
						src := slices.Clone(bells[r][:size])
						before := digest(src)
						outs[r] = make([]float32, size)
						if c.red == Mean { // in place
							outs[r] = src
						}
						err := w.groups[r].Do(t.Context(), lossy(outs[r], src, c.red, c.wire))
						if err == nil && c.red != Mean && digest(src) != before {
							err = errors.New("the source was changed")
						}
						return err
					})
					want, off, norm := make([]float64, size), 0.0, 0.0
					for r := range n {
						for i, x := range bells[r][:size] {
							if c.red == Max && r > 0 {
								want[i] = max(want[i], float64(x))
							} else if want[i] += float64(x); c.red == Mean && r == n-1 {
								want[i] /= n
							}
						}
					}
					for i, x := range outs[0] {
						off += math.Pow(float64(x)-want[i], 2)
						norm += want[i] * want[i]
					}
					if most := map[Wire]float64{AsItIs: 1e-6, AsBF16: 0.006, AsInt8: 0.015}[c.wire]; math.Sqrt(off) > most*math.Sqrt(norm) {
						t.Errorf("%v of %d values %v is off by %.2g", c.red, size, c.wire, math.Sqrt(off/norm))
					}
					for r := range outs {
						if digest(outs[r]) != digest(outs[0]) {
							t.Fatalf("%v of %d values %v: rank %d and rank 0 differ", c.red, size, c.wire, r)
						}
					}
				}
			}
			for root := range n {
				w.all(func(r int) error {
					buf := inputs(r, 100_000)
					if err := w.groups[r].Do(t.Context(), Operation{Kind: Broadcast, Root: root, Dst: bytesOf(buf)}); err != nil {
						return err
					}
					if digest(buf) != digest(inputs(root, 100_000)) {
						return fmt.Errorf("broadcast from rank %d brought something else", root)
					}
					return nil
				})
			}
			w.all(func(r int) error {
				all := make([]float32, n*20_000)
				if err := w.groups[r].Do(t.Context(), Operation{Kind: AllGather, Src: bytesOf(inputs(r, 20_000)), Dst: bytesOf(all)}); err != nil {
					return err
				}
				for from, part := range slices.Collect(slices.Chunk(all, 20_000)) {
					if digest(part) != digest(inputs(from, 20_000)) {
						return fmt.Errorf("the part of rank %d is another", from)
					}
				}
				return nil
			})
		})
	}
	w.close()
}

// TestTeamsOfEveryType folds all types up and down, in any order of operations under way at once.
func TestTeamsOfEveryType(t *testing.T) {
	w := newWorld(t, 4, Options{RankOrder: true})
	for _, g := range w.groups {
		g.lay(&plan{ring: []int{0, 1, 2, 3}, teams: [][]int{{3, 0}, {1, 2}}}, nil)
	}
	w.all(func(r int) error {
		var under []*Handle
		var sums [][]byte
		for typ := F32; typ.Valid(); typ++ {
			ones := make([]byte, 40_000*typ.Size())
			fill(typ, ones)
			dst := make([]byte, len(ones))
			h, err := w.groups[r].Start(t.Context(), Operation{Kind: AllReduce, Type: typ, Reduce: Mean, Src: ones, Dst: dst})
			if err != nil {
				return err
			}
			under, sums = append(under, h), append(sums, dst)
		}
		for i, h := range under {
			if err := h.Wait(t.Context()); err != nil {
				return err
			}
			want := make([]byte, len(sums[i]))
			fill(Type(i), want)
			if !slices.Equal(sums[i], want) {
				return fmt.Errorf("the mean of ones of %v is none", Type(i))
			}
		}
		return nil
	})
	w.close()
}

// fill makes everything 1.
func fill(typ Type, b []byte) {
	for i := 0; i < len(b); i += typ.Size() {
		switch typ {
		case F32:
			binary.LittleEndian.PutUint32(b[i:], math.Float32bits(1))
		case F64:
			binary.LittleEndian.PutUint64(b[i:], math.Float64bits(1))
		case F16:
			binary.LittleEndian.PutUint16(b[i:], 0x3c00)
		case BF16:
			binary.LittleEndian.PutUint16(b[i:], 0x3f80)
		default:
			b[i] = 1
		}
	}
}

// TestSurvey measures for real, on loopback, as if every line were long; one rank's is kept slow. All ranks have the same of
// it, and lay themselves out alike.
func TestSurvey(t *testing.T) {
	const n, slow = 4, 2
	w := newHosts(t, n)
	w.services[slow].Pace(2 << 20)
	w.groups = make([]*Group, n)
	w.all(func(r int) (err error) {
		w.groups[r], err = w.services[r].Join(t.Context(), w.view(r), Options{near: time.Nanosecond})
		return err
	})
	first := w.groups[0]
	for r, g := range w.groups {
		if g.lines.digest() != first.lines.digest() || g.plan.Load().String() != first.plan.Load().String() || g.lines.rate == nil {
			t.Errorf("rank %d has %v of %v, rank 0 %v of %v", r, g.plan.Load(), g.lines, first.plan.Load(), first.lines)
		}
		if says := g.Layout(); strings.HasPrefix(says, "ranks are laid out as ") != (r == 0) {
			t.Errorf("rank %d says %q", r, says)
		}
		for _, traffic := range g.Traffic() {
			if traffic.Sent > 1000 {
				t.Errorf("rank %d counts its trains as payload: %v", r, traffic)
			}
		}
	}
	for a := range n {
		for b := range n {
			switch rate := first.lines.speed(a, b); {
			case a == b:
			case rate <= 0, first.lines.trip(a, b) <= 0:
				t.Errorf("nothing was measured from rank %d to rank %d", a, b)
			case (a == slow || b == slow) && rate > 32<<20:
				t.Errorf("from rank %d to rank %d come %.0f bytes a second, where 2 MiB may", a, b, rate)
			}
		}
	}
	w.all(func(r int) error { return w.groups[r].survey(t.Context(), w.groups[r].lines) }) // known: nothing is measured
	part := make([]*Group, n)
	for r, err := range w.each(func(r int) (err error) {
		if r != 1 {
			part[r], err = w.groups[r].Part(t.Context(), []int{3, 0, 2})
		}
		return err
	}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	if l := part[0].lines; l.trip(0, 1) != first.lines.trip(3, 0) || l.speed(1, 2) != first.lines.speed(0, 2) {
		t.Error("a process group has measured again")
	}
	w.close()
}

// TestSurveyNear measures nothing but round trips where all are near, and nothing at all where it is asked not to.
func TestSurveyNear(t *testing.T) {
	for want, o := range map[string]Options{nearText: {near: time.Minute}, "it was asked for": {near: time.Nanosecond, RankOrder: true}} {
		w := newWorld(t, 3, o)
		for r, g := range w.groups {
			if p := g.plan.Load(); p.why != want || g.Layout() != "" || !slices.Equal(p.ring, []int{0, 1, 2}) {
				t.Errorf("rank %d: %v: %s", r, p, p.why)
			}
		}
		w.close()
	}
}

// TestForgedSurvey has a member say in a survey what no honest one would. The others are told whom to blame.
func TestForgedSurvey(t *testing.T) {
	frame := func(h header, payload ...byte) []byte {
		h.op, h.epoch, h.bytes = laying, 1, uint64(len(payload))
		b := make([]byte, headerBytes)
		h.put(b)
		return append(b, payload...)
	}
	known := frame(header{seq: 1}, make([]byte, 8)...)
	answers := make([]byte, echoes*answerFrame)
	over := []byte{255, 255, 255, 255}
	row := func(x ...uint32) []byte { return frame(header{seq: 2}, encodeRow(x)...) }
	for name, c := range map[string]struct {
		asks, answers []byte
		kind          error
		says          string
	}{
		"another operation":       {asks: frame(header{seq: 9}), kind: ErrMismatch, says: "operation 9: survey"},
		"a train before its time": {asks: slices.Concat(known, []byte{0, 0, 1, 0}), kind: ErrFrame, says: "out of its turn"},
		"echoes without end":      {asks: slices.Concat(known, make([]byte, 1000)), kind: ErrFrame, says: "out of its turn"},
		"an answer out of bounds": {asks: slices.Concat(known, over), answers: []byte(strings.Repeat("\xff", 8)), kind: ErrFrame, says: "0 bytes took it"},
		"a round trip of nothing": {asks: slices.Concat(known, over, row(0, 0, 5)), answers: answers, kind: ErrFrame, says: "in the row of rank 1"},
		"a round trip of hours":   {asks: slices.Concat(known, over, row(maxRTT+1, 0, 5)), answers: answers, kind: ErrFrame, says: "in the row of rank 1"},
		"another matrix": {
			asks:    slices.Concat(known, over, row(5, 0, 5), frame(header{seq: 3, digest: 77}, make([]byte, 12)...)),
			answers: answers, kind: ErrMismatch, says: "rank 1 in operation 3: survey",
		},
		"silence": {asks: known, kind: ErrTimeout, says: "survey"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHosts(t, 3)
			w.groups = make([]*Group, 3)
			o := Options{near: time.Minute, Join: 10 * time.Second}
			errs := w.each(func(r int) (err error) {
				g := newGroup(w.services[r], w.view(r), o.withDefaults())
				w.groups[r] = g
				if err := w.services[r].register(g); err != nil {
					return err
				}
				if err := g.connect(t.Context()); err != nil {
					return err
				}
				g.start()
				if r != 1 {
					if c.kind == ErrTimeout {
						g.opts.Join = time.Second - surveyTime
					}
					return g.survey(t.Context(), nil)
				}
				for _, l := range g.links {
					if l != nil {
						_, _ = l.pipes[0].stream.Write(c.asks)
						_, _ = l.pipes[1].stream.Write(c.answers)
					}
				}
				<-g.Done()
				return nil
			})
			blamed := false
			for r, err := range errs {
				var pe *PeerError
				if r != 1 && err == nil {
					t.Errorf("rank %d went on", r)
				}
				blamed = blamed || errors.As(err, &pe) && pe.Rank == 1 && pe.Kind == c.kind && strings.Contains(err.Error(), c.says)
			}
			if !blamed {
				t.Errorf("%v", errs)
			}
			w.drop()
		})
	}
}

// TestForgedPlan has rank 0 propose a ring that is none.
func TestForgedPlan(t *testing.T) {
	for _, ring := range [][]int{{0, 1, 1}, {0, 1, 3}, {1, 0, 2}} {
		if p, err := decodePlan((&plan{ring: ring}).encode(), 3); !errors.Is(err, ErrFrame) {
			t.Errorf("%v: %v, %v", ring, p, err)
		}
	}
	if p, err := decodePlan((&plan{ring: []int{0, 2, 1}, local: true}).encode(), 3); err != nil || !p.local || p.String() != "0 2 1" {
		t.Errorf("on one machine: %v, %v", p, err)
	}
	for _, teams := range [][][]int{{{0, 1, 2}}, {{0}, {1, 1}}, {{0, 1}, {3}}} {
		if p, err := decodePlan((&plan{ring: []int{0, 1, 2}, teams: teams}).encode(), 3); !errors.Is(err, ErrFrame) {
			t.Errorf("%v: %v, %v", teams, p, err)
		}
	}
}

// TestTeamsMismatch has one rank of a team in another operation: it ends everywhere, and both are named.
func TestTeamsMismatch(t *testing.T) {
	for odd := range 4 {
		w := newWorld(t, 4, Options{RankOrder: true})
		for _, g := range w.groups {
			g.lay(&plan{ring: []int{0, 1, 2, 3}, teams: [][]int{{0, 1}, {2, 3}}}, nil)
		}
		named := false
		for r, err := range w.each(func(r int) error {
			b := make([]float32, 500_000)
			if r == odd {
				return w.groups[r].barrier(t.Context())
			}
			return w.groups[r].Do(t.Context(), sum(b, b, Sum))
		}) {
			if err == nil {
				t.Errorf("rank %d went on", r)
			}
			named = named || errors.Is(err, ErrMismatch) && strings.Count(err.Error(), "operation 1") == 2
		}
		if !named {
			t.Errorf("rank %d is in another operation, and nobody says so", odd)
		}
		w.drop()
	}
}

// TestMeasuredAgain has one rank feel less than was measured: at the next step boundary all measure again, and go on alike.
func TestMeasuredAgain(t *testing.T) {
	feel := func(s *strain) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed = true
	}
	t.Run("group", func(t *testing.T) {
		w := newWorld(t, 3, Options{near: time.Nanosecond})
		before := w.groups[0].lines
		w.all(func(r int) error { return w.groups[r].boundary(t.Context()) })
		if w.groups[0].lines != before {
			t.Error("measured again for nothing")
		}
		feel(&w.groups[1].strain)
		w.all(func(r int) error { return w.groups[r].boundary(t.Context()) })
		for r, g := range w.groups {
			if g.lines == before || g.lines.digest() == before.digest() || g.lines.digest() != w.groups[0].lines.digest() || g.strain.felt() {
				t.Errorf("rank %d has not measured again", r)
			}
		}
		w.close()
	})
	t.Run("circle", func(t *testing.T) {
		o := brisk
		o.near = time.Nanosecond
		w, circles := newCircles(t, 4, o)
		lines := func(r int) *matrix {
			circles[r].mu.Lock()
			defer circles[r].mu.Unlock()
			return circles[r].lines
		}
		before := lines(0)
		feel(&circles[1].current().strain)
		admit := func() []error {
			return w.each(func(r int) error {
				dst := make([]float32, 50_000)
				if _, err := circles[r].Admit(t.Context()); err != nil {
					return err
				}
				return circles[r].Do(t.Context(), sum(dst, inputs(r, 50_000), Sum))
			})
		}
		for r, err := range admit() {
			if l := lines(r); err != nil || l.digest() == before.digest() || l.digest() != lines(0).digest() {
				t.Errorf("rank %d has not measured again: %v", r, err)
			}
		}
		// Whoever goes away in the middle of it is left behind.
		feel(&circles[0].current().strain)
		gone := circles[2].current()
		go func() {
			for gone.lanes[0].current.Load() == nil || gone.lanes[0].current.Load().op != laying {
				time.Sleep(time.Millisecond)
			}
			_ = w.hosts[2].Close()
			circles[2].Leave(t.Context(), errors.New("killed"))
		}()
		for r, err := range admit() {
			if v := circles[r].View(); r != 2 && (err != nil || len(v.Peers) != 3 || v.rankOf(w.hosts[2].ID()) >= 0 || lines(r).size() != 3 || lines(r).digest() != lines(0).digest()) {
				t.Errorf("rank %d ended among %d: %v", r, len(v.Peers), err)
			}
		}
		disperse(t, circles)
	})
}

// TestStrainOfOperations has operations come round slower than was measured: some time later every rank feels it, in a ring
// and, as a leader, in teams.
func TestStrainOfOperations(t *testing.T) {
	w := newWorld(t, 4, Options{RankOrder: true})
	for _, p := range []*plan{{ring: []int{0, 2, 1, 3}, rate: 1e9}, {ring: []int{0, 1, 2, 3}, teams: [][]int{{0, 2}, {1, 3}}, rate: 1e9}} {
		for r, g := range w.groups {
			w.services[r].Pace(32 << 20)
			g.lay(p, nil)
		}
		w.all(func(r int) error {
			for k := range strainPatience {
				if w.groups[r].strain.felt() {
					return fmt.Errorf("felt after %d operations", k)
				}
				b := make([]float32, 1_500_000)
				if err := w.groups[r].Do(t.Context(), sum(b, b, Sum)); err != nil {
					return err
				}
			}
			return nil
		})
		for r, g := range w.groups {
			if g.strain.felt() != (p.teams == nil || r < 2) {
				t.Errorf("%v: rank %d feels it: %v", p, r, g.strain.felt())
			}
			g.strain = strain{}
		}
	}
	w.close()
}
