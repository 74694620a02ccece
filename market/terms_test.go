package market

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
)

func TestTermsRoundTrip(t *testing.T) {
	req, a, b := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	terms := testTerms(t, req, a, b)
	data, err := terms.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeTerms(data)
	if err != nil || !reflect.DeepEqual(back, terms) {
		t.Fatalf("%v\n%+v\n%+v", err, back, terms)
	}
	hash, err := terms.Hash()
	if err != nil || hash != HashOf(data) {
		t.Errorf("hash %s, %v", hash, err)
	}
	if terms.TotalUNTX() != 12_000 {
		t.Errorf("total %d", terms.TotalUNTX())
	}
	if p, ok := terms.ProviderOf(1); !ok || p != b.id {
		t.Errorf("shard 1 is with %s", p)
	}
	// The bytes are signed for by money: they must not change under anybody's feet.
	if golden := "3375bfcd0547771482f89b97e855e321e894c24135de07158027d08500fce092"; hash.String() != golden {
		t.Errorf("hash is now %s", hash)
	}
}

func TestTermsRefused(t *testing.T) {
	req, a, b := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	for what, change := range map[string]func(*Terms){
		"version":             func(t *Terms) { t.Version = 2 },
		"name":                func(t *Terms) { t.Name = "Ä" },
		"kind":                func(t *Terms) { t.Kind = "other" },
		"requester":           func(t *Terms) { t.Requester = "x" },
		"script address":      func(t *Terms) { t.RequesterAddress = chain.ScriptAddress(chain.Network{}, testPolicy) },
		"penalty over bond":   func(t *Terms) { t.PenaltyBps = 2001 },
		"bond over price":     func(t *Terms) { t.BondBps = 10_001 },
		"review":              func(t *Terms) { t.Review = 0 },
		"timeouts":            func(t *Terms) { t.Timeouts.Run = 0 },
		"decline before lock": func(t *Terms) { t.DeclineBy = t.LockUntil },
		"commit too early":    func(t *Terms) { t.CommitBy -= chain.Time(6 * Minute) },
		"commit never":        func(t *Terms) { t.CommitBy = 1 << 60 },
		"no lots":             func(t *Terms) { t.Lots = nil },
		"one provider twice":  func(t *Terms) { t.Lots[1].Provider = t.Lots[0].Provider },
		"requester provides":  func(t *Terms) { t.Lots[1].Provider = t.Requester },
		"bond input twice":    func(t *Terms) { t.Lots[1].BondInput = t.Lots[0].BondInput },
		"seed is a bond":      func(t *Terms) { t.Lots[1].BondInput = t.Seed },
		"price zero":          func(t *Terms) { t.Lots[1].PriceUNTX = 0 },
		"price too large":     func(t *Terms) { t.Lots[1].PriceUNTX = maxPrice + 1 },
		"shard twice":         func(t *Terms) { t.Lots[1].Shards[0].Index = 0 },
		"shard beyond":        func(t *Terms) { t.Lots[1].Shards[0].Index = 2 },
		"shard missing":       func(t *Terms) { t.Task.Shards = 3 },
		"input missing":       func(t *Terms) { t.Lots[1].Shards[0].Input = Hash{} },
		"input not wanted":    func(t *Terms) { t.Task.ShardInput = "" },
		"ring":                func(t *Terms) { t.Ring = []uint32{0, 0} },
		"ring too short":      func(t *Terms) { t.Ring = []uint32{0} },
		"least is all":        func(t *Terms) { t.Task.Least = 2 },
		"least of no group":   func(t *Terms) { t.Kind, t.Task.Collective, t.Ring, t.Task.Least = General, false, []uint32{}, 1 },
		"ring for nothing":    func(t *Terms) { t.Task.Collective = false },
		"mount":               func(t *Terms) { t.Task.Mounts = append(t.Task.Mounts, "/proc") },
		"mount in mount":      func(t *Terms) { t.Task.Mounts = append(t.Task.Mounts, "/job/x") },
		"mount not clean":     func(t *Terms) { t.Task.Mounts = append(t.Task.Mounts, "/x/../etc") },
		"environment":         func(t *Terms) { t.Task.Envs = map[string]string{"RANK": "1"} },
		"zero byte":           func(t *Terms) { t.Task.Command = "a\x00b" },
		"image":               func(t *Terms) { t.Task.Image = "latest" },
	} {
		terms := testTerms(t, req, a, b)
		change(&terms)
		if _, err := terms.Hash(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
		data, err := encMode.Marshal(terms)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeTerms(data); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, decoded: %v", what, err)
		}
	}
	if _, err := DecodeTerms(make([]byte, MaxTermsBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	terms := testTerms(t, req, a, b)
	terms.Magic = mainnetMagic
	if err := terms.Validate(); !errors.Is(err, ErrOtherNetwork) {
		t.Errorf("test address on mainnet: %v", err)
	}
}

func TestCheckQuoted(t *testing.T) {
	req, a, b := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	r, q := testRequest(req), testQuote(t, b, req)
	if err := testTerms(t, req, a, b).CheckQuoted(r, q); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Terms){
		"policy":    func(t *Terms) { t.Policy[0]++ },
		"price":     func(t *Terms) { t.Lots[1].PriceUNTX-- },
		"payment":   func(t *Terms) { t.Lots[1].Payment = a.addr },
		"input":     func(t *Terms) { t.Lots[1].BondInput.Index++ },
		"rates":     func(t *Terms) { t.PenaltyBps++ },
		"resources": func(t *Terms) { t.Task.Resources.MemoryMiB++ },
		"image":     func(t *Terms) { t.Task.Image = digestOf("1") },
		"timeouts":  func(t *Terms) { t.Timeouts.Run++ },
		"review":    func(t *Terms) { t.Review++ },
		"address":   func(t *Terms) { t.RequesterAddress = b.addr },
		"shards":    func(t *Terms) { t.Lots[1].Shards = append(t.Lots[1].Shards, ShardTerms{Index: 2}) },
		"name":      func(t *Terms) { t.Name = "other" },
	} {
		terms := testTerms(t, req, a, b)
		change(&terms)
		if err := terms.CheckQuoted(r, q); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := testTerms(t, req, a).CheckQuoted(r, q); !errors.Is(err, ErrOtherPeer) {
		t.Errorf("no lot: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	decline, commit := Deadlines(1000, Timeouts{Match: 1, Start: 10, Run: 200, Collect: 3000}, 40_000)
	if decline != 41_010 || commit != 44_210 {
		t.Errorf("%d, %d", decline, commit)
	}
}

// Terms for a full opening fit their bound.
func TestTermsOfManyShards(t *testing.T) {
	req := newParty(t, 0)
	var ps []party
	for i := range 90 {
		ps = append(ps, newParty(t, byte(i+1)))
	}
	terms := testTerms(t, req, ps...)
	for i := range terms.Lots {
		terms.Lots[i].BondInput.Index = uint32(i)
	}
	if _, err := terms.Encode(); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeTerms(f *testing.F) {
	data, err := testTerms(f, newParty(f, 1), newParty(f, 2), newParty(f, 3)).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	if data, err = disputable(f, newParty(f, 1), newParty(f, 2), newParty(f, 3)).Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		terms, err := DecodeTerms(data)
		if err != nil {
			return
		}
		if again, err := terms.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x, %v", data, again, err)
		}
		if !slices.ContainsFunc(terms.Lots, func(l LotTerms) bool { return len(l.Shards) > 0 }) {
			t.Error("no shards")
		}
	})
}
