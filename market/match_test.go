package market

import (
	"errors"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
)

func testNeeds() Needs {
	return Needs{
		Now: testNow, Magic: testMagic, Contracts: testPolicy, Image: testImage, Shards: 4,
		Resources: Resources{1000, 4096, 1024}, Run: 10 * Minute, Budget: 1e6,
	}
}

// market4 are four offers that fit, at 10, 20, 30 and 40 µNTX, two shards each.
func market4(t testing.TB) []Offer {
	var os []Offer
	for i := byte(1); i <= 4; i++ {
		o := newParty(t, i).offer()
		o.RateUNTX = 10 * uint64(i)
		os = append(os, o)
	}
	return os
}

func counts(p Plan) (n []int) {
	for _, c := range p.Chosen {
		n = append(n, len(c.Shards))
	}
	return n
}

// TestMatchOneOpening: no more providers than one opening has room for; the cheapest, or the largest where those have too
// little room.
func TestMatchOneOpening(t *testing.T) {
	os := market4(t)
	n := testNeeds()
	n.Providers = 3
	if p := Match(n, os); !slices.Equal(counts(p), []int{2, 1, 1}) || p.Rejected[0].Offer.Peer != os[3].Peer {
		t.Fatalf("%+v", p)
	}
	n.Providers = 2
	os[0].Capacity.Slots = 1
	if p := Match(n, os); !slices.Equal(counts(p), []int{2, 2}) || p.Chosen[0].Offer.Peer != os[1].Peer || p.Chosen[1].Offer.Peer != os[2].Peer ||
		p.Rejected[0].Reasons[0] != (Reason{ReasonOutranked, "too small: one opening holds 2 providers, and there are larger ones"}) {
		t.Fatalf("%+v", p)
	}
	n.Shards = 5
	p := Match(n, os)
	if p.Problem != "5 shards wanted, and the 2 providers that one opening holds have room for 4" ||
		len(p.Relaxations) != 1 || p.Relaxations[0].Changes[0] != (Change{"shards.count", "5", "4"}) {
		t.Fatalf("%+v", p)
	}
}

func TestMatchSpreads(t *testing.T) {
	os := market4(t)
	p := Match(testNeeds(), os)
	if !p.OK() || !slices.Equal(counts(p), []int{1, 1, 1, 1}) || p.TotalUNTX != 600*(10+20+30+40) || p.Err() != nil {
		t.Fatalf("%+v", p)
	}
	n := testNeeds()
	n.Budget = 600 * 60 // only the two cheapest, two shards each
	p = Match(n, os)
	if !slices.Equal(counts(p), []int{2, 2}) || p.TotalUNTX != n.Budget || !slices.Equal(p.Chosen[1].Shards, []uint32{2, 3}) {
		t.Fatalf("%+v", p)
	}
	n.Distinct = true
	if p = Match(n, os); p.OK() || !errors.Is(p.Err(), ErrNoMatch) || p.Problem != "4 shards cost 0.06 NTX, the budget is 0.036 NTX" {
		t.Fatalf("%+v", p)
	}
	n = testNeeds()
	n.Shards = 2
	p = Match(n, os)
	if len(p.Rejected) != 2 || p.Rejected[0].Reasons[0] != (Reason{ReasonOutranked, "not needed: 0.00003 NTX a shard-second, the last one chosen takes 0.00002"}) {
		t.Fatalf("%+v", p.Rejected)
	}
}

