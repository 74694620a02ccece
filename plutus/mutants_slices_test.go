//go:build fuzzcontracts

package plutus

import (
	"errors"
	"maps"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// ofSlices says whether the transaction has anything of slices: a token minted, burned or moved, or an output at their
// address that is spent.
func (d *deal) ofSlices() bool {
	for id := range d.body.Mint {
		if id.Policy == d.Slices.Policy {
			return true
		}
	}
	return slices.ContainsFunc(d.body.Outputs, func(u chain.UTxO) bool { return d.hasSliceToken(u.Value) }) ||
		slices.ContainsFunc(d.body.Inputs, func(ref chain.OutRef) bool { return d.resolved[ref].Address == d.Slices.Address })
}

func (w *world) hasSliceToken(v chain.Value) bool {
	for id := range v.Assets {
		if id.Policy == w.Slices.Policy {
			return true
		}
	}
	return false
}

// judgeSlices says whether a transaction of slices that the contracts accept does harm.
func (d *deal) judgeSlices() error {
	b := d.body
	var before, after []Slice
	elsewhere := 0
	for _, ref := range b.Inputs {
		u := d.resolved[ref]
		if _, script := u.Address.Script(); !script {
			continue
		}
		s, ok := d.readSlice(u, nil)
		switch {
		case ok:
			before = append(before, s)
		case d.namesAnother(u):
			elsewhere++
		default:
			return harm("a script's output is spent that is no slice")
		}
	}
	if elsewhere == 1 && len(before) == 0 {
		return nil // whoever agreed to it bears it
	}
	if elsewhere > 0 {
		return harm("%d slices beside %d that name another policy", len(before), elsewhere)
	}
	for id := range b.Mint {
		if id.Policy != d.Policy && id.Policy != d.Slices.Policy {
			return harm("another policy mints")
		}
	}
	said, err := DecodeMove(d.move, d.Network)
	for _, u := range b.Outputs {
		if !d.hasSliceToken(u.Value) {
			continue
		}
		s, ok := d.readSlice(u, &said)
		switch {
		case ok:
			after = append(after, s)
		case len(before) == 0 && d.namesAnother(u):
			elsewhere++ // no provider witnesses it
		default:
			return harm("a slice's token in what is no slice")
		}
	}
	if len(before) == 0 && elsewhere > 0 {
		return nil
	}
	if len(before) == 0 {
		return d.starts(after, said, err)
	}
	var lots []Lot
	for _, u := range b.Outputs {
		if !d.hasToken(u.Value) {
			continue
		}
		l, err := d.ReadLot(u, d.terms[before[0].Job])
		if err != nil || l.Job != before[0].Job {
			return harm("a lot's token in what is no lot of the job: %v", err)
		}
		lots = append(lots, l)
	}
	if len(lots) > 0 || len(after) > 0 {
		if len(before) != 1 || len(after) > 1 {
			return harm("%d slices become %d", len(before), len(after))
		}
		return d.parts(before[0], after, lots)
	}
	paid, dissolved := d.endsSlices(before, false), d.endsSlices(before, true)
	if paid == nil || dissolved == nil {
		return nil
	}
	return errors.Join(paid, dissolved)
}

// namesAnother says whether an output is a slice that names another lots' policy than ours, as anybody can start one.
func (d *deal) namesAnother(u chain.UTxO) bool {
	f, ok := fieldsOf(u.Datum, 0)
	if !ok || len(f) != 2 || !d.hasSliceToken(u.Value) {
		return false
	}
	policy, ok := readBytes(f[1], len(chain.ScriptHash{}))
	return ok && chain.ScriptHash(policy) != d.Policy
}

// readSlice reads a slice of one of the known jobs, or of what a start says, with any shares of the providers', or those
// that a start says.
func (d *deal) readSlice(u chain.UTxO, said *Move) (Slice, bool) {
	jobs := maps.Clone(d.terms)
	var lists [][]Share
	for _, of := range [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}} {
		lists = append(lists, d.shares(of...))
	}
	if said != nil && said.Kind == KindStart {
		if id, err := said.Terms.JobID(); err == nil {
			jobs[id] = said.Terms
		}
		for _, l := range said.Lists {
			if shares, err := ReadShares(l, d.Network, said.Terms.BondBps); err == nil {
				lists = append(lists, shares)
			}
		}
	}
	for id, t := range jobs {
		for _, shares := range lists {
			token := d.Slices.Token(id, len(shares))
			if u.Value.Of(token) != 1 {
				continue
			}
			for i, x := range shares { // a fixture's shares are of the ordinary rate
				shares[i].PriceUNTX = PriceOf(x.PriceUNTX+x.BondUNTX, t.BondBps)
				shares[i].BondUNTX = x.PriceUNTX + x.BondUNTX - shares[i].PriceUNTX
			}
			if s, err := d.ReadSlice(u, t, shares); err == nil {
				return s, true
			}
		}
	}
	return Slice{}, false
}

