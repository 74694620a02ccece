package plutus

import (
	"bytes"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Deploy publishes the scripts of lots and stakes as reference scripts at the lots' own address. Without a lot token
// nobody can ever spend them: their lovelace is the price of smaller transactions for everyone.
func (c *Contracts) Deploy(f Frame) chain.Draft {
	return chain.Draft{
		From: f.From, Until: f.Until,
		Outputs: []chain.Output{
			{Address: c.Address, Script: c.PolicyScript}, {Address: c.Address, Script: c.StubScript}, {Address: c.Address, Script: c.StakeScript},
		},
	}
}

// DeploySlices publishes the scripts of slices in the same place.
func (c *Contracts) DeploySlices(f Frame) chain.Draft {
	return chain.Draft{
		From: f.From, Until: f.Until,
		Outputs: []chain.Output{{Address: c.Address, Script: c.Slices.PolicyScript}, {Address: c.Address, Script: c.Slices.StubScript}},
	}
}

// Missing is how many of the scripts that a draft publishes are not published in these outputs.
func (c *Contracts) Missing(d chain.Draft, utxos []chain.UTxO) (n int) {
	published := c.FindReferences(utxos)
	for _, o := range d.Outputs {
		if !slices.ContainsFunc(published, func(u chain.UTxO) bool { return bytes.Equal(u.Script, o.Script) }) {
			n++
		}
	}
	return n
}

// Whole says whether all scripts are published in these outputs, those of slices too.
func (c *Contracts) Whole(utxos []chain.UTxO) bool {
	return c.Missing(c.Deploy(Frame{}), utxos)+c.Missing(c.DeploySlices(Frame{}), utxos) == 0
}

// FindReferences picks the published scripts out of outputs: at most one of each, the first by reference, and only at
// the lots' address, where they stay.
func (c *Contracts) FindReferences(utxos []chain.UTxO) []chain.UTxO {
	found := map[chain.ScriptHash]chain.UTxO{}
	for _, u := range utxos {
		if u.Script == nil || u.Address != c.Address {
			continue
		}
		h := chain.HashScript(u.Script)
		if _, ours := c.traced[h]; !ours {
			continue
		}
		if old, ok := found[h]; !ok || u.Ref.Compare(old.Ref) < 0 {
			found[h] = u
		}
	}
	var out []chain.UTxO
	for _, u := range found {
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b chain.UTxO) int { return a.Ref.Compare(b.Ref) })
	return out
}
