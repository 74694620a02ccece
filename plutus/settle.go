package plutus

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Commit is T2: the provider writes its result's root. The lot may be claimed from claimAt on, which is the end of
// the frame's range and the terms' review: ClaimAt computes it. The draft needs the provider's signature.
func (c *Contracts) Commit(l Lot, t Terms, root [32]byte, claimAt chain.Time, f Frame) (chain.Draft, error) {
	if err := ofJob(KindCommit, t, []Lot{l}, Open); err != nil {
		return chain.Draft{}, err
	}
	to := l
	to.State, to.Root, to.ClaimAt = Committed, root, claimAt
	return c.become(l, to, Action{Kind: KindCommit, Terms: t, Root: root}, l.Provider, f)
}

// become is the draft of a transition after which a lot is in another state. It needs a signature of who.
func (c *Contracts) become(l, to Lot, a Action, who chain.Address, f Frame) (chain.Draft, error) {
	d, err := c.draft(f, a, map[chain.AssetID]int64{c.Token(l.Job, l.State): -1, c.Token(l.Job, to.State): 1}, []Lot{l})
	if err != nil {
		return chain.Draft{}, err
	}
	o, err := c.output(to)
	if err != nil {
		return chain.Draft{}, err
	}
	d.Outputs = []chain.Output{o}
	return signedBy(d, who), nil
}

// ClaimAt is from when a lot may be claimed whose commitment is valid until slot until.
func ClaimAt(t Terms, until chain.Slot, clock chain.Clock) chain.Time {
	return clock.SlotToTime(until) + chain.Time(t.ReviewMS)
}

// Approve is T3: the requester pays lots of one job in full, in any states. The draft needs its signature.
func (c *Contracts) Approve(lots []Lot, t Terms, f Frame) (chain.Draft, error) {
	if err := ofJob(KindApprove, t, lots, Open, Committed); err != nil {
		return chain.Draft{}, err
	}
	lots = inOrder(lots)
	d, err := c.draft(f, Action{Kind: KindApprove, Terms: t}, c.burns(lots), lots)
	if err != nil {
		return chain.Draft{}, err
	}
	for _, l := range lots {
		d.Outputs = append(d.Outputs, c.payout(l.Provider, l.Lovelace, l.PriceUNTX+l.BondUNTX))
	}
	return signedBy(d, t.Requester), nil
}

// Claim is T4: a provider takes what its committed lots hold, of any jobs, each from its ClaimAt on. One output pays
// it. The draft needs the provider's signature.
func (c *Contracts) Claim(lots []Lot, f Frame) (chain.Draft, error) {
	if len(lots) == 0 {
		return chain.Draft{}, fmt.Errorf("claim: no lots: %w", ErrDraft)
	}
	lots = inOrder(lots)
	to, sum := lots[0].Provider, chain.Value{}
	for _, l := range lots {
		if l.State != Committed || l.Provider != to {
			return chain.Draft{}, fmt.Errorf("claim: lot %s is in state %d, of %s, another of %s: %w", l.Ref, l.State, l.Provider, to, ErrDraft)
		}
		var err error
		if sum, err = sum.Add(chain.Coins(l.Lovelace).With(c.Params.NTX, l.PriceUNTX+l.BondUNTX)); err != nil {
			return chain.Draft{}, fmt.Errorf("claim: %w", err)
		}
	}
	d, err := c.draft(f, Action{Kind: KindClaim}, c.burns(lots), lots)
	if err != nil {
		return chain.Draft{}, err
	}
	d.Outputs = []chain.Output{{Address: to, Value: sum}}
	return signedBy(d, to), nil
}

// Refund is T8, by anyone, from commit_by on: price and penalty of a job's open lots go back to the requester, the
// rest to each provider. The submitter gives the requester's output its least lovelace.
func (c *Contracts) Refund(lots []Lot, t Terms, f Frame) (chain.Draft, error) {
	if err := ofJob(KindRefund, t, lots, Open); err != nil {
		return chain.Draft{}, err
	}
	lots = inOrder(lots)
	d, err := c.draft(f, Action{Kind: KindRefund, Terms: t}, c.burns(lots), lots)
	if err != nil {
		return chain.Draft{}, err
	}
	var back uint64
	d.Outputs = make([]chain.Output, 1, len(lots)+1)
	for _, l := range lots {
		penalty := PenaltyOf(l.PriceUNTX, t.PenaltyBps)
		back += l.PriceUNTX + penalty
		d.Outputs = append(d.Outputs, c.payout(l.Provider, l.Lovelace, l.BondUNTX-penalty))
	}
	d.Outputs[0] = c.payout(t.Requester, 0, back)
	return d, nil
}

// Decline is T9b, by the provider, before decline_by: the price goes back to the requester, bond and lovelace to the
// provider, who gives the requester's output its least lovelace. The draft needs the provider's signature.
func (c *Contracts) Decline(l Lot, t Terms, f Frame) (chain.Draft, error) {
	d, err := c.end(l, t, Action{Kind: KindDecline, Terms: t}, f, Open)
	if err != nil {
		return chain.Draft{}, err
	}
	return signedBy(d, l.Provider), nil
}

// Close is T9a, by requester and provider together: award of all that the lot holds goes to the provider, the rest to
// the requester. The draft needs both signatures.
func (c *Contracts) Close(l Lot, t Terms, award uint64, f Frame) (chain.Draft, error) {
	d, err := c.end(l, t, Action{Kind: KindClose, Terms: t, AwardUNTX: award}, f, Open, Committed, Disputed)
	if err != nil {
		return chain.Draft{}, err
	}
	return signedBy(d, t.Requester, l.Provider), nil
}

// end is the draft of a transition that ends one lot, paying its requester and its provider.
func (c *Contracts) end(l Lot, t Terms, a Action, f Frame, states ...State) (chain.Draft, error) {
	if err := ofJob(a.Kind, t, []Lot{l}, states...); err != nil {
		return chain.Draft{}, err
	}
	s, err := l.Split(a.Kind, t, a.AwardUNTX, a.SlashUNTX)
	if err != nil {
		return chain.Draft{}, err
	}
	d, err := c.draft(f, a, c.burns([]Lot{l}), []Lot{l})
	if err != nil {
		return chain.Draft{}, err
	}
	d.Outputs = c.pays(l, t, s)
	if s.PayeeUNTX > 0 {
		d.Outputs = append(d.Outputs, c.payout(chain.Enterprise(c.Network, t.Disputes.Payee), 0, s.PayeeUNTX))
	}
	if slashed := s.SinkUNTX + a.TakenUNTX; slashed > 0 {
		d.Outputs = append(d.Outputs, c.payout(chain.ScriptAddress(c.Network, c.Params.Sink), 0, slashed))
	}
	return d, nil
}

func signedBy(d chain.Draft, who ...chain.Address) chain.Draft {
	for _, a := range who {
		k, _ := a.Key()
		d.Signers = append(d.Signers, k)
	}
	return d
}