func TestMatchReasons(t *testing.T) {
	for _, c := range []struct {
		change func(*Offer)
		code   string
		says   string
	}{
		{func(o *Offer) { o.Magic = 2 }, ReasonNetwork, "for the network with magic 2, this job is on 42"},
		{func(o *Offer) { o.Contracts[0] = 9 }, ReasonContracts, "accepts contracts 09020300…, this job uses 01020300…"},
		{func(o *Offer) { o.Expires = testNow }, ReasonTime, "the offer ended 0s ago: expired"},
		{func(o *Offer) { o.Images = nil }, ReasonImage, "does not have image sha256:0123456789ab"},
		{func(o *Offer) { o.Capacity.MilliCPU = 500 }, ReasonCPUs, "0.5 CPUs < 1 wanted"},
		{func(o *Offer) { o.Capacity.MemoryMiB = 2048 }, ReasonMemory, "memory 2048 MiB < 4096 MiB wanted"},
		{func(o *Offer) { o.Capacity.DiskMiB = 1 }, ReasonDisk, "disk 1 MiB < 1024 MiB wanted"},
		{func(o *Offer) { o.PenaltyBps = 1 }, ReasonRates, "bond 20 % and penalty 0.01 % of the price, this job's are 20 % and 10 %"},
		{func(o *Offer) { o.Payment = newParty(t, 1).addr }, ReasonOwner, "paid to the same key as "},
		{func(o *Offer) { o.Peer, o.Sequence = newParty(t, 1).id, 6 }, ReasonSuperseded, "sequence 6, the peer's newest offer has 7"},
	} {
		os := market4(t)
		c.change(&os[3])
		n := testNeeds()
		n.Shards = 3
		p := Match(n, os)
		if len(p.Chosen) != 3 || len(p.Rejected) != 1 {
			t.Errorf("%s: %+v", c.code, p)
			continue
		}
		if r := p.Rejected[0].Reasons[0]; r.Code != c.code || !strings.HasPrefix(r.Sentence, c.says) {
			t.Errorf("got %+v, want %s: %s", r, c.code, c.says)
		}
	}
	os := market4(t)
	os[0].Capacity.MemoryMiB, os[0].Capacity.MilliCPU = 1, 1
	if p := Match(testNeeds(), os); len(p.Rejected[0].Reasons) != 2 {
		t.Errorf("not every reason is kept: %+v", p.Rejected[0])
	}
}

func TestRelaxations(t *testing.T) {
	for _, c := range []struct {
		what   string
		needs  func(*Needs)
		offers func([]Offer)
		want   []string
	}{
		{"budget", func(n *Needs) { n.Budget = 30_000 }, nil, []string{"budget.max_ntx: 0.03 → 0.036", "shards.count: 4 → 3"}},
		{"memory", func(n *Needs) { n.Resources.MemoryMiB = 16384 }, nil, []string{"resources.memory_gib: 16 → 8"}},
		{
			"memory, shared", func(n *Needs) { n.Shards, n.Resources.MemoryMiB = 6, 6144 }, nil,
			[]string{"resources.memory_gib: 6 → 4", "shards.count: 6 → 4"},
		},
		{
			"memory and money", func(n *Needs) { n.Resources.MemoryMiB, n.Budget = 16384, 1 }, nil,
			[]string{"resources.memory_gib: 16 → 8 and budget.max_ntx: 0.000001 → 0.06"},
		},
		{"cpus", func(n *Needs) { n.Resources.MilliCPU = 4500 }, nil, []string{"resources.cpus: 4.5 → 4"}},
		{"shards", func(n *Needs) { n.Shards = 10 }, nil, []string{"shards.count: 10 → 8"}},
		{"no image", func(n *Needs) { n.Image = digestOf("f") }, nil, nil},
		{"nobody", nil, func(os []Offer) {
			for i := range os {
				os[i].Expires = testNow
			}
		}, nil},
	} {
		n, os := testNeeds(), market4(t)
		if c.needs != nil {
			c.needs(&n)
		}
		if c.offers != nil {
			c.offers(os)
		}
		p := Match(n, os)
		var got []string
		for _, r := range p.Relaxations {
			got = append(got, r.String())
		}
		if p.OK() || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q (%s)", c.what, got, c.want, p.Problem)
		}
	}
	if p := Match(Needs{}, market4(t)); p.OK() {
		t.Error("nothing wanted, and matched")
	}
	if p := Match(testNeeds(), nil); p.Problem != "no offer fits" {
		t.Errorf("no offers: %q", p.Problem)
	}
}

func digestOf(hex string) ImageDigest { return ImageDigest("sha256:" + strings.Repeat(hex, 64)) }

