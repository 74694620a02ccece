//go:build fuzzcontracts

package plutus

import (
	"bytes"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// staked are the stakes among the inputs, whatever policy they name and whatever else they hold.
func (d *deal) staked() (all []Stake, err error) {
	for _, ref := range d.body.Inputs {
		u := d.resolved[ref]
		if h, script := u.Address.Script(); !script || chain.ScriptHash(h) != d.Stake {
			continue
		}
		x, err := chain.DecodeData(u.Datum)
		if err != nil {
			return nil, harm("a stake is spent that says nothing")
		}
		f, ok := fields(x, 0, 3)
		if !ok {
			return nil, harm("a stake is spent that says something else")
		}
		policy, ok := f[2].(*data.ByteString)
		s := Stake{UTxO: u, UNTX: u.Value.Of(ntx)}
		if !ok || len(policy.Inner) != len(d.Policy) || s.readDatum(u.Datum, chain.ScriptHash(policy.Inner)) != nil {
			return nil, harm("a stake is spent that says something else")
		}
		all = append(all, s)
	}
	return all, nil
}

// owned: without a verdict, only the owner moves a stake: out, once its delay is over; into unbonding, if it is bonded.
func (d *deal) owned(staked []Stake) error {
	used := map[int]bool{}
	for _, s := range staked {
		switch {
		case !d.has(chain.Enterprise(d.Network, s.Owner)):
			return harm("its owner has not signed for a stake")
		case s.Since != 0 && s.Since+chain.Time(d.Params.UnbondMS) <= d.at(d.body.From) && d.body.From > 0:
			continue
		case s.Since != 0:
			return harm("a stake is withdrawn that is unbonding since %d", s.Since)
		}
		s.Since = d.at(d.body.Until)
		if !d.goesOn(s, s.UTxO.Datum, used) {
			return harm("a bonded stake is not there any more")
		}
	}
	return nil
}

// goesOn says whether an output that was not used yet is a stake of the same contents: its lovelace may be more.
func (d *deal) goesOn(s Stake, was []byte, used map[int]bool) bool {
	x, err := chain.DecodeData(was)
	if err != nil {
		return false
	}
	f, _ := fields(x, 0, 3)
	policy, _ := f[2].(*data.ByteString)
	said, err := s.datum(chain.ScriptHash(policy.Inner))
	if err != nil {
		return false
	}
	for i, u := range d.body.Outputs {
		rest, err := u.Value.Sub(s.UTxO.Value)
		if used[i] || u.Address != s.UTxO.Address || u.Script != nil || err != nil || len(rest.Assets) > 0 {
			continue
		}
		if again, err := chain.DecodeData(u.Datum); err == nil && bytes.Equal(raw(plainly(again)), said) {
			used[i] = true
			return true
		}
	}
	return false
}

// plainly is data without the encoding that it was read in.
func plainly(d data.PlutusData) data.PlutusData {
	switch x := d.(type) {
	case *data.Constr:
		var f []data.PlutusData
		for _, y := range x.Fields {
			f = append(f, plainly(y))
		}
		return data.NewConstr(x.Tag, f...)
	case *data.ByteString:
		return data.NewByteString(x.Inner)
	}
	return d
}

// taken says whether a verdict may take of these stakes what it does, and adds what that pays. What is left is of one of
// them, and as that one was.
func (d *deal) taken(l Lot, t Terms, a Action, staked []Stake, g due) bool {
	owner, _ := l.Provider.Key()
	var sum uint64
	var coin chain.Lovelace
	for _, s := range staked {
		if _, err := d.ReadStake(s.UTxO); err != nil || s.Owner != owner {
			return false
		}
		sum, coin = sum+s.UNTX, coin+s.UTxO.Value.Coin
	}
	if a.TakenUNTX > sum || a.TakenUNTX > t.Disputes.AtRiskUNTX || a.TakenUNTX > 0 && a.AwardUNTX == l.PriceUNTX {
		return false
	}
	g.add(chain.ScriptAddress(d.Network, d.Params.Sink), chain.Value{}.With(ntx, a.TakenUNTX))
	left := sum - a.TakenUNTX
	if left == 0 {
		g.add(l.Provider, chain.Coins(coin))
		return true
	}
	for _, s := range staked {
		was := s.UTxO.Datum
		whole := s.UNTX
		s.UTxO.Value = chain.Coins(coin).With(ntx, left)
		if left < whole && d.goesOn(s, was, map[int]bool{}) {
			return true
		}
	}
	return false
}