// starts: everything agreed is within the network's limits, and there is one share for each provider.
func (d *deal) starts(made []Slice, m Move, err error) error {
	if err != nil || m.Kind != KindStart || len(made) == 0 {
		return harm("slices out of nothing: %v", err)
	}
	if err := d.agreeable(m.Terms); err != nil {
		return err
	}
	seen := map[chain.KeyHash]bool{}
	for _, s := range made {
		if s.Job != jobID(m.Terms.pack()) || s.Lovelace < m.Terms.LotLovelace*chain.Lovelace(len(s.Shares)) || len(s.Shares) > MaxShares {
			return harm("a slice of job %s with %d lovelace and %d shares", s.Job, s.Lovelace, len(s.Shares))
		}
		for _, x := range s.Shares {
			k, _ := x.Provider.Key()
			lost := m.Terms.Disputes.CostUNTX + PenaltyOf(x.PriceUNTX, m.Terms.Disputes.SlashBps)
			if seen[k] || x.PriceUNTX == 0 || x.BondUNTX != BondOf(x.PriceUNTX, m.Terms.BondBps) || m.Terms.Disputes != (Disputes{}) && lost > x.BondUNTX {
				return harm("a share of %d and %d, its provider known %v", x.PriceUNTX, x.BondUNTX, seen[k])
			}
			seen[k] = true
		}
	}
	return nil
}

// endsSlices: requesters who have signed pay in full, or it is late enough for a refund.
func (d *deal) endsSlices(of []Slice, refund bool) error {
	g := due{}
	for _, s := range of {
		t := d.terms[s.Job]
		if !refund && !d.has(t.Requester) || refund && d.at(d.body.From) < t.CommitBy {
			return harm("nobody may end this slice now")
		}
		for _, x := range s.Shares {
			p := uint64(0)
			if refund {
				p = x.PriceUNTX + PenaltyOf(x.PriceUNTX, t.PenaltyBps)
				g.add(t.Requester, chain.Value{}.With(ntx, p))
			}
			g.add(x.Provider, chain.Coins(t.LotLovelace).With(ntx, x.PriceUNTX+x.BondUNTX-p))
		}
	}
	return d.pays(g)
}

// parts: each share is in a lot of its own, or in the slice that is left, or paid in full by the requester's will.
func (d *deal) parts(s Slice, after []Slice, lots []Lot) error {
	t := d.terms[s.Job]
	until, from := d.at(d.body.Until), d.at(d.body.From)
	finishes := d.has(t.Requester) && (uint64(until)+d.Params.MarginMS <= uint64(t.CommitBy) || from >= t.CommitBy)
	g, left := due{}, 0
	for _, x := range s.Shares {
		inLot := slices.IndexFunc(lots, func(l Lot) bool { return l.Provider == x.Provider })
		stays := len(after) == 1 && slices.Contains(after[0].Shares, x)
		switch {
		case inLot >= 0 && stays:
			return harm("a share twice")
		case inLot >= 0:
			l := lots[inLot]
			leaves := d.has(l.Provider) && until <= t.CommitBy
			sound := l.State == Open || l.State == Committed && leaves && l.ClaimAt == until+chain.Time(t.ReviewMS)
			if !leaves && !(finishes && len(after) == 0) || !sound || l.PriceUNTX+l.BondUNTX != x.PriceUNTX+x.BondUNTX || l.Lovelace < t.LotLovelace {
				return harm("a lot in state %d of %d and %d with %d lovelace, by its provider %v", l.State, l.PriceUNTX, l.BondUNTX, l.Lovelace, leaves)
			}
		case stays:
			left++
		case !finishes || len(after) > 0:
			return harm("a share is gone")
		default:
			g.add(x.Provider, chain.Coins(t.LotLovelace).With(ntx, x.PriceUNTX+x.BondUNTX))
		}
	}
	if len(after) == 1 && (left != len(after[0].Shares) || after[0].Job != s.Job || after[0].Lovelace+t.LotLovelace*chain.Lovelace(len(lots)) < s.Lovelace) {
		return harm("another slice")
	}
	gone := len(s.Shares) - left
	if len(after) == 1 && gone != len(lots) || len(lots) > len(s.Shares) {
		return harm("%d lots of %d shares", len(lots), gone)
	}
	return d.pays(g)
}

