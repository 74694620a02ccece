//go:build fuzzcontracts

package plutus

import (
	"maps"
	"math/big"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// change is one thing done to a draft.
type change struct {
	name string
	do   func(*mutant)
}

func changes() []change {
	return []change{
		{"NTX of an output", func(m *mutant) {
			m.output(func(o *chain.Output) { o.Value = withNTX(o.Value, m.amount(o.Value.Of(ntx))) })
		}},
		{"lovelace of an output", func(m *mutant) {
			m.output(func(o *chain.Output) { o.Value.Coin += chain.Lovelace(m.amount(uint64(o.Value.Coin))) })
		}},
		{"NTX from an output to another", func(m *mutant) {
			if i, j := m.index(len(m.d.Outputs)), m.index(len(m.d.Outputs)); i >= 0 && i != j {
				m.moveNTX(&m.d, i, j, m.amount(m.d.Outputs[i].Value.Of(ntx)))
			}
		}},
		{"another address", func(m *mutant) { m.output(func(o *chain.Output) { o.Address = m.anywhere() }) }},
		{"a foreign asset in an output", func(m *mutant) {
			m.output(func(o *chain.Output) {
				x := chain.AssetID{Policy: chain.HashScript(chaintest.Accepts(dustScript)), Name: "dust"}
				o.Value = o.Value.With(x, 1)
				u := m.stranger.Coin(60, chain.Coins(3_000_000).With(x, 1))
				m.d.Inputs = append(m.d.Inputs, chain.Input{UTxO: u})
			})
		}},
		{"an output's token is another", func(m *mutant) {
			m.output(func(o *chain.Output) {
				o.Value = chain.Coins(o.Value.Coin).With(ntx, o.Value.Of(ntx)).With(m.token(), 1)
			})
		}},
		{"no datum", func(m *mutant) { m.output(func(o *chain.Output) { o.Datum = nil }) }},
		{"another datum", func(m *mutant) { m.output(func(o *chain.Output) { o.Datum = m.lotOfAny().Datum }) }},
		{"a bent datum", func(m *mutant) { m.output(func(o *chain.Output) { o.Datum = m.bend(o.Datum) }) }},
		{"a reference script", func(m *mutant) { m.output(func(o *chain.Output) { o.Script = chaintest.Accepts(1) }) }},
		{"an output less", func(m *mutant) {
			if i := m.index(len(m.d.Outputs)); i >= 0 {
				m.d.Outputs = slices.Delete(slices.Clone(m.d.Outputs), i, i+1)
			}
		}},
		{"an output twice", func(m *mutant) {
			if i := m.index(len(m.d.Outputs)); i >= 0 {
				m.d.Outputs = append(slices.Clone(m.d.Outputs), m.d.Outputs[i])
			}
		}},
		{"an output more", func(m *mutant) {
			o := m.payout(m.anywhere(), 2_000_000, uint64(m.rng.IntN(2)*price))
			m.d.Outputs = slices.Insert(slices.Clone(m.d.Outputs), m.rng.IntN(len(m.d.Outputs)+1), o)
		}},
		{"order of outputs", func(m *mutant) {
			m.rng.Shuffle(len(m.d.Outputs), func(i, j int) { m.d.Outputs[i], m.d.Outputs[j] = m.d.Outputs[j], m.d.Outputs[i] })
		}},
		{"an input less", func(m *mutant) {
			if i := m.index(len(m.d.Inputs)); i >= 0 {
				m.d.Inputs = slices.Delete(slices.Clone(m.d.Inputs), i, i+1)
				m.sometimesBalance()
			}
		}},
		{"a lot and its payout less", func(m *mutant) {
			if n := min(len(m.d.Inputs), len(m.d.Outputs)); n > 1 {
				m.d.Inputs, m.d.Outputs = slices.Clone(m.d.Inputs)[:len(m.d.Inputs)-1], slices.Clone(m.d.Outputs)[:len(m.d.Outputs)-1]
				m.balance()
			}
		}},
		{"a stake more", func(m *mutant) { m.spendStake(&m.d, m.anyStake(), uint(m.rng.IntN(4))) }},
		{"another stake in the place of one", func(m *mutant) {
			for i, in := range m.d.Inputs {
				if in.Address == m.StakeAddress && m.rng.IntN(2) == 0 {
					ref := in.Ref
					m.d.Inputs[i].UTxO = m.anyStake().UTxO
					m.d.Inputs[i].Ref = ref
				}
			}
		}},
		{"another stake among the outputs", func(m *mutant) {
			m.output(func(o *chain.Output) {
				v := o.Value
				if *o = m.anyStake().UTxO.Output; m.rng.IntN(4) > 0 {
					o.Value = v
				}
			})
		}},
		{"a stake is asked something else", func(m *mutant) {
			for i, in := range m.d.Inputs {
				if in.Address == m.StakeAddress && m.rng.IntN(2) == 0 {
					m.d.Inputs[i].Redeemer = raw(data.NewConstr(uint(m.rng.IntN(4))))
				}
			}
		}},
		{"another lot in the place of one", func(m *mutant) {
			for i, in := range m.d.Inputs {
				if in.Redeemer != nil && m.rng.IntN(2) == 0 {
					ref := in.Ref
					m.d.Inputs[i].UTxO = m.lotOfAny()
					m.d.Inputs[i].Ref = ref
				}
			}
			m.sometimesBalance()
		}},
		{"a lot more", func(m *mutant) {
			u := m.lotOfAny()
			m.spend(&m.d, u, m.StubScript)
			m.sometimesBalance()
		}},
		{"a lot more, and its payout", func(m *mutant) {
			u := m.lotOfAny()
			m.spend(&m.d, u, m.StubScript)
			to := m.anywhere()
			if l, err := m.ReadLot(u, m.known[m.JobOf(u)]); err == nil && m.rng.IntN(2) == 0 {
				to = l.Provider
			}
			m.d.Outputs = append(slices.Clone(m.d.Outputs), m.payout(to, u.Value.Coin, u.Value.Of(ntx)))
			m.balance()
		}},
		{"a look-alike more", func(m *mutant) {
			m.spend(&m.d, m.fake(m.byte(), m.rng.IntN(3), State(m.rng.IntN(2)), m.rng.IntN(2) == 0), m.StubScript)
		}},
		{"another script's output", func(m *mutant) {
			u, s := otherScript(m.byte())
			m.spend(&m.d, u, s)
		}},
		{"the order of lots", func(m *mutant) {
			for i := range m.d.Inputs {
				if m.d.Inputs[i].Redeemer != nil {
					m.d.Inputs[i].Ref.Tx[0] = m.byte()
				}
			}
		}},
		{"surplus lovelace in a lot", func(m *mutant) {
			if i := m.index(len(m.d.Inputs)); i >= 0 {
				m.d.Inputs[i].Value.Coin += chain.Lovelace(m.rng.IntN(3_000_000))
			}
		}},
		{"a lot's datum in another encoding", func(m *mutant) {
			if i := m.index(len(m.d.Inputs)); i >= 0 && m.d.Inputs[i].Datum != nil {
				m.d.Inputs[i].Datum = definite(m.d.Inputs[i].Datum)
			}
		}},
		{"a mint more", func(m *mutant) {
			if len(m.d.Mint) > 0 {
				m.d.Mint[0].Assets[m.token().Name] += int64(1 - 2*m.rng.IntN(2))
			}
		}},
		{"a burn less", func(m *mutant) {
			if len(m.d.Mint) > 0 && len(m.d.Mint[0].Assets) > 0 {
				delete(m.d.Mint[0].Assets, slices.Min(slices.Collect(maps.Keys(m.d.Mint[0].Assets))))
			}
		}},
		{"another policy", func(m *mutant) {
			s := chaintest.Accepts(m.rng.IntN(50))
			m.d.Mint = append(m.d.Mint, chain.Mint{Policy: chain.HashScript(s), Assets: map[string]int64{"x": 1}, Redeemer: raw(integer(0))})
			m.d.Scripts = append(m.d.Scripts, s)
		}},
		{"nothing minted", func(m *mutant) { m.d.Mint = nil }},
		{"another transition", func(m *mutant) {
			k := kinds()[m.rng.IntN(len(kinds()))]
			t := m.anyTerms()
			m.act(Action{
				Kind: k, Terms: t, Root: [32]byte{byte(m.rng.IntN(2) * 9)}, AwardUNTX: uint64(m.rng.IntN(3)) * price / 2,
				Signatures: make([]Signature, 3), Earned: []Earning{{Terms: t}},
			})
		}},
		{"another verdict, signed by some", func(m *mutant) {
			for _, in := range m.d.Inputs {
				l, err := m.ReadLot(in.UTxO, m.contested)
				if err != nil || l.State != Disputed {
					continue
				}
				a := Action{Kind: KindVerdict, Terms: m.contested, AwardUNTX: uint64(m.rng.IntN(3)) * price / 2, SlashUNTX: uint64(m.rng.IntN(3)) * slash / 2}
				a.TakenUNTX = []uint64{0, 1, secondStake, firstStake, taken, taken - 1, firstStake + secondStake}[m.rng.IntN(7)]
				for i := range m.contested.Disputes.Attesters.List() {
					s := Signature{}
					if m.rng.IntN(3) > 0 {
						s = m.attestAs(i, l, a)
					}
					a.Signatures = append(a.Signatures, s)
				}
				m.act(a)
			}
		}},
		{"other vouchers", func(m *mutant) {
			a := Action{Kind: KindRedeem}
			for _, in := range m.d.Inputs {
				if id := m.JobOf(in.UTxO); id != (JobID{}) {
					v := m.voucher(id, uint64(m.rng.IntN(4))*price/3)
					a.Earned = append(a.Earned, Earning{m.known[id], v.CumulativeUNTX, v.Signature})
				}
			}
			if len(a.Earned) > 0 {
				m.act(a)
			}
		}},
		{"a bent redeemer", func(m *mutant) {
			if len(m.d.Mint) > 0 {
				m.d.Mint[0].Redeemer = m.bend(m.d.Mint[0].Redeemer)
			}
		}},
		{"an opening with other terms", func(m *mutant) {
			if len(m.d.Outputs) > 2 && len(m.d.Mint) > 0 {
				m.reterm(&m.d, m.bentTerms())
			}
		}},
		{"other terms, bent", func(m *mutant) {
			if len(m.d.Mint) > 0 {
				m.d.Mint[0].Redeemer = raw(data.NewConstr(uint(m.rng.IntN(len(kinds()))), data.NewByteString(m.bentTerms())))
			}
		}},
		{"another range", func(m *mutant) {
			at := []chain.Slot{1, 1000, 1900, 3999, 4000, 4001, 5000, 5900, 8999, 9000, 9001, 9499, 9500, 9501, 12000, 12499, 12500}
			m.d.From = at[m.rng.IntN(len(at))]
			m.d.Until = m.d.From + 1 + chain.Slot(m.rng.IntN(2500))
		}},
		{"an end at a deadline", func(m *mutant) {
			m.ends(&m.d, []chain.Slot{m.declineBy, m.commitBy, m.moments.claim, m.moments.lapse}[m.rng.IntN(4)]+chain.Slot(m.rng.IntN(3))-1)
		}},
		{"a beginning at a deadline", func(m *mutant) {
			m.d.From = []chain.Slot{m.declineBy, m.commitBy, m.moments.claim, m.moments.lapse}[m.rng.IntN(4)] + chain.Slot(m.rng.IntN(3)) - 1
			m.d.Until = m.d.From + 900
		}},
		{"nobody signs", func(m *mutant) { m.d.Signers = nil }},
		{"another signs", func(m *mutant) { m.d.Signers = []chain.KeyHash{m.somebody().Hash} }},
		{"one more signs", func(m *mutant) { m.d.Signers = append(slices.Clone(m.d.Signers), m.somebody().Hash) }},
		{"a certificate", func(m *mutant) { m.set(4, []any{[]any{0, []any{0, m.stranger.Hash[:]}}}) }},
		{"a withdrawal", func(m *mutant) {
			var account [29]byte
			account[0] = 0xe0
			copy(account[1:], m.stranger.Hash[:])
			m.set(5, map[[29]byte]uint64{account: 0})
		}},
		{"a coin of another's", func(m *mutant) {
			a := m.somebody()
			m.d.Inputs = append(m.d.Inputs, chain.Input{UTxO: a.Coin(uint32(70+m.rng.IntN(3)), chain.Coins(3_000_000).With(ntx, 10_000_000))})
		}},
	}
}

func (m *mutant) set(field uint64, v any) {
	if m.fields == nil {
		m.fields = map[uint64]any{}
	}
	m.fields[field] = v
}

func (m *mutant) byte() byte { return byte(m.rng.IntN(256)) }

// index is one of n, or -1 if there is none.
func (m *mutant) index(n int) int {
	if n == 0 {
		return -1
	}
	return m.rng.IntN(n)
}

func (m *mutant) output(f func(*chain.Output)) {
	if i := m.index(len(m.d.Outputs)); i >= 0 {
		m.d.Outputs = slices.Clone(m.d.Outputs)
		f(&m.d.Outputs[i])
	}
}

// amount is by how much a quantity changes, never below zero: a little, or about what moves between the parties.
func (m *mutant) amount(have uint64) int64 {
	by := []int64{-1, 1, -5, 6, price, -price, bond, -bond, int64(m.rng.IntN(1_000_000)), -int64(m.rng.IntN(1_000_000)), -int64(have)}
	return max(by[m.rng.IntN(len(by))], -int64(have))
}

func (m *mutant) somebody() chaintest.Actor { return m.everyone()[m.rng.IntN(len(m.everyone()))] }

// anywhere is an address of a party's, ours, or nearly.
func (m *mutant) anywhere() chain.Address {
	a := []chain.Address{m.Address, m.staked(), m.StakeAddress, withStakePart(m.Stake, m.stranger.Hash), chain.ScriptAddress(m.Network, chain.ScriptHash{9}), chain.Base(m.Network, m.somebody().Hash, m.stranger.Hash)}
	a = append(a, m.addresses...)
	for _, x := range m.everyone() {
		a = append(a, x.Address)
	}
	return a[m.rng.IntN(len(a))]
}

func (m *mutant) token() chain.AssetID {
	id, err := m.anyTerms().JobID()
	if err != nil {
		m.tb.Fatal(err)
	}
	return m.Token(id, State(m.rng.IntN(3)))
}

func (m *mutant) anyTerms() Terms {
	switch m.rng.IntN(4) {
	case 0:
		return m.terms
	case 1:
		return m.contested
	}
	return m.jobs[m.rng.IntN(len(m.jobs))]
}

// anyStake is a stake that can be on a chain: of anybody, bonded or not, long enough ago or not.
func (m *mutant) anyStake() Stake {
	since := []chain.Time{0, 0, m.matured(), m.matured() + 1, m.at(m.d.Until), m.at(m.d.Until) - 1}[m.rng.IntN(6)]
	return m.stake(m.byte(), m.rng.IntN(2), []uint64{firstStake, secondStake, taken, firstStake + secondStake - taken, 1}[m.rng.IntN(5)], since)
}

// attestAs signs a verdict with the key of the attester that stands at i in the terms.
func (m *mutant) attestAs(i int, l Lot, a Action) Signature {
	for _, n := range attesterNames {
		if k := signer(n); KeyOf(k) == m.contested.Disputes.Attesters.List()[i] {
			return m.Attest(k, l, a.AwardUNTX, a.SlashUNTX, a.TakenUNTX).Signature
		}
	}
	return Signature{}
}

// lotOfAny is a lot that can be on a chain: of any of these jobs, of any provider, in any state.
func (m *mutant) lotOfAny() chain.UTxO {
	t := m.anyTerms()
	states := 2
	if t.Disputes != (Disputes{}) {
		states = 3
	}
	l := m.lotOf(m.tb, m.byte(), m.rng.IntN(3), State(m.rng.IntN(states)), t)
	return l.UTxO
}

// act asks for a transition, in whatever form the kinds' redeemers have.
func (m *mutant) act(a Action) {
	if len(m.d.Mint) == 0 {
		return
	}
	b, err := a.Encode()
	if err != nil {
		m.tb.Fatal(err)
	}
	m.d.Mint[0].Redeemer = b
}

func (m *mutant) balance() {
	if len(m.d.Mint) > 0 {
		m.balanceTokens(&m.d)
	}
}

func (m *mutant) sometimesBalance() {
	if m.rng.IntN(4) > 0 {
		m.balance()
	}
}

// bentTerms are packed terms with one field at a limit, beyond it, or with a byte of noise.
func (m *mutant) bentTerms() []byte {
	t := m.terms
	if m.rng.IntN(2) == 0 {
		t = m.contested
	}
	ms := func(v uint64) uint64 { return v + uint64(m.rng.IntN(3)) - 1 }
	until := uint64(m.at(m.d.Until))
	switch m.rng.IntN(11) {
	case 0:
		t.DeclineBy = chain.Time(ms(until))
	case 1:
		t.CommitBy = chain.Time(ms(uint64(t.DeclineBy)))
	case 2:
		t.CommitBy = chain.Time(ms(until + m.Params.MaxHorizonMS))
	case 3:
		t.ReviewMS = ms([]uint64{m.Params.MinReviewMS, m.Params.MaxReviewMS}[m.rng.IntN(2)])
	case 4:
		t.PenaltyBps = uint16(ms(uint64(t.BondBps) + 1))
	case 5:
		t.BondBps = uint16(ms(wholeBps))
	case 6:
		t.LotLovelace = chain.Lovelace(ms(uint64(m.Params.MinLotLovelace)))
	case 7:
		t.Disputes.VerdictMS = ms([]uint64{m.Params.MinVerdictMS, m.Params.MaxVerdictMS}[m.rng.IntN(2)])
	case 8:
		t.Disputes.CostUNTX = ms(bond - price/10)
		t.Disputes.BondUNTX = t.Disputes.CostUNTX
	case 9:
		t.Disputes.Threshold = uint8(m.rng.IntN(5))
	default:
		b := t.pack()
		b[m.rng.IntN(len(b))] = m.byte()
		return b
	}
	return t.pack()
}

// bend changes one thing in Plutus Data.
func (m *mutant) bend(b []byte) []byte {
	d, err := chain.DecodeData(b)
	if err != nil {
		return raw(integer(7))
	}
	return raw(m.bendData(d))
}

func (m *mutant) bendData(d data.PlutusData) data.PlutusData {
	switch x := d.(type) {
	case *data.Constr:
		switch i := m.index(len(x.Fields)); {
		case i < 0 || m.rng.IntN(6) == 0:
			return data.NewConstr(uint(m.rng.IntN(8)), x.Fields...)
		case m.rng.IntN(8) == 0:
			return data.NewConstr(x.Tag, slices.Delete(slices.Clone(x.Fields), i, i+1)...)
		case m.rng.IntN(8) == 0:
			return data.NewConstr(x.Tag, append(slices.Clone(x.Fields), integer(1))...)
		default:
			f := slices.Clone(x.Fields)
			f[i] = m.bendData(f[i])
			return data.NewConstr(x.Tag, f...)
		}
	case *data.Integer:
		by := []int64{-1, 1, -3_600_000, 1 << 40}
		return data.NewInteger(new(big.Int).Add(x.Inner, big.NewInt(by[m.rng.IntN(len(by))])))
	case *data.ByteString:
		b := slices.Clone(x.Inner)
		switch i := m.index(len(b)); {
		case i < 0 || m.rng.IntN(4) == 0:
			b = append(b, 0)
		case m.rng.IntN(3) == 0:
			b = b[:len(b)-1]
		default:
			b[i] ^= m.byte()
		}
		return data.NewByteString(b)
	}
	return integer(7)
}
