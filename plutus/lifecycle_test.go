package plutus

import (
	"errors"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// market is a ledger with a world's people on it, and what an index would know of it.
type market struct {
	*world
	*chaintest.Ledger
	t    *testing.T
	lots map[chain.OutRef]Lot
	seen []Event
}

func newMarket(t *testing.T, w *world) *market {
	t.Helper()
	genesis := []chain.UTxO{w.seed()}
	for _, a := range w.everyone() {
		genesis = append(append(genesis, purse(a)...), collateral(a)...)
	}
	for _, p := range w.parts() {
		genesis = append(genesis, p.BondInput)
	}
	return &market{world: w, Ledger: chaintest.New(chaintest.Params(), chaintest.Clock(), w.Network, genesis), t: t, lots: map[chain.OutRef]Lot{}}
}

// coins is what an actor can pay with: all it has but bond input, seed and collateral.
func (m *market) coins(a chaintest.Actor) (out []chain.UTxO) {
	for _, u := range m.UTxOs(a.Address) {
		if u.Ref != m.seed().Ref && u.Ref.Index != 50 && u.Ref.Index != 9 && u.Script == nil {
			out = append(out, u)
		}
	}
	return out
}

// do submits a draft at a slot, and folds the block that takes it.
func (m *market) do(d chain.Draft, payer chaintest.Actor, slot chain.Slot) []Event {
	m.t.Helper()
	if err := m.try(d, payer, slot); err != nil {
		m.t.Fatal(m.Explain(err))
	}
	b, err := m.Forge(1)
	if err != nil {
		m.t.Fatal(err)
	}
	var events []Event
	for _, tx := range b.Txs {
		es, err := m.Observe(tx, func(r chain.OutRef) (Lot, bool) { l, ok := m.lots[r]; return l, ok })
		if err != nil {
			m.t.Fatal(err)
		}
		events = append(events, es...)
	}
	for _, e := range events {
		delete(m.lots, e.Spent)
		if e.Kind == KindOpen || e.Kind == KindCommit || e.Kind == KindDispute {
			m.lots[e.Lot.Ref] = e.Lot
		}
	}
	m.seen = append(m.seen, events...)
	return events
}

func (m *market) try(d chain.Draft, payer chaintest.Actor, slot chain.Slot) error {
	m.t.Helper()
	if now := m.Slot(); slot > now {
		m.Tick(slot - now)
	}
	tx, err := chain.Balance(d, m.coins(payer), payer.Address, collateral(payer), m.Ledger.Params(), m.Clock(), m.world.Network)
	if err != nil {
		return err
	}
	for _, k := range tx.Needed() {
		for _, a := range m.everyone() {
			if a.Hash == k {
				if err := a.Sign(tx); err != nil {
					return err
				}
			}
		}
	}
	return m.Submit(tx.Bytes())
}

// openAll opens the world's job and gives its lots in the providers' order.
func (m *market) openAll() []Lot {
	m.t.Helper()
	events := m.do(m.open(m.t), m.requester, openFrom)
	if len(events) != len(m.providers) {
		m.t.Fatalf("%d events of an opening with %d providers", len(events), len(m.providers))
	}
	var lots []Lot
	for i, e := range events {
		want := Lot{Ref: e.Lot.Ref, UTxO: e.Lot.UTxO, Job: m.job, State: Open, Provider: m.addresses[i], PriceUNTX: price, BondUNTX: BondOf(price, m.terms.BondBps), Lovelace: ada}
		if e.Kind != KindOpen || e.Terms != m.terms || !sameLot(e.Lot, want) {
			m.t.Fatalf("lot %d: %+v", i, e)
		}
		if !slices.Contains(e.Payers, m.providers[i].Hash) || slices.Contains(e.Payers, m.stranger.Hash) {
			m.t.Fatalf("payers %v", e.Payers)
		}
		lots = append(lots, e.Lot)
	}
	return lots
}

func sameLot(a, b Lot) bool {
	a.UTxO, b.UTxO = chain.UTxO{}, chain.UTxO{}
	return a.Ref == b.Ref && a.Job == b.Job && a.State == b.State && a.Provider == b.Provider && a.PriceUNTX == b.PriceUNTX &&
		a.BondUNTX == b.BondUNTX && a.Lovelace == b.Lovelace && a.Root == b.Root && a.ClaimAt == b.ClaimAt
}

// ntxAt is all NTX at an address.
func (m *market) ntxAt(a chain.Address) (sum uint64) {
	for _, u := range m.UTxOs(a) {
		sum += u.Value.Of(ntx)
	}
	return sum
}

// adaAt is all lovelace at an address.
func (m *market) adaAt(a chain.Address) (sum chain.Lovelace) {
	for _, u := range m.UTxOs(a) {
		sum += u.Value.Coin
	}
	return sum
}

// TestOneJob takes three lots to three ends: one claimed, one declined, one refunded.
func TestOneJob(t *testing.T) {
	m := newMarket(t, newWorld(t, silentBlueprint))
	requester, before := m.ntxAt(m.requester.Address), make([]uint64, 3)
	for i, a := range m.addresses {
		before[i] = m.ntxAt(a)
	}
	m.do(m.Deploy(frame(1)), m.stranger, 1)
	lots := m.openAll()
	refs := m.FindReferences(m.UTxOs(m.Address))
	if len(refs) != 3 {
		t.Fatalf("%d published scripts", len(refs))
	}
	in := func(from chain.Slot) Frame { return Frame{From: from, Until: from + 900, References: refs} }

	d := must(m.Decline(lots[2], m.terms, in(2000)))(t)
	if e := m.do(d, m.providers[2], 2000); len(e) != 1 || e[0].Kind != KindDecline || e[0].ToRequesterUNTX != price || e[0].ToProviderUNTX != bond {
		t.Fatalf("%+v", e)
	}

	root, f := [32]byte{7}, in(workFrom)
	d = must(m.Commit(lots[0], m.terms, root, ClaimAt(m.terms, f.Until, m.Clock()), f))(t)
	e := m.do(d, m.providers[0], workFrom)
	if len(e) != 1 || e[0].Kind != KindCommit || e[0].Spent != lots[0].Ref || e[0].Lot.Root != root || e[0].Lot.ClaimAt != at(9500) || e[0].Lot.PriceUNTX != price {
		t.Fatalf("%+v", e)
	}

	d = must(m.Refund([]Lot{lots[1]}, m.terms, in(9000)))(t)
	penalty := PenaltyOf(price, m.terms.PenaltyBps)
	if e := m.do(d, m.stranger, 9000); len(e) != 1 || e[0].Kind != KindRefund || e[0].ToRequesterUNTX != price+penalty || e[0].ToProviderUNTX != bond-penalty {
		t.Fatalf("%+v", e)
	}

	d = must(m.Claim([]Lot{e[0].Lot}, in(9500)))(t)
	if e := m.do(d, m.providers[0], 9500); len(e) != 1 || e[0].Kind != KindClaim || e[0].ToRequesterUNTX != 0 || e[0].ToProviderUNTX != price+bond {
		t.Fatalf("%+v", e)
	}

	if len(m.lots) != 0 {
		t.Errorf("lots left: %v", m.lots)
	}
	if got, want := m.ntxAt(m.requester.Address), requester-price+penalty; got != want {
		t.Errorf("the requester has %d NTX, want %d", got, want)
	}
	for i, want := range []uint64{before[0] + price, before[1] - penalty, before[2]} {
		if got := m.ntxAt(m.addresses[i]); got != want {
			t.Errorf("provider %d has %d NTX, want %d", i, got, want)
		}
	}
	if got := m.ntxAt(m.Address); got != 0 {
		t.Errorf("%d NTX left in the contract", got)
	}
}

// TestApproveAll pays a whole job in one transaction; providers get every lovelace back.
func TestApproveAll(t *testing.T) {
	m := newMarket(t, newWorld(t, silentBlueprint))
	var before []chain.Lovelace
	for _, a := range m.addresses {
		before = append(before, m.adaAt(a))
	}
	lots := m.openAll()
	e := m.do(must(m.Approve(lots, m.terms, frame(2000)))(t), m.requester, 2000)
	if len(e) != 3 || e[0].Kind != KindApprove || e[2].ToProviderUNTX != price+bond {
		t.Fatalf("%+v", e)
	}
	for i, a := range m.addresses {
		if got := m.adaAt(a); got != before[i] {
			t.Errorf("provider %d has %d lovelace, had %d", i, got, before[i])
		}
	}
}

// TestZeroPayouts: neither a bond of nothing nor a penalty of all of it blocks an exit.
func TestZeroPayouts(t *testing.T) {
	for name, rates := range map[string][2]uint16{"no bond": {0, 0}, "the whole bond": {bondBps, bondBps}, "bond as high as the price": {wholeBps, wholeBps}} {
		t.Run(name, func(t *testing.T) {
			for _, exit := range []Kind{KindRefund, KindDecline, KindApprove, KindClaim} {
				w := newWorld(t, silentBlueprint)
				w.terms.BondBps, w.terms.PenaltyBps = rates[0], rates[1]
				id, err := w.terms.JobID()
				if err != nil {
					t.Fatal(err)
				}
				w.job = id
				l := w.lot(t, 1, 0, Open)
				var d chain.Draft
				switch exit {
				case KindRefund:
					d = must(w.Refund([]Lot{l, w.lot(t, 2, 1, Open)}, w.terms, frame(9000)))(t)
				case KindDecline:
					d = must(w.Decline(l, w.terms, frame(2000)))(t)
				case KindApprove:
					d = must(w.Approve([]Lot{l}, w.terms, frame(2000)))(t)
				case KindClaim:
					d = must(w.Claim([]Lot{w.lot(t, 1, 0, Committed)}, frame(9500)))(t)
				}
				if _, err := w.submit(d, w.providers[0]); err != nil {
					t.Errorf("%s: %v", exit, w.Explain(err))
				}
			}
		})
	}
}

// TestPublishedScriptsStay: nobody can spend them, with whatever transition.
func TestPublishedScriptsStay(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for _, u := range w.publish(t) {
		for _, c := range passing() {
			if c.name == "open" {
				continue // refuses every script's output
			}
			d := c.draft(w, t)
			w.spend(&d, u, w.StubScript)
			if _, err := w.submit(d, c.payer(w)); !errors.Is(err, chain.ErrScript) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

func TestObserveNothing(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	none := func(chain.OutRef) (Lot, bool) { return Lot{}, false }
	fake := w.fake(1, 0, Open, true)
	for name, tx := range map[string]chain.BlockTx{
		"empty":        {},
		"a look-alike": {Outputs: []chain.UTxO{fake}, Mint: map[chain.AssetID]int64{{Name: "x"}: 1}},
		"invalid":      {Invalid: true, Mint: map[chain.AssetID]int64{w.Token(w.job, Open): 1}},
	} {
		if e, err := w.Observe(tx, none); len(e) != 0 || err != nil {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	claim, err := Action{Kind: KindClaim}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Observe(chain.BlockTx{
		Inputs: []chain.OutRef{{Index: 5}}, Mint: map[chain.AssetID]int64{w.Token(w.job, Committed): -1},
		MintRedeemers: map[chain.ScriptHash][]byte{w.Policy: claim},
	}, none)
	if !errors.Is(err, ErrUnknownLot) {
		t.Errorf("a lot never seen: %v", err)
	}
}

func TestExplainLeavesOthersAlone(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	plain := errors.New("x")
	if got := w.Explain(plain); !errors.Is(got, plain) || got.Error() != "x" {
		t.Error(got)
	}
	if w.Explain(nil) != nil {
		t.Error("an error out of nothing")
	}
	d := w.claim(t)
	d.From, d.Until = 9400, 9499
	_, err := w.submit(d, w.providers[0])
	got := w.Explain(err)
	if !errors.Is(got, ErrRefused) || !errors.Is(got, chain.ErrScript) {
		t.Fatalf("%v", got)
	}
	if got.Error() != `a lot's review is not over (check "claim.time"): refused by the contract` {
		t.Error(got.Error())
	}
}
