package escrow

import (
	"encoding/json"
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// Scanned is an event and the lot it is about.
type Scanned struct {
	Key   Key
	Event Event
}

// Scan reads what a block did to lots, from the block and the outputs at the addresses of lots and slices that it spends. It says
// the same of the same block every time. A transaction that takes lots nobody here saw is passed by: it is none of
// the lots that were watched from their opening on. So is one that makes no sense here: nobody would have witnessed
// such an opening, and a stranger's transaction must not stop anyone's index.
func Scan(c *plutus.Contracts, b chain.Block, spent map[chain.OutRef]chain.UTxO) ([]Scanned, error) {
	var all []Scanned
	made := map[chain.OutRef]chain.UTxO{} // in this very block
	for _, tx := range b.Txs {
		found, err := scanTx(c, tx, b.Slot, spent, made)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		for _, u := range tx.Outputs {
			if u.Address == c.Address || u.Address == c.Slices.Address {
				made[u.Ref] = u
			}
		}
	}
	return all, nil
}

func scanTx(c *plutus.Contracts, tx chain.BlockTx, slot chain.Slot, spent, made map[chain.OutRef]chain.UTxO) ([]Scanned, error) {
	held := func(ref chain.OutRef) (chain.UTxO, bool) {
		u, ok := spent[ref]
		if !ok {
			u, ok = made[ref]
		}
		return u, ok
	}
	events, err := observe(c, tx, held)
	if err != nil {
		return nil, nil
	}
	all := make([]Scanned, 0, len(events))
	for _, e := range events {
		provider, ok := e.Lot.Provider.Key()
		if !ok {
			return nil, fmt.Errorf("transaction %s: lot of %s, which is no key's address: %w", tx.ID, e.Lot.Provider, ErrTransition)
		}
		all = append(all, Scanned{
			Key:   Key{Job: e.Lot.Job, Provider: provider},
			Event: eventOf(e, tx.ID, slot),
		})
	}
	return all, nil
}

// observe reads a transaction that moves lots, or slices.
func observe(c *plutus.Contracts, tx chain.BlockTx, held func(chain.OutRef) (chain.UTxO, bool)) ([]plutus.Event, error) {
	if _, ok := tx.MintRedeemers[c.Slices.Policy]; ok {
		return c.ObserveSlices(tx, held)
	}
	redeemer, ok := tx.MintRedeemers[c.Policy]
	if !ok || tx.Invalid {
		return nil, nil
	}
	action, err := plutus.DecodeAction(redeemer, c.Network)
	if err != nil {
		return nil, err
	}
	return c.Observe(tx, func(ref chain.OutRef) (plutus.Lot, bool) {
		u, ok := held(ref)
		if !ok {
			return plutus.Lot{}, false
		}
		l, err := c.ReadLot(u, action.TermsOf(c.JobOf(u)))
		return l, err == nil
	})
}

func eventOf(e plutus.Event, tx chain.TxID, slot chain.Slot) Event {
	n := Event{Kind: Kind(e.Kind), Tx: tx, Slot: slot, To: became(e)}
	if !n.To.Final() {
		n.Ref, n.Place = e.Lot.Ref, e.Place
	}
	switch n.To {
	case Open, Sliced:
		if e.Spent == (chain.OutRef{}) {
			n.Terms, n.Address, n.Payers = e.Terms, e.Lot.Provider, e.Payers
			n.PriceUNTX, n.BondUNTX, n.Lovelace = e.Lot.PriceUNTX, e.Lot.BondUNTX, e.Lot.Lovelace
		}
	case Committed:
		n.Root, n.ClaimAt = e.Lot.Root, e.Lot.ClaimAt
	case Disputed:
		n.Deadline = e.Lot.Deadline
	default:
		n.AwardUNTX, n.ToProviderUNTX, n.ToRequesterUNTX = e.AwardUNTX, e.ToProviderUNTX, e.ToRequesterUNTX
		n.ToPayeeUNTX, n.ToSinkUNTX, n.TakenUNTX = e.ToPayeeUNTX, e.ToSinkUNTX, e.TakenUNTX
	}
	return n
}

// became is the state in which a transition left a lot.
func became(e plutus.Event) Status {
	switch {
	case e.Place.Of > 0:
		return Sliced
	case e.Lot.Ref == e.Spent: // it has ended: what holds it is what was spent
		for _, t := range Table() {
			if t.On == Kind(e.Kind) && t.To.Final() {
				return t.To
			}
		}
	}
	return map[plutus.State]Status{plutus.Open: Open, plutus.Committed: Committed, plutus.Disputed: Disputed}[e.Lot.State]
}

// record is an event as it is stored: JSON, with the part of the terms that JSON leaves out.
type record struct {
	Event
	Rest []byte `json:"rest,omitempty"`
}

// EncodeEvent writes an event for an event log.
func EncodeEvent(e Event) ([]byte, error) {
	r := record{Event: e}
	if e.Kind == KindOpen || e.Kind == KindStart {
		r.Rest = e.Terms.Rest[:]
	}
	return json.Marshal(r)
}

// DecodeEvent reads what EncodeEvent wrote.
func DecodeEvent(b []byte) (Event, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return Event{}, fmt.Errorf("stored event: %w", err)
	}
	copy(r.Terms.Rest[:], r.Rest)
	return r.Event, nil
}
