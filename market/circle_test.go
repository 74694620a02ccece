package market

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// spareTerms are of a collective of members with spares, no fewer than least.
func spareTerms(tb testing.TB, members, spares, least uint32) Terms {
	tb.Helper()
	req := newParty(tb, 100)
	var all []party
	for i := range members + spares {
		all = append(all, newParty(tb, byte(1+i)))
	}
	t := testTerms(tb, req, all...)
	t.Task.Mounts, t.Task.ShardInput, t.Task.Least, t.Task.Spares = []string{"/job"}, "", least, spares
	for i := range t.Lots {
		t.Lots[i].Shards[0].Input = Hash{}
	}
	return t
}

func TestTermsWithSpares(t *testing.T) {
	terms := spareTerms(t, 3, 2, 3)
	data, err := terms.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodeTerms(data); err != nil || again.Task.Spares != 2 || again.Task.Members() != 3 || again.Task.Spare(2) || !again.Task.Spare(3) {
		t.Errorf("%+v, %v", again.Task, err)
	}
	for shard, want := range map[uint32]string{1: "1", 4: "4"} {
		if env, err := ShardEnv(terms.Task, shard); err != nil || env["RANK"] != want || env["WORLD_SIZE"] != "3" {
			t.Errorf("shard %d: rank %s of %s, %v", shard, env["RANK"], env["WORLD_SIZE"], err)
		}
	}
	for what, change := range map[string]func(*Terms){
		"more spares than members":  func(t *Terms) { t.Task.Spares, t.Task.Least = 3, 2 },
		"spares of an inelastic":    func(t *Terms) { t.Task.Least = 0 },
		"at least a spare":          func(t *Terms) { t.Task.Least = 4 },
		"a spare in the ring":       func(t *Terms) { t.Ring = []uint32{0, 1, 3, 2, 4} },
		"spares without a group":    func(t *Terms) { t.Kind, t.Task.Collective, t.Ring, t.Task.Least = General, false, []uint32{}, 0 },
		"inputs of a shard its own": func(t *Terms) { t.Task.ShardInput = "/job" },
		"spares and no shard":       func(t *Terms) { t.Task.Spares = 5 },
		"spares beyond all bounds":  func(t *Terms) { t.Task.Spares = 1 << 31 },
	} {
		bad := spareTerms(t, 3, 2, 3)
		change(&bad)
		if _, err := bad.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	none := spareTerms(t, 3, 0, 2)
	if data, err = none.Encode(); err != nil || bytes.Contains(data, []byte("spares")) {
		t.Errorf("terms without spares name them: %v", err)
	}
}

// saw is the result of a shard that ended well.
func saw(index uint32, members, stoodBy []uint32) Result {
	return Result{Shards: []ShardResult{{Index: index, Circle: &Circle{members, stoodBy}}}}
}

func TestSeats(t *testing.T) {
	type u = []uint32
	all, broke := u{0, 1, 2}, saw(1, nil, nil)
	broke.Shards[0].ExitCode = 125
	for what, c := range map[string]struct {
		results          []Result
		members, stoodBy u // nil members: no agreement
	}{
		"both stood by": {
			[]Result{saw(0, all, u{3, 4}), saw(1, all, u{3, 4}), saw(2, all, u{3, 4}), saw(3, nil, u{3}), saw(4, nil, u{4})}, all, u{3, 4},
		},
		"one of three did not see it": {
			[]Result{saw(0, all, u{3}), saw(1, all, u{3}), saw(2, all, nil), saw(3, nil, u{3})}, all, u{3},
		},
		"one of three saw it":   {[]Result{saw(0, all, u{3}), saw(1, all, nil), saw(2, all, nil), saw(3, nil, u{3})}, all, nil},
		"it does not say so":    {[]Result{saw(0, all, u{3}), saw(1, all, u{3}), saw(2, all, u{3}), saw(3, nil, nil)}, all, nil},
		"its result is missing": {[]Result{saw(0, all, u{3}), saw(1, all, u{3}), saw(2, all, u{3})}, all, nil},
		"one came in": {
			[]Result{broke, saw(0, u{0, 2, 3}, u{4}), saw(2, u{0, 2, 3}, u{4}), saw(3, u{0, 2, 3}, nil), saw(4, nil, u{4})}, u{0, 2, 3}, u{4},
		},
		"the lost one says that it stood by": {
			[]Result{saw(1, nil, u{1}), saw(0, u{0, 2, 3}, u{1}), saw(2, u{0, 2, 3}, u{1}), saw(3, u{0, 2, 3}, u{1})}, u{0, 2, 3}, nil,
		},
		"a spare says that it came in": {
			[]Result{saw(0, all, nil), saw(1, all, nil), saw(2, all, nil), saw(3, u{0, 1, 3}, nil)}, all, nil,
		},
		"two spares have a circle of their own": {
			[]Result{saw(0, all, nil), saw(1, all, nil), saw(2, all, nil), saw(3, u{3, 4}, nil), saw(4, u{3, 4}, nil)}, all, nil,
		},
		"two of three results are late": {[]Result{saw(0, all, nil)}, nil, nil},
		"everybody says something else": {[]Result{saw(0, u{0, 1}, nil), saw(1, u{1, 2}, nil), saw(2, u{0, 2}, nil)}, nil, nil},
		"too few for the terms":         {[]Result{saw(0, u{0}, nil)}, nil, nil},
		"two halves":                    {[]Result{saw(0, u{0, 1}, nil), saw(1, u{0, 1}, nil), saw(2, u{2, 3}, nil), saw(3, u{2, 3}, nil)}, nil, nil},
		"too many":                      {[]Result{saw(0, u{0, 1, 2, 3}, nil), saw(1, u{0, 1, 2, 3}, nil), saw(2, u{0, 1, 2, 3}, nil)}, nil, nil},
		"no word of it":                 {[]Result{{Shards: []ShardResult{{Index: 0}}}}, nil, nil},
	} {
		got, err := spareTerms(t, 3, 2, 2).Seats(c.results)
		if !slices.Equal(got.Members, c.members) || !slices.Equal(got.StoodBy, c.stoodBy) || (err == nil) != (c.members != nil) || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		for _, s := range append(slices.Clone(c.members), c.stoodBy...) {
			if !got.Has(s) {
				t.Errorf("%s: shard %d has no seat", what, s)
			}
		}
		if got.Has(9) {
			t.Errorf("%s: shard 9 has a seat", what)
		}
	}
}

func TestResultWithCircle(t *testing.T) {
	p, terms := newParty(t, 1), spareTerms(t, 3, 1, 2)
	hash, err := terms.Hash()
	if err != nil {
		t.Fatal(err)
	}
	sign := func(c *Circle) (Result, error) {
		signed, err := SignResult(Result{Job: JobID{1}, Terms: hash, Provider: p.id, Shards: []ShardResult{{Index: 0, Circle: c}}}, p.key)
		if err != nil {
			return Result{}, err
		}
		return OpenResult(signed, JobID{1}, terms, p.id)
	}
	with, err := sign(&Circle{Members: []uint32{0, 1, 2}, StoodBy: []uint32{3}})
	if err != nil || with.Shards[0].Circle == nil || !slices.Equal(with.Shards[0].Circle.StoodBy, []uint32{3}) {
		t.Errorf("%+v, %v", with, err)
	}
	without, err := sign(nil)
	if err != nil || without.Shards[0].Circle != nil || without.Root == with.Root {
		t.Errorf("%+v, %v", without, err)
	}
	for _, c := range []Circle{{Members: []uint32{1, 0}}, {StoodBy: []uint32{3, 3}}, {Members: make([]uint32, maxNeighbours+2)}} {
		if _, err := sign(&c); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestPlanWithSpares(t *testing.T) {
	for n, text := range map[Shards]string{{Count: 8, Min: 6, Spares: 2}: "8 shards + 2 spares", {Count: 2, Spares: 1}: "2 shards + 1 spare", {Count: 1}: "1 shard"} {
		if got := n.String(); got != text {
			t.Errorf("%+v: %q", n, got)
		}
	}
	var offers []Offer
	for i := range byte(5) {
		o := newParty(t, 1+i).offer()
		o.RateUNTX = 10 + uint64(i)
		offers = append(offers, o)
	}
	job := Job{Kind: Training, Shards: Shards{Count: 3, Min: 3, Spares: 2}, Resources: Resources{1000, 1024, 1024}, Budget: 1 << 40, Timeouts: Timeouts{Run: Minute}}
	needs := job.Needs(testNow, testMagic, testPolicy, testImage)
	needs.Distinct = true
	if p := Match(needs, offers); !p.OK() || len(p.Chosen) != 5 || p.Spares != 2 || p.Chosen[4].Offer.RateUNTX != 14 {
		t.Errorf("%+v", p)
	}
	for have, want := range map[int]string{4: "shards.spares: 2 → 1", 3: "shards.spares: 2 → 0", 2: ""} {
		p := Match(needs, offers[:have])
		got := ""
		if len(p.Relaxations) > 0 {
			got = p.Relaxations[0].String()
		}
		if p.OK() || got != want {
			t.Errorf("%d offers: %q; %s", have, got, p.Problem)
		}
	}
}
