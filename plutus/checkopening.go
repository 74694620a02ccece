package plutus

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Mine is what a provider knows of an opening it is asked to witness.
type Mine struct {
	Terms Terms                   // as agreed; the hash of the whole document is in them
	Part  Part                    // as agreed: where the lot pays to, its price, the bond input and its change
	Until chain.Time              // the end of the reservation: the opening must not be valid any more then
	Keys  []chain.KeyHash         // every key of mine, payment and stake
	Owns  func(chain.OutRef) bool // outputs that are mine, in the chain or still waiting for a block

	Attesters []PublicKey // whose verdicts I accept
}

// Unsafe is an opening that must not be witnessed, with the line of the checklist that says so. It wraps ErrUnsafe.
type Unsafe struct {
	Check string // such as "bond input"
	Why   string
}

func (u *Unsafe) Error() string { return fmt.Sprintf("%v: %s: %s", ErrUnsafe, u.Check, u.Why) }

// Unwrap gives ErrUnsafe.
func (u *Unsafe) Unwrap() error { return ErrUnsafe }

func unsafe(check, why string, args ...any) error {
	return &Unsafe{check, fmt.Sprintf(why, args...)}
}

// CheckOpening is the checklist before a witness. A witness authorises every input of its key in the body, collateral
// included, and isValid is not under the signature: so the very body bytes are looked at, and nothing else is trusted.
// resolved is what inputs and collateral hold in the chain, by my own node: an output that no block has yet may be about
// to be mine, whatever is said of it. The error is Unsafe, or what Explain makes of a script that refuses.
func (c *Contracts) CheckOpening(tx *chain.Tx, resolved []chain.UTxO, m Mine, p chain.Params, clk chain.Clock) error {
	o, err := c.opening(tx, resolved, m)
	if err != nil {
		return err
	}
	if err := inTurn(o.nothingElse, o.inputs, o.collateral, o.mint, o.attesters, o.lot, o.balance); err != nil {
		return err
	}
	return o.runs(tx, resolved, p, clk, o.redeemer)
}

func (c *Contracts) opening(tx *chain.Tx, resolved []chain.UTxO, m Mine) (*opening, error) {
	b, err := tx.Inspect()
	if err != nil {
		return nil, unsafe("body", "%v", err)
	}
	o := &opening{Contracts: c, Mine: m, TxBody: b, resolved: map[chain.OutRef]chain.UTxO{}}
	for _, u := range resolved {
		o.resolved[u.Ref] = u
	}
	return o, nil
}

