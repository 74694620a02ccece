package plutus

import (
	"bytes"
	"maps"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Guest is what a provider knows of a leave that another one of its slice has built and pays for.
type Guest struct {
	Slice  Slice  // as the chain has it
	Terms  Terms  // of its job
	Leaver Leaver // its own place, and the root of its result
	// Coins are the transaction's other inputs and its collateral as the guest's own node has them. What others say of
	// them proves nothing: an output that the guest is about to get would be signed away with the rest.
	Coins []chain.UTxO
	Until chain.Time      // the latest end of validity: a later one puts off the claim
	Keys  []chain.KeyHash // every key of the guest's, payment and stake
}

// leave is a transaction that a guest is asked to witness.
type leave struct {
	*Contracts
	Guest
	chain.TxBody
}

// CheckLeave is the checklist before a guest's witness. Of what is in the body, all that concerns the slice is what this
// package itself builds for the same leavers, and the rest is not the guest's. No script need be run: if one refused, the
// guest would be where it was. The error is Unsafe.
func (c *Contracts) CheckLeave(tx *chain.Tx, g Guest, clk chain.Clock) error {
	b, err := tx.Inspect()
	if err != nil {
		return unsafe("body", "%v", err)
	}
	l := &leave{Contracts: c, Guest: g, TxBody: b}
	return inTurn(
		func() error { return nothingElse(b) }, l.foreign,
		func() error { return l.bounds(clk) },
		func() error { return l.asBuilt(tx, clk) },
	)
}

// Foreign are the inputs and the collateral of a transaction that spends a slice, but for the slice.
func Foreign(b chain.TxBody, slice chain.OutRef) []chain.OutRef {
	all := slices.DeleteFunc(slices.Concat(b.Inputs, b.Collateral), func(r chain.OutRef) bool { return r == slice })
	slices.SortFunc(all, chain.OutRef.Compare)
	return slices.Compact(all)
}

// foreign: but for the slice, only coins of other keys are spent or are collateral, and there is no metadata.
func (l *leave) foreign() error {
	if !slices.Contains(l.Inputs, l.Slice.Ref) {
		return unsafe("slice", "%s is not spent", l.Slice.Ref)
	}
	for _, ref := range Foreign(l.TxBody, l.Slice.Ref) {
		i := slices.IndexFunc(l.Coins, func(u chain.UTxO) bool { return u.Ref == ref })
		if i < 0 {
			return unsafe("inputs", "%s is not in the chain", ref)
		}
		if k, ok := l.Coins[i].Address.Key(); !ok || slices.Contains(l.Keys, k) {
			return unsafe("inputs", "%s is mine, or a script's", ref)
		}
	}
	if l.AuxDataHash != nil {
		return unsafe("metadata", "a leave has none")
	}
	return nil
}

func (l *leave) bounds(clk chain.Clock) error {
	if l.TxBody.Until <= l.From || clk.SlotToTime(l.TxBody.Until) > l.Guest.Until {
		return unsafe("range", "valid from slot %d until %d, at the latest until %d ms", l.From, l.TxBody.Until, l.Guest.Until)
	}
	return nil
}

// asBuilt: outputs, mint, required signers and redeemers are those of the draft that I would make for the leavers that are
// named, me among them; after its outputs there is only change to keys.
func (l *leave) asBuilt(tx *chain.Tx, clk chain.Clock) error {
	m, err := l.move(tx)
	if err != nil {
		return err
	}
	if !slices.Contains(m.Leavers, l.Leaver) {
		return unsafe("leaver", "share %d does not leave, or with another root", l.Leaver.Index)
	}
	d, err := l.Contracts.Leave(l.Slice, l.Terms, m.Leavers, ClaimAt(l.Terms, l.TxBody.Until, clk), Frame{From: l.From, Until: l.TxBody.Until})
	if err != nil {
		return unsafe("leaver", "%v", err)
	}
	for i, o := range l.Outputs {
		if i < len(d.Outputs) && !bytes.Equal(o.Encode(), d.Outputs[i].Encode()) {
			return unsafe("output", "output %d is not as it must be", i)
		}
		if _, key := o.Address.Key(); i >= len(d.Outputs) && !key {
			return unsafe("output", "output %d goes to a script", i)
		}
	}
	switch {
	case len(l.Outputs) < len(d.Outputs):
		return unsafe("output", "%d outputs, %d are due", len(l.Outputs), len(d.Outputs))
	case !maps.Equal(l.Mint, tokensOf(d)):
		return unsafe("mint", "other tokens than those of the leave")
	case !slices.Equal(l.Signers, d.Signers): // both in ascending order of keys
		return unsafe("signers", "other signers than who leaves")
	}
	return l.redeemers(tx, d)
}

// move is what the slices' policy is asked to do.
func (l *leave) move(tx *chain.Tx) (Move, error) {
	for _, r := range tx.Redeemers() {
		if m, err := DecodeMove(r.Data, l.Network); err == nil && r.Purpose == chain.PurposeMint && m.Kind == KindLeave {
			return m, nil
		}
	}
	return Move{}, unsafe("redeemers", "none is of a leave")
}

// redeemers: each script is asked what the draft asks it, and no other one runs.
func (l *leave) redeemers(tx *chain.Tx, d chain.Draft) error {
	want := map[chain.RedeemerKey][]byte{
		{Purpose: chain.PurposeSpend, Index: uint32(slices.Index(l.Inputs, l.Slice.Ref))}: d.Inputs[0].Redeemer,
	}
	slices.SortFunc(d.Mint, func(a, b chain.Mint) int { return bytes.Compare(a.Policy[:], b.Policy[:]) })
	for i, m := range d.Mint {
		want[chain.RedeemerKey{Purpose: chain.PurposeMint, Index: uint32(i)}] = m.Redeemer
	}
	all := tx.Redeemers()
	for _, r := range all {
		if !bytes.Equal(want[r.RedeemerKey], r.Data) {
			return unsafe("redeemers", "%s is not what a leave asks", r.RedeemerKey)
		}
	}
	if len(all) != len(want) {
		return unsafe("redeemers", "%d redeemers, %d are due", len(all), len(want))
	}
	return nil
}

// tokensOf are the tokens that a draft mints and burns.
func tokensOf(d chain.Draft) map[chain.AssetID]int64 {
	all := map[chain.AssetID]int64{}
	for _, m := range d.Mint {
		for name, n := range m.Assets {
			all[chain.AssetID{Policy: m.Policy, Name: name}] = n
		}
	}
	return all
}
