package plutus

import (
	"github.com/tallycompute/tally/chain"
)

// CheckStart is CheckOpening for a job in slices: instead of a lot, exactly one share in one of the slices is mine. The
// list that says so is in the redeemer, and the slice's output is compared with it.
func (c *Contracts) CheckStart(tx *chain.Tx, resolved []chain.UTxO, m Mine, p chain.Params, clk chain.Clock) error {
	o, err := c.opening(tx, resolved, m)
	if err != nil {
		return err
	}
	if err := inTurn(o.nothingElse, o.inputs, o.collateral, o.slicesAlone, o.attesters); err != nil {
		return err
	}
	return o.runs(tx, resolved, p, clk, func(said []byte) error {
		move, err := DecodeMove(said, o.Network)
		switch {
		case err != nil:
			return unsafe("redeemers", "%v", err)
		case move.Kind != KindStart || move.Terms != o.Terms:
			return unsafe("terms", "the redeemer is of %s, with other terms than agreed", move.Kind)
		}
		if err := o.share(move.Lists); err != nil {
			return err
		}
		return o.balance()
	})
}

// Starts says whether a transaction mints slices: it is then for CheckStart, as any other opening is for CheckOpening.
func (c *Contracts) Starts(b chain.TxBody) bool {
	for token := range b.Mint {
		if token.Policy == c.Slices.Policy {
			return true
		}
	}
	return false
}

// slicesAlone: the slices' policy alone mints, slices of the job whose terms I agreed to.
func (o *opening) slicesAlone() error {
	id, err := o.Terms.JobID()
	if err != nil {
		return unsafe("terms", "%v", err)
	}
	for token, n := range o.Mint {
		if token.Policy != o.Slices.Policy || len(token.Name) != len(id)+1 || token.Name[:len(id)] != string(id[:]) || n < 1 {
			return unsafe("terms", "the start does not mint slices of job %s, and only them", id)
		}
	}
	return nil
}

// share: exactly one is mine, of the agreed price and bond, in a slice that becomes lots of our policy.
func (o *opening) share(lists [][]byte) error {
	want := Share{Provider: o.Part.Provider, PriceUNTX: o.Part.PriceUNTX, BondUNTX: BondOf(o.Part.PriceUNTX, o.Terms.BondBps)}
	var found []Share
	for i, l := range lists {
		shares, err := ReadShares(l, o.Network, o.Terms.BondBps)
		if err != nil || i >= len(o.Outputs) {
			return unsafe("slice", "list %d: %v", i, err)
		}
		if _, err := o.ReadSlice(o.Outputs[i], o.Terms, shares); err != nil {
			return unsafe("slice", "%v", err)
		}
		for _, x := range shares {
			if o.pays(x.Provider) {
				found = append(found, x)
			}
		}
	}
	if len(found) != 1 || found[0] != want {
		return unsafe("share", "mine are %+v instead of %+v", found, want)
	}
	o.own = Lot{Lovelace: o.Terms.LotLovelace, BondUNTX: want.BondUNTX}
	return nil
}
