package plutus

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Dispute is T5, by the requester, before a committed lot can be claimed: it adds the dispute bond and lovelace for the
// output that will pay it, as much as terms want of a lot. Verdicts end at deadline, which is the end of the frame's range
// and the terms' verdict window: Deadline computes it. The draft needs the requester's signature.
func (c *Contracts) Dispute(l Lot, t Terms, deadline chain.Time, f Frame) (chain.Draft, error) {
	if err := ofJob(KindDispute, t, []Lot{l}, Committed); err != nil {
		return chain.Draft{}, err
	}
	if t.Disputes == (Disputes{}) {
		return chain.Draft{}, fmt.Errorf("dispute: the terms of job %s allow none: %w", l.Job, ErrDraft)
	}
	to := l
	to.State, to.Deadline, to.DisputeBondUNTX, to.Own, to.Lovelace = Disputed, deadline, t.Disputes.BondUNTX, l.Lovelace, l.Lovelace+t.LotLovelace
	return c.become(l, to, Action{Kind: KindDispute, Terms: t}, t.Requester, f)
}

// Deadline is until when there can be a verdict on a lot whose dispute is valid until slot until.
func Deadline(t Terms, until chain.Slot, clock chain.Clock) chain.Time {
	return clock.SlotToTime(until) + chain.Time(t.Disputes.VerdictMS)
}

// Concede is T6c, by the requester: it gives up the dispute, pays the price to the provider and the dispute's cost to its
// payee. The draft needs the requester's signature.
func (c *Contracts) Concede(l Lot, t Terms, f Frame) (chain.Draft, error) {
	d, err := c.end(l, t, Action{Kind: KindConcede, Terms: t}, f, Disputed)
	if err != nil {
		return chain.Draft{}, err
	}
	return signedBy(d, t.Requester), nil
}

// Lapse is T7, by anyone, from the deadline on: there was no verdict, so the price is split as the terms say, and the
// requester pays the dispute's cost to the provider.
func (c *Contracts) Lapse(l Lot, t Terms, f Frame) (chain.Draft, error) {
	return c.end(l, t, Action{Kind: KindLapse, Terms: t}, f, Disputed)
}