// A plan stays within the budget and every machine, accounts for each offer once and each shard once, does not depend
// on the offers' order, and its relaxations do what they say.
func TestMatchProperties(t *testing.T) {
	parties := make([]party, 8)
	for i := range parties {
		parties[i] = newParty(t, byte(i+1))
	}
	rapid.Check(t, func(t *rapid.T) {
		var os []Offer
		for range rapid.IntRange(0, 8).Draw(t, "offers") {
			p := rapid.SampledFrom(parties).Draw(t, "peer")
			o := p.offer()
			o.RateUNTX = rapid.Uint64Range(1, 50).Draw(t, "rate")
			o.Sequence = rapid.Uint64Range(1, 2).Draw(t, "sequence")
			o.BondBps = rapid.SampledFrom([]uint16{2000, 3000}).Draw(t, "bond")
			o.Capacity = Capacity{Resources{
				rapid.Uint64Range(500, 4000).Draw(t, "cpu"), rapid.Uint64Range(1024, 8192).Draw(t, "memory"), 10_240,
			}, rapid.Uint32Range(1, 3).Draw(t, "slots")}
			if rapid.IntRange(0, 4).Draw(t, "expired") == 0 {
				o.Expires = testNow
			}
			os = append(os, o)
		}
		n := testNeeds()
		n.Shards = rapid.Uint32Range(1, 6).Draw(t, "shards")
		n.Resources.MemoryMiB = rapid.Uint64Range(512, 6000).Draw(t, "wanted")
		n.Budget = rapid.Uint64Range(1, 150_000).Draw(t, "budget")
		n.Distinct = rapid.Bool().Draw(t, "distinct")
		p := Match(n, os)
		checkPlan(t, n, os, p)

		mixed := slices.Clone(os)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "shuffle"))).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if again := Match(n, mixed); !reflect.DeepEqual(again, p) {
			t.Fatalf("another order, another plan:\n%+v\n%+v", p, again)
		}
		for _, r := range p.Relaxations {
			relaxed := apply(t, n, r)
			q := Match(relaxed, os)
			if !q.OK() || q.TotalUNTX < r.TotalUNTX {
				t.Fatalf("%s does not help, or is cheaper than said: %+v", r, q)
			}
		}
	})
}

func checkPlan(t *rapid.T, n Needs, os []Offer, p Plan) {
	if len(p.Chosen)+len(p.Rejected) != len(os) || p.OK() != (len(p.Chosen) > 0) || p.TotalUNTX > n.Budget {
		t.Fatalf("%d chosen + %d rejected of %d, %d µNTX of %d, problem %q", len(p.Chosen), len(p.Rejected), len(os), p.TotalUNTX, n.Budget, p.Problem)
	}
	var next uint32
	var sum uint64
	keys := map[chain.Address]bool{}
	for _, c := range p.Chosen {
		k := uint64(len(c.Shards))
		if k == 0 || k > uint64(c.Offer.Capacity.Slots) || k*n.Resources.MemoryMiB > c.Offer.Capacity.MemoryMiB ||
			k*n.Resources.MilliCPU > c.Offer.Capacity.MilliCPU || n.Distinct && k > 1 || keys[c.Offer.Payment] ||
			c.Offer.BondBps != p.BondBps || c.PriceUNTX != c.Offer.RateUNTX*600*k {
			t.Fatalf("choice %+v", c)
		}
		keys[c.Offer.Payment] = true
		sum += c.PriceUNTX
		for _, s := range c.Shards {
			if s != next {
				t.Fatalf("shard %d, want %d", s, next)
			}
			next++
		}
	}
	if p.OK() && (next != n.Shards || sum != p.TotalUNTX) {
		t.Fatalf("%d of %d shards, %d of %d µNTX", next, n.Shards, sum, p.TotalUNTX)
	}
	for _, r := range p.Rejected {
		if len(r.Reasons) == 0 || r.Reasons[0].Code == "" || r.Reasons[0].Sentence == "" {
			t.Fatalf("no reason: %+v", r)
		}
	}
}

// apply reads a relaxation as a person would, through a job file.
func apply(t *rapid.T, n Needs, r Relaxation) Needs {
	values := map[string]string{"shards.count": "", "resources.cpus": "", "resources.memory_gib": "", "resources.disk_gib": "", "budget.max_ntx": ""}
	for _, c := range r.Changes {
		if _, ok := values[c.Field]; !ok {
			t.Fatalf("no such field: %s", c.Field)
		}
		values[c.Field] = c.To
	}
	budget := values["budget.max_ntx"]
	if budget == "" {
		budget = "1"
	}
	j, err := ParseJob([]byte("version: 1\nname: a\nimage: x\nrun: y\ntimeouts: {run: 10m}\nbudget: {max_ntx: " + budget + "}\n" +
		"shards: {count: " + values["shards.count"] + "}\nresources: {cpus: " + values["resources.cpus"] + ", memory_gib: " +
		values["resources.memory_gib"] + ", disk_gib: " + values["resources.disk_gib"] + "}\n"))
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	for field, set := range map[string]func(){
		"shards.count":         func() { n.Shards = j.Shards.Count },
		"resources.cpus":       func() { n.Resources.MilliCPU = j.Resources.MilliCPU },
		"resources.memory_gib": func() { n.Resources.MemoryMiB = j.Resources.MemoryMiB },
		"resources.disk_gib":   func() { n.Resources.DiskMiB = j.Resources.DiskMiB },
		"budget.max_ntx":       func() { n.Budget = j.Budget },
	} {
		if values[field] != "" {
			set()
		}
	}
	return n
}
