package plutus

import (
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// newContest is a market whose job has vouchers and disputes.
func newContest(t *testing.T) (*market, []Lot) {
	t.Helper()
	w := newWorld(t, silentBlueprint)
	w.terms, w.job = w.contested, w.contestedJob()
	m := newMarket(t, w)
	return m, m.openAll()
}

// disputed takes a lot as far as a dispute.
func (m *market) disputed(l Lot, provider chaintest.Actor) Lot {
	m.t.Helper()
	from := max(m.Slot(), workFrom)
	f := frame(from)
	e := m.do(must(m.Commit(l, m.terms, [32]byte{7}, ClaimAt(m.terms, f.Until, m.Clock()), f))(m.t), provider, from)
	from = m.Slot()
	f = frame(from)
	e = m.do(must(m.Dispute(e[0].Lot, m.terms, Deadline(m.terms, f.Until, m.Clock()), f))(m.t), m.requester, from)
	got := e[0].Lot
	if len(e) != 1 || e[0].Kind != KindDispute || got.State != Disputed || got.PriceUNTX != price || got.BondUNTX != bond || got.DisputeBondUNTX != disputeBond ||
		got.Own != l.Lovelace || got.Lovelace != l.Lovelace+m.terms.LotLovelace || got.Root != [32]byte{7} || got.Deadline != at(f.Until)+chain.Time(m.verdictMS) {
		m.t.Fatalf("%+v", e)
	}
	return got
}

// gains is what everybody has more of NTX after f, and with it that nothing is left in the contract.
func (m *market) gains(f func()) map[string]int64 {
	m.t.Helper()
	who := map[string]chain.Address{
		"requester": m.requester.Address, "payee": chain.Enterprise(m.world.Network, m.terms.Disputes.Payee),
		"sink": chain.ScriptAddress(m.world.Network, m.Contracts.Params.Sink), "0": m.addresses[0], "1": m.addresses[1], "2": m.addresses[2],
	}
	before := map[string]int64{}
	for name, a := range who {
		before[name] = int64(m.ntxAt(a))
	}
	f()
	for name, a := range who {
		before[name] = int64(m.ntxAt(a)) - before[name]
	}
	if len(m.lots) != 0 || m.ntxAt(m.Address) != 0 {
		m.t.Errorf("%d lots and %d µNTX left in the contract", len(m.lots), m.ntxAt(m.Address))
	}
	return before
}

// paid compares gains. In the contract before: three lots, of which every provider gets its bond back unless it lost.
func (m *market) paid(got map[string]int64, want map[string]int64) {
	m.t.Helper()
	for name, q := range got {
		if q != want[name] {
			m.t.Errorf("%s gained %d, want %d", name, q, want[name])
		}
	}
}

func (m *market) ends(e []Event, k Kind, provider, requester, payee, sink uint64) {
	m.t.Helper()
	if len(e) != 1 || e[0].Kind != k || e[0].ToProviderUNTX != provider || e[0].ToRequesterUNTX != requester || e[0].ToPayeeUNTX != payee || e[0].ToSinkUNTX != sink {
		m.t.Fatalf("%s: %+v", k, e)
	}
}

// TestVerdictLapseVoucher takes the lots of a contested job to three ends.
func TestVerdictLapseVoucher(t *testing.T) {
	m, lots := newContest(t)
	m.paid(m.gains(func() {
		l := m.disputed(lots[0], m.providers[0])
		from := m.Slot()
		v := m.decided(l, award, slash, "attester2", "attester1")
		m.ends(m.do(must(m.Verdict(l, m.terms, v, frame(from)))(t), m.stranger, from), KindVerdict, award+bond-disputeCost-slash, price-award+disputeBond, disputeCost, slash)

		l = m.disputed(lots[1], m.providers[1])
		from = m.Slot()
		voucher := m.SignVoucher(signer("voucher"), m.job, m.providers[2].Hash, 400)
		m.ends(m.do(must(m.Redeem([]Earned{{lots[2], m.terms, voucher}}, frame(from)))(t), m.providers[2], from), KindRedeem, 400+bond, price-400, 0, 0)

		end, err := m.Clock().TimeToSlot(l.Deadline)
		if err != nil {
			t.Fatal(err)
		}
		m.ends(m.do(must(m.Lapse(l, m.terms, frame(end)))(t), m.stranger, end), KindLapse, price/2+bond+disputeCost, price/2+disputeBond-disputeCost, 0, 0)
	}), map[string]int64{
		"requester": price - award + price/2 - disputeCost + price - 400, "payee": disputeCost, "sink": slash,
		"0": award + bond - disputeCost - slash, "1": price/2 + bond + disputeCost, "2": bond + 400,
	})
}

// TestConcedeClose: the requester gives up, or both agree.
func TestConcedeClose(t *testing.T) {
	m, lots := newContest(t)
	m.paid(m.gains(func() {
		l := m.disputed(lots[0], m.providers[0])
		from := m.Slot()
		m.ends(m.do(must(m.Concede(l, m.terms, frame(from)))(t), m.requester, from), KindConcede, price+bond, disputeBond-disputeCost, disputeCost, 0)

		l = m.disputed(lots[1], m.providers[1])
		from = m.Slot()
		m.ends(m.do(must(m.Close(l, m.terms, bond, frame(from)))(t), m.requester, from), KindClose, bond, price+disputeBond, 0, 0)

		from = m.Slot()
		m.ends(m.do(must(m.Close(lots[2], m.terms, 17, frame(from)))(t), m.requester, from), KindClose, 17, price+bond-17, 0, 0)
	}), map[string]int64{
		"requester": -disputeCost + price + price + bond - 17, "payee": disputeCost, "0": price + bond, "1": bond, "2": 17,
	})
}

// TestNothingLeft: no end of a dispute is blocked by a side that gets nothing.
func TestNothingLeft(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	d := &w.contested.Disputes
	d.CostUNTX = bond - price/10 // with the largest slash, the whole bond
	d.BondUNTX, d.ShareBps = d.CostUNTX, wholeBps
	l := w.disputedLot(t)
	for name, c := range map[string]struct {
		draft chain.Draft
		empty int // the output that holds no NTX
	}{
		"the provider lost all":             {must(w.Verdict(l, w.contested, w.decided(l, 0, price/10, attesterNames...), w.frame(w.moments.verdict)))(t), 1},
		"the requester lost all":            {must(w.Verdict(l, w.contested, w.decided(l, price, 0, attesterNames...), w.frame(w.moments.verdict)))(t), 0},
		"the requester conceded all":        {must(w.Concede(l, w.contested, w.frame(w.moments.verdict)))(t), 0},
		"the provider has the whole share":  {must(w.Lapse(l, w.contested, w.frame(w.moments.lapse)))(t), 0},
		"both agree on all to the provider": {must(w.Close(l, w.contested, price+bond+d.BondUNTX, w.frame(w.moments.work)))(t), 0},
	} {
		if got := c.draft.Outputs[c.empty].Value; len(got.Assets) != 0 {
			t.Errorf("%s: output %d holds %v", name, c.empty, got)
		}
		if _, err := w.submit(c.draft, w.stranger); err != nil {
			t.Errorf("%s: %v", name, w.Explain(err))
		}
	}
}
