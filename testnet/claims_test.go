package testnet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// market is two jobs of three providers on a ledger in memory, ended in every way a lot can end.
type history struct {
	tb       testing.TB
	ledger   *chaintest.Ledger
	c        *plutus.Contracts
	ntx      chain.AssetID
	who      []chaintest.Actor // requester, then providers
	blocks   []chain.Block
	fundedAt chain.Slot
}

func newHistory(tb testing.TB) *history {
	tb.Helper()
	faucet := chaintest.NewActor("faucet")
	h := &history{tb: tb, ntx: chain.AssetID{Policy: chain.ScriptHash{7}, Name: "tNTX"}, who: []chaintest.Actor{
		chaintest.NewActor("requester"), chaintest.NewActor("a"), chaintest.NewActor("b"), chaintest.NewActor("c"),
	}}
	var err error
	if h.c, err = plutus.New(chaintest.Network(), plutus.Devnet(h.ntx)); err != nil {
		tb.Fatal(err)
	}
	all := faucet.Coin(0, chain.Coins(1_000_000_000_000).With(h.ntx, 1_000_000_000_000))
	h.ledger = chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), []chain.UTxO{all})
	var d chain.Draft
	for _, a := range h.who {
		for range 6 {
			d.Outputs = append(d.Outputs, chain.Output{Address: a.Address, Value: chain.Coins(50_000_000).With(h.ntx, 100_000_000)})
		}
		for range 3 {
			d.Outputs = append(d.Outputs, chain.Output{Address: a.Address, Value: chain.Coins(30_000_000)})
		}
	}
	h.submit(d, faucet)
	h.fundedAt = h.ledger.Slot()
	return h
}

// submit pays for a draft with an actor's coins, has it signed by whoever must, and forges a block.
func (h *history) submit(d chain.Draft, payer chaintest.Actor) {
	h.tb.Helper()
	d.From = max(d.From, h.ledger.Slot())
	if d.Until == 0 {
		d.Until = d.From + 200
	}
	var coins, collateral []chain.UTxO
	for _, u := range h.ledger.UTxOs(payer.Address) {
		if len(u.Value.Assets) == 0 && collateral == nil {
			collateral = []chain.UTxO{u}
		} else if !slices.ContainsFunc(d.Inputs, func(in chain.Input) bool { return in.Ref == u.Ref }) {
			coins = append(coins, u)
		}
	}
	tx, err := chain.Balance(d, coins, payer.Address, collateral, h.ledger.Params(), h.ledger.Clock(), h.ledger.Network())
	if err != nil {
		h.tb.Fatal(h.c.Explain(err))
	}
	for _, k := range tx.Needed() {
		for _, a := range append(h.who, payer) {
			if a.Hash == k {
				if err := a.Sign(tx); err != nil {
					h.tb.Fatal(err)
				}
			}
		}
	}
	if err := h.ledger.Submit(tx.Bytes()); err != nil {
		h.tb.Fatal(err)
	}
	h.forge(1)
}

func (h *history) forge(n chain.Slot) {
	h.tb.Helper()
	b, err := h.ledger.Forge(n)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.blocks = append(h.blocks, b)
}

func (h *history) frame() plutus.Frame {
	s := h.ledger.Slot()
	return plutus.Frame{From: s, Until: s + 200}
}

// coin is an output of an actor's with NTX in it.
func (h *history) coin(a chaintest.Actor) chain.UTxO {
	h.tb.Helper()
	for _, u := range h.ledger.UTxOs(a.Address) {
		if u.Value.Of(h.ntx) >= 50_000_000 && u.Value.Coin >= 20_000_000 {
			return u
		}
	}
	h.tb.Fatal("no coin left")
	return chain.UTxO{}
}

// open locks a job of all providers.
func (h *history) open() plutus.Terms {
	h.tb.Helper()
	lovelace, err := h.c.LotLovelace(h.ledger.Params())
	if err != nil {
		h.tb.Fatal(err)
	}
	seed, now := h.coin(h.who[0]), h.ledger.Now()
	t := plutus.Terms{
		Seed: seed.Ref, Requester: h.who[0].Address, DeclineBy: now + 1_000_000, CommitBy: now + 3_000_000, ReviewMS: 5000,
		BondBps: 2000, PenaltyBps: 1000, LotLovelace: lovelace, Rest: [32]byte{byte(len(h.blocks))},
	}
	var parts []plutus.Part
	for i, a := range h.who[1:] {
		parts = append(parts, plutus.Part{
			Provider: a.Address, PriceUNTX: uint64(1_000_000 * (i + 1)), BondInput: h.coin(a), BondChange: a.Address,
		})
	}
	d, err := h.c.Open(t, parts, seed, h.frame())
	if err != nil {
		h.tb.Fatal(err)
	}
	h.submit(d, h.who[0])
	return t
}