// sliceChanges are changes that only slices have.
func sliceChanges() []change {
	relist := func(m *mutant) {
		resay(1, func(w *world) data.PlutusData { return data.NewByteString(list(m.anyShares())) })(m.world, &m.d)
	}
	return []change{
		{"another list", func(m *mutant) {
			if k := m.sliceMove(); k != KindSettle && k != KindStart && k != "" {
				relist(m)
			}
		}},
		{"other lists", func(m *mutant) {
			if m.sliceMove() == KindStart {
				resay(1, func(w *world) data.PlutusData {
					return data.NewList(data.NewByteString(list(m.anyShares())), data.NewByteString(list(m.anyShares())))
				})(m.world, &m.d)
			}
		}},
		{"other leavers", func(m *mutant) {
			if m.sliceMove() == KindLeave {
				roots := [][]byte{nil, make([]byte, 32), make([]byte, 31)}
				resay(2, leaversData(m.rng.IntN(4), roots[m.rng.IntN(3)], m.rng.IntN(4), roots[m.rng.IntN(3)]))(m.world, &m.d)
			}
		}},
		{"other terms of a slice", func(m *mutant) {
			if m.sliceMove() != "" && m.sliceMove() != KindSettle {
				resay(0, func(*world) data.PlutusData { return data.NewByteString(m.anyTerms().pack()) })(m.world, &m.d)
			}
		}},
		{"another move", func(m *mutant) {
			k := moves()[m.rng.IntN(len(moves()))]
			if m.sliceMove() == "" {
				return
			}
			t, l := data.NewByteString(m.sliced.pack()), data.NewByteString(list(m.anyShares()))
			minted(&m.d, m.Slices.Policy).Redeemer = m.moveData(k, map[Kind][]data.PlutusData{
				KindSettle: {data.NewList(t)}, KindStart: {t, data.NewList(l)}, KindLeave: {t, l, data.NewList()}, KindFinish: {t, l}, KindDissolve: {t, l},
			}[k]...)
		}},
		{"a slice more", func(m *mutant) {
			m.spend(&m.d, m.sliceIn(m.byte(), m.sliced, 0, 1), m.Slices.StubScript)
			if m.rng.IntN(2) == 0 {
				mintsOf(true, sliceToken(2), -1)(m.world, &m.d)
			}
		}},
		{"a native script for the lots' policy", func(m *mutant) {
			if k := m.sliceMove(); k == KindLeave || k == KindFinish {
				nativeLots(m.world, &m.d)
				m.native = true
				if m.rng.IntN(2) == 0 {
					m.spend(&m.d, m.sliceIn(m.byte(), m.sliced, 0, 1), m.Slices.StubScript)
				}
			}
		}},
		{"a slice's token more", func(m *mutant) { mintsOf(true, sliceToken(m.rng.IntN(4)), int64(1-2*m.rng.IntN(2)))(m.world, &m.d) }},
		{"a lot's token of a slice more", func(m *mutant) {
			mintsOf(false, lotToken(State(m.rng.IntN(3))), int64(1-2*m.rng.IntN(2)))(m.world, &m.d)
		}},
		{"a bent move", func(m *mutant) {
			if m.sliceMove() != "" {
				x := minted(&m.d, m.Slices.Policy)
				x.Redeemer = m.bend(x.Redeemer)
			}
		}},
		{"surplus lovelace in a slice", func(m *mutant) {
			if m.sliceMove() != "" && len(m.d.Inputs) > 0 {
				m.d.Inputs[0].Value.Coin += chain.Lovelace(m.rng.IntN(3_000_000))
			}
		}},
		{"a leaver's output and signature less", func(m *mutant) {
			if m.sliceMove() == KindLeave && len(m.d.Signers) > 0 {
				m.d.Signers = m.d.Signers[1:]
			}
		}},
	}
}

// anyShares are shares of some providers.
func (m *mutant) anyShares() []Share {
	of := [][]int{nil, {0}, {1}, {2}, {0, 1}, {1, 0}, {0, 0}, {0, 2}, {1, 2}, {0, 1, 2}}
	return m.shares(of[m.rng.IntN(len(of))]...)
}

// sliceMove is the transition of slices that a draft makes, if any.
func (m *mutant) sliceMove() Kind {
	x, err := DecodeMove(minted(&m.d, m.Slices.Policy).Redeemer, m.Network)
	if err != nil {
		return ""
	}
	return x.Kind
}
