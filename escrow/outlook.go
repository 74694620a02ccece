package escrow

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// Prospect is something that can happen to a lot next, and until or from when.
type Prospect struct {
	On    Kind       `json:"on"`
	By    string     `json:"by"` // who
	From  chain.Time `json:"from,omitempty"`
	Until chain.Time `json:"until,omitempty"`
	Then  string     `json:"then"` // what comes of it
}

// Outlook lists what can happen to a lot from now on, the soonest deadline first. A final lot has none.
func (l Lot) Outlook(now chain.Time) (all []Prospect) {
	t, d := l.Terms, l.Terms.Disputes
	add := func(p Prospect) {
		if p.Until == 0 || now < p.Until {
			all = append(all, p)
		}
	}
	switch l.Status {
	case Sliced:
		add(Prospect{KindLeave, "provider", 0, t.CommitBy, "its lot is one of its own, with its result or without"})
		add(Prospect{KindSettle, "requester", 0, 0, "all in the slice are paid"})
		add(Prospect{KindFinish, "requester", 0, 0, "the provider is paid, or its lot is one of its own"})
		add(Prospect{KindDissolve, "anyone", t.CommitBy, 0, fmt.Sprintf("the price goes back, with a penalty of %d µNTX", l.PenaltyUNTX())})
	case Open:
		add(Prospect{KindDecline, "provider", 0, t.DeclineBy, "the price goes back to the requester, the bond to the provider"})
		add(Prospect{KindCommit, "provider", 0, t.CommitBy, "its result is on chain, and the review begins"})
		if t.VoucherKey != (plutus.PublicKey{}) {
			add(Prospect{KindRedeem, "provider", 0, t.CommitBy, "what vouchers say goes to the provider, the rest of the price to the requester"})
		}
		add(Prospect{KindApprove, "requester", 0, 0, "the provider is paid"})
		add(Prospect{KindRefund, "anyone", t.CommitBy, 0, fmt.Sprintf("the price goes back, with a penalty of %d µNTX", l.PenaltyUNTX())})
	case Committed:
		if d != (plutus.Disputes{}) {
			add(Prospect{KindDispute, "requester", 0, l.ClaimAt, fmt.Sprintf("attesters decide; the requester adds %d µNTX", d.BondUNTX)})
		}
		add(Prospect{KindApprove, "requester", 0, 0, "the provider is paid"})
		add(Prospect{KindClaim, "provider", l.ClaimAt, 0, "the provider is paid"})
	case Disputed:
		add(Prospect{KindVerdict, "anyone", 0, l.Deadline, fmt.Sprintf("what %d of %d attesters have signed is paid", d.Threshold, len(d.Attesters.List()))})
		add(Prospect{KindConcede, "requester", 0, 0, "the provider is paid, and the requester pays the dispute's cost"})
		share := plutus.PenaltyOf(l.PriceUNTX, d.ShareBps) // the same arithmetic
		add(Prospect{KindLapse, "anyone", l.Deadline, 0, fmt.Sprintf("%d µNTX of the price go to the provider, and the dispute's cost from the requester", share)})
	}
	return all
}