// lots are those of a job that are open or committed, by the number of their provider.
func (h *history) lots(t plutus.Terms) map[int]plutus.Lot {
	h.tb.Helper()
	id, err := t.JobID()
	if err != nil {
		h.tb.Fatal(err)
	}
	found := map[int]plutus.Lot{}
	for _, u := range h.ledger.UTxOs(h.c.Address) {
		l, err := h.c.ReadLot(u, t)
		if err != nil || l.Job != id {
			continue
		}
		found[slices.IndexFunc(h.who, func(a chaintest.Actor) bool { return a.Address == l.Provider })] = l
	}
	return found
}

func (h *history) draft(d chain.Draft, err error) chain.Draft {
	h.tb.Helper()
	if err != nil {
		h.tb.Fatal(err)
	}
	return d
}

// play makes the history: a job that is approved; one of which a lot is claimed, one refunded, one declined.
func (h *history) play() testnet.Summary {
	h.tb.Helper()
	first := h.open()
	lots := h.lots(first)
	h.submit(h.draft(h.c.Approve([]plutus.Lot{lots[1], lots[2], lots[3]}, first, h.frame())), h.who[0])

	second := h.open()
	lots = h.lots(second)
	h.submit(h.draft(h.c.Decline(lots[3], second, h.frame())), h.who[3])
	f := h.frame()
	h.submit(h.draft(h.c.Commit(lots[1], second, [32]byte{1}, plutus.ClaimAt(second, f.Until, h.ledger.Clock()), f)), h.who[1])
	h.ledger.Tick(4000) // past commit_by and the end of the review
	h.submit(h.draft(h.c.Claim([]plutus.Lot{h.lots(second)[1]}, h.frame())), h.who[1])
	h.submit(h.draft(h.c.Refund([]plutus.Lot{lots[2]}, second, h.frame())), h.who[0])
	h.forge(3)
	return h.summary(first, second)
}

// summary claims what a demo would, as the replay derives it: TestClaims is about what happens when one is changed,
// TestReplay about the derivation itself.
func (h *history) summary(jobs ...plutus.Terms) testnet.Summary {
	h.tb.Helper()
	s := testnet.Summary{
		Network: h.ledger.Network(), NTX: h.ntx, FundedAt: h.fundedAt, EndedAt: h.blocks[len(h.blocks)-1].Slot,
		Balances: map[string]testnet.Balance{},
	}
	d, err := testnet.ReplayJobs(h.blocks, h.c, s.FundedAt, s.EndedAt)
	if err != nil {
		h.tb.Fatal(err)
	}
	for n, t := range jobs {
		id, _ := t.JobID()
		j := d.Jobs[id]
		js := testnet.JobSummary{
			Name: fmt.Sprint("job", n), ID: id.String(), Kind: []string{"training", "general"}[n], Outcome: j.Outcome(),
			PriceUNTX: j.Price(), FeesLovelace: j.Fees, RequesterCostLovelace: j.Costs[t.Requester],
		}
		for i, a := range h.who[1:] {
			l := j.Lots[a.Address]
			from, to := j.Span()
			js.Shards = append(js.Shards, testnet.ShardSummary{
				Index: i, Provider: a.Address, Outcome: l.Outcome(), PaidUNTX: l.Paid(), RefundedUNTX: l.Refunded(),
				PenaltyUNTX: l.Penalty(), BondReturnedUNTX: l.BondReturned(), LockedLovelace: l.Lot.Lovelace,
				ProviderCostLovelace: j.Costs[a.Address], Txs: testnet.ShardTxs{Open: l.Open, Commit: l.Commit, Settle: l.Settle},
				BeforeUNTX: d.Balances[from-1][a.Address].UNTX, AfterUNTX: d.Balances[to][a.Address].UNTX,
			})
		}
		s.Jobs = append(s.Jobs, js)
		if n == 0 {
			s.Figures = testnet.ShareOf(j)
		}
	}
	for _, a := range h.who {
		before, after := d.Balances[s.FundedAt][a.Address], d.Balances[s.EndedAt][a.Address]
		s.Balances[a.Address.String()] = testnet.Balance{
			Role: "party", BeforeUNTX: before.UNTX, AfterUNTX: after.UNTX, BeforeLovelace: before.Lovelace, AfterLovelace: after.Lovelace,
		}
	}
	return s
}