func inTurn(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// runs: it is valid for no longer than the reservation, asks of the policy what was agreed, and the policy accepts.
func (o *opening) runs(tx *chain.Tx, resolved []chain.UTxO, p chain.Params, clk chain.Clock, redeemer func([]byte) error) error {
	if o.TxBody.Until == 0 || o.From == 0 || clk.SlotToTime(o.TxBody.Until) > o.Mine.Until {
		return unsafe("range", "valid until slot %d, the reservation ends at %d", o.TxBody.Until, o.Mine.Until)
	}
	rs := tx.Redeemers()
	if len(rs) != 1 || rs[0].Purpose != chain.PurposeMint {
		return unsafe("redeemers", "%d redeemers", len(rs))
	}
	if err := redeemer(rs[0].Data); err != nil {
		return err
	}
	if _, err := chain.Evaluate(tx, resolved, p, clk); err != nil {
		return o.Explain(err)
	}
	return nil
}

type opening struct {
	*Contracts
	Mine
	chain.TxBody
	resolved map[chain.OutRef]chain.UTxO
	own      Lot // the provider's lot, once found
}

// nothingElse: no certificate, withdrawal, vote or proposal, of anyone.
func (o *opening) nothingElse() error { return nothingElse(o.TxBody) }

func nothingElse(b chain.TxBody) error {
	for what, has := range map[string]bool{
		"certificates": b.HasCertificates, "withdrawals": b.HasWithdrawals, "votes": b.HasVotes,
		"proposals": b.HasProposals, "treasury": b.HasTreasury, "donation": b.HasDonation,
	} {
		if has {
			return unsafe(what, "there must be none")
		}
	}
	return nil
}

// inputs: those of my keys are exactly the bond input that I named.
func (o *opening) inputs() error {
	bond := o.Part.BondInput.Ref
	if !slices.Contains(o.Inputs, bond) {
		return unsafe("bond input", "%s is not spent", bond)
	}
	for _, ref := range o.Inputs {
		u, ok := o.resolved[ref]
		if !ok {
			return unsafe("inputs", "%s is unknown", ref)
		}
		if ref == bond {
			if !u.Value.Equal(o.Part.BondInput.Value) || u.Address != o.Part.BondInput.Address {
				return unsafe("bond input", "%s is given other contents", ref)
			}
			continue
		}
		if o.mine(u) {
			return unsafe("inputs", "%s is mine and not the bond input", ref)
		}
	}
	return nil
}

func (o *opening) collateral() error {
	for _, ref := range o.Collateral {
		u, ok := o.resolved[ref]
		if !ok {
			return unsafe("collateral", "%s is unknown", ref)
		}
		if o.mine(u) || ref == o.Part.BondInput.Ref {
			return unsafe("collateral", "%s is mine", ref)
		}
	}
	return nil
}

// mine says whether an output is mine: by what is said of it, or because I know it.
func (o *opening) mine(u chain.UTxO) bool { return o.pays(u.Address) || o.Owns(u.Ref) }

func (o *opening) pays(a chain.Address) bool {
	k, ok := a.Key()
	return ok && slices.Contains(o.Keys, k)
}

// mint: our policy alone, open lots of the job whose terms I agreed to.
func (o *opening) mint() error {
	id, err := o.Terms.JobID()
	if err != nil {
		return unsafe("terms", "%v", err)
	}
	token := o.Token(id, Open)
	if len(o.Mint) != 1 || o.Mint[token] < 1 {
		return unsafe("terms", "the opening does not mint lots of job %s, and only them", id)
	}
	return nil
}

// attesters: whoever can decide on my lot is on my own list.
func (o *opening) attesters() error {
	for _, k := range o.Terms.Disputes.Attesters.List() {
		if !slices.Contains(o.Attesters, k) {
			return unsafe("attesters", "%s is not on my list", k)
		}
	}
	return nil
}

// lot: exactly one lot is mine, of the agreed price, bond and lovelace.
func (o *opening) lot() error {
	id, _ := o.Terms.JobID()
	found := 0
	for _, u := range o.Outputs {
		l, err := o.ReadLot(u, o.Terms)
		if err != nil || !o.pays(l.Provider) {
			continue
		}
		found++
		o.own = l
	}
	want := Lot{Job: id, Provider: o.Part.Provider, PriceUNTX: o.Part.PriceUNTX, BondUNTX: BondOf(o.Part.PriceUNTX, o.Terms.BondBps), Lovelace: o.Terms.LotLovelace}
	out, err := o.output(want)
	switch {
	case found != 1:
		return unsafe("lot", "%d lots are mine", found)
	case o.own.Provider != want.Provider:
		return unsafe("lot address", "the lot pays to %s", o.own.Provider)
	case o.own.Lovelace != want.Lovelace:
		return unsafe("lot lovelace", "%d instead of %d", o.own.Lovelace, want.Lovelace)
	case err != nil:
		return unsafe("lot", "%v", err)
	case !o.own.UTxO.Value.Equal(out.Value):
		return unsafe("lot value", "price %d and bond %d instead of %d and %d", o.own.PriceUNTX, o.own.BondUNTX, want.PriceUNTX, want.BondUNTX)
	}
	return nil
}

// balance: my outputs and what I put into my lot are my input, and my outputs are where I said.
func (o *opening) balance() error {
	sum := chain.Coins(o.own.Lovelace).With(o.Params.NTX, o.own.BondUNTX)
	for _, u := range o.Outputs {
		if !o.pays(u.Address) {
			continue
		}
		if u.Address != o.Part.BondChange || u.Datum != nil || u.Script != nil {
			return unsafe("change", "output %d pays to %s, with datum %v, with script %v", u.Ref.Index, u.Address, u.Datum != nil, u.Script != nil)
		}
		var err error
		if sum, err = sum.Add(u.Value); err != nil {
			return unsafe("change", "%v", err)
		}
	}
	if !sum.Equal(o.Part.BondInput.Value) {
		return unsafe("change", "my outputs and my lot are not my input")
	}
	return nil
}

// redeemer: the policy is asked to open with my terms, and nothing else is asked of any script.
func (o *opening) redeemer(said []byte) error {
	a, err := DecodeAction(said, o.Network)
	if err != nil {
		return unsafe("redeemers", "%v", err)
	}
	if a.Kind != KindOpen || a.Terms != o.Terms {
		return unsafe("terms", "the redeemer is of %s, with other terms than agreed", a.Kind)
	}
	return nil
}
