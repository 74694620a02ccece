package plutus

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Event is what a transaction in a block did to one lot, or to one share of a slice, which Lot then tells as the lot that
// it would be.
type Event struct {
	Kind   Kind            `json:"kind"`
	Lot    Lot             `json:"lot"`             // as it is after the transition; as it was, if it has ended
	Spent  chain.OutRef    `json:"spent,omitzero"`  // the output that held the lot before; none at Open and Start
	Place  Place           `json:"place,omitzero"`  // in the slice that Lot.Ref is; zero: it is in none after this
	Terms  Terms           `json:"terms,omitzero"`  // all but Claim
	Payers []chain.KeyHash `json:"payers,omitzero"` // Open, Start: the keys that signed it

	// At the end of a lot: what the redeemer awarded the provider, see Lot.Split, and what each side got.
	AwardUNTX       uint64 `json:"award_untx,omitempty"`
	ToProviderUNTX  uint64 `json:"to_provider_untx,omitempty"`
	ToRequesterUNTX uint64 `json:"to_requester_untx,omitempty"`
	ToPayeeUNTX     uint64 `json:"to_payee_untx,omitempty"`
	ToSinkUNTX      uint64 `json:"to_sink_untx,omitempty"`
	TakenUNTX       uint64 `json:"taken_untx,omitempty"` // Verdict: of the provider's stake, to the sink
}

// Observe says what a transaction did to the lots, in the order of their outputs or inputs; nothing if it did nothing
// to any. Outputs that only look like lots hold no token and are passed by. lookup finds the lots made before.
//
// A lot is a party's own only if its opening spent an input of that party: whoever it names, without its key among
// the Payers it is none of its business.
//
// ErrUnknownLot: a lot ended or changed that lookup does not know.
func (c *Contracts) Observe(tx chain.BlockTx, lookup func(chain.OutRef) (Lot, bool)) ([]Event, error) {
	if tx.Invalid || !c.touches(tx) {
		return nil, nil
	}
	a, err := DecodeAction(tx.MintRedeemers[c.Policy], c.Network)
	if err != nil {
		return nil, fmt.Errorf("transaction %s: %w", tx.ID, err)
	}
	var events []Event
	switch a.Kind {
	case KindOpen:
		events, err = c.opened(tx, a)
	case KindBorn: // of a slice: ObserveSlices says so
	case KindCommit, KindDispute:
		events, err = c.changed(tx, a, lookup)
	default:
		events, err = c.ended(tx, a, lookup)
	}
	if err != nil {
		return nil, fmt.Errorf("transaction %s, %s: %w", tx.ID, a.Kind, err)
	}
	return events, nil
}

func (c *Contracts) touches(tx chain.BlockTx) bool {
	for id := range tx.Mint {
		if id.Policy == c.Policy {
			return true
		}
	}
	return false
}

func (c *Contracts) opened(tx chain.BlockTx, a Action) ([]Event, error) {
	lots, err := c.made(tx, a.Terms)
	if err != nil {
		return nil, err
	}
	payers := slices.Clone(tx.Witnesses)
	var events []Event
	for _, l := range lots {
		events = append(events, Event{Kind: KindOpen, Lot: l, Terms: a.Terms, Payers: payers})
	}
	return events, nil
}

func (c *Contracts) changed(tx chain.BlockTx, a Action, lookup func(chain.OutRef) (Lot, bool)) ([]Event, error) {
	before, err := c.spent(tx, lookup)
	if err != nil {
		return nil, err
	}
	after, err := c.made(tx, a.Terms)
	if err != nil {
		return nil, err
	}
	if len(before) != 1 || len(after) != 1 || before[0].Job != after[0].Job {
		return nil, fmt.Errorf("%d lots became %d: %w", len(before), len(after), ErrUnknownLot)
	}
	return []Event{{Kind: a.Kind, Lot: after[0], Spent: before[0].Ref, Terms: a.Terms}}, nil
}

func (c *Contracts) ended(tx chain.BlockTx, a Action, lookup func(chain.OutRef) (Lot, bool)) ([]Event, error) {
	lots, err := c.spent(tx, lookup)
	if err != nil {
		return nil, err
	}
	if a.Kind == KindRedeem && len(a.Earned) != len(lots) {
		return nil, fmt.Errorf("%d vouchers for %d lots: %w", len(a.Earned), len(lots), ErrRedeemer)
	}
	var events []Event
	for i, l := range lots {
		e := Event{Kind: a.Kind, Lot: l, Spent: l.Ref, Terms: a.Terms, AwardUNTX: a.AwardUNTX, TakenUNTX: a.TakenUNTX}
		if a.Kind == KindRedeem {
			e.Terms, e.AwardUNTX = a.Earned[i].Terms, a.Earned[i].CumulativeUNTX
		}
		s, err := l.Split(a.Kind, e.Terms, e.AwardUNTX, a.SlashUNTX)
		if err != nil {
			return nil, err
		}
		e.ToProviderUNTX, e.ToRequesterUNTX, e.ToPayeeUNTX, e.ToSinkUNTX = s.ProviderUNTX, s.RequesterUNTX, s.PayeeUNTX, s.SinkUNTX
		events = append(events, e)
	}
	return events, nil
}

// made lists the lots among a transaction's outputs.
func (c *Contracts) made(tx chain.BlockTx, t Terms) ([]Lot, error) {
	var lots []Lot
	for _, u := range tx.Outputs {
		if !c.hasToken(u.Value) {
			continue
		}
		l, err := c.ReadLot(u, t)
		if err != nil {
			return nil, err
		}
		lots = append(lots, l)
	}
	return lots, nil
}

// spent lists the lots among a transaction's inputs, in the order in which scripts see them: as many as tokens were burned.
func (c *Contracts) spent(tx chain.BlockTx, lookup func(chain.OutRef) (Lot, bool)) ([]Lot, error) {
	var burned int64
	for id, q := range tx.Mint {
		if id.Policy == c.Policy && q < 0 {
			burned -= q
		}
	}
	var lots []Lot
	for _, ref := range tx.Inputs {
		if l, ok := lookup(ref); ok {
			lots = append(lots, l)
		}
	}
	if int64(len(lots)) != burned {
		return nil, fmt.Errorf("%d lots spent, %d of them known: %w", burned, len(lots), ErrUnknownLot)
	}
	return inOrder(lots), nil
}

func (c *Contracts) hasToken(v chain.Value) bool {
	for id := range v.Assets {
		if id.Policy == c.Policy {
			return true
		}
	}
	return false
}