// TestReplay holds what is derived against amounts worked out by hand.
func TestReplay(t *testing.T) {
	h := newHistory(t)
	s := h.play()
	type row struct {
		outcome                         string
		paid, refunded, penalty, bonded uint64
	}
	want := [][]row{
		{{"approved", 1_000_000, 0, 0, 200_000}, {"approved", 2_000_000, 0, 0, 400_000}, {"approved", 3_000_000, 0, 0, 600_000}},
		{{"claimed", 1_000_000, 0, 0, 200_000}, {"refunded", 0, 2_000_000, 200_000, 200_000}, {"declined", 0, 3_000_000, 0, 600_000}},
	}
	for i, j := range s.Jobs {
		for k, sh := range j.Shards {
			if got := (row{sh.Outcome, sh.PaidUNTX, sh.RefundedUNTX, sh.PenaltyUNTX, sh.BondReturnedUNTX}); got != want[i][k] {
				t.Errorf("job %d, lot %d: %+v, want %+v", i, k, got, want[i][k])
			}
		}
	}
	if s.Jobs[0].Outcome != "approved" || s.Jobs[1].Outcome != "mixed" || s.Jobs[0].PriceUNTX != 6_000_000 {
		t.Errorf("%+v", s.Jobs)
	}
	// the requester paid 6 NTX for the first job, 1 for the second, and got a penalty of 0.2
	requester := s.Balances[h.who[0].Address.String()]
	if got := int64(requester.BeforeUNTX) - int64(requester.AfterUNTX); got != 6_000_000+1_000_000-200_000 {
		t.Errorf("the requester is short of %d µNTX", got)
	}
	for i, a := range h.who {
		var fees int64
		for _, j := range s.Jobs {
			if i == 0 {
				fees += j.RequesterCostLovelace
			} else {
				fees += j.Shards[i-1].ProviderCostLovelace
			}
		}
		b := s.Balances[a.Address.String()]
		if got := int64(b.BeforeLovelace) - int64(b.AfterLovelace); got != fees {
			t.Errorf("party %d is short of %d lovelace, its costs are %d", i, got, fees)
		}
	}
}

// TestClaims changes every amount and every transaction id of a true summary, one at a time.
func TestClaims(t *testing.T) {
	h := newHistory(t)
	s := h.play()
	n, err := testnet.CheckClaims(s, h.blocks, h.c)
	if err != nil || n < 60 {
		t.Fatalf("%d claims agree, %v", n, err)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, path := range amounts(t, b) {
		var changed testnet.Summary
		if err := json.Unmarshal(bump(t, b, path), &changed); err != nil {
			t.Fatal(err)
		}
		if _, err := testnet.CheckClaims(changed, h.blocks, h.c); !errors.Is(err, testnet.ErrClaim) {
			t.Errorf("%s changed: %v", strings.Join(path, "."), err)
		}
		tried++
	}
	if tried < 60 {
		t.Errorf("only %d amounts were changed", tried)
	}
	for name, change := range map[string]func(*testnet.Summary){
		"an outcome":       func(s *testnet.Summary) { s.Jobs[0].Shards[1].Outcome = "claimed" },
		"a job's outcome":  func(s *testnet.Summary) { s.Jobs[1].Outcome = "refunded" },
		"a settlement":     func(s *testnet.Summary) { s.Jobs[0].Shards[1].Txs.Settle[3]++ },
		"no commit":        func(s *testnet.Summary) { s.Jobs[1].Shards[0].Txs.Commit = nil },
		"a provider twice": func(s *testnet.Summary) { s.Jobs[0].Shards[0].Provider = s.Jobs[0].Shards[1].Provider },
		"a shard left out": func(s *testnet.Summary) { s.Jobs[0].Shards = s.Jobs[0].Shards[1:] },
		"a job left out":   func(s *testnet.Summary) { s.Jobs = s.Jobs[1:] },
		"a job twice":      func(s *testnet.Summary) { s.Jobs = append(s.Jobs, s.Jobs[0]) },
		"a wallet left out": func(s *testnet.Summary) {
			delete(s.Balances, slices.Sorted(maps.Keys(s.Balances))[0])
		},
	} {
		var changed testnet.Summary
		if err := json.Unmarshal(b, &changed); err != nil {
			t.Fatal(err)
		}
		change(&changed)
		if _, err := testnet.CheckClaims(changed, h.blocks, h.c); !errors.Is(err, testnet.ErrClaim) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// amounts are the paths of all amounts of money in a JSON document.
func amounts(t *testing.T, b []byte) (paths [][]string) {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(x, append(slices.Clone(path), k))
			}
		case []any:
			for i, x := range v {
				walk(x, append(slices.Clone(path), fmt.Sprint(i)))
			}
		case json.Number:
			if k := path[len(path)-1]; strings.HasSuffix(k, "_untx") || strings.HasSuffix(k, "_lovelace") || strings.HasSuffix(k, "_per_shard") {
				paths = append(paths, path)
			}
		}
	}
	walk(v, nil)
	return paths
}

// bump adds one to the number at a path.
func bump(t *testing.T, b []byte, path []string) []byte {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	at := v
	for i, k := range path {
		last := i == len(path)-1
		switch x := at.(type) {
		case map[string]any:
			if last {
				n, _ := x[k].(json.Number).Int64()
				x[k] = n + 1
			}
			at = x[k]
		case []any:
			var n int
			fmt.Sscan(k, &n)
			at = x[n]
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
