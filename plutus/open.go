package plutus

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Part is one provider's part in an opening.
type Part struct {
	Provider   chain.Address // paid here; of a payment key, with or without a stake key
	PriceUNTX  uint64
	BondInput  chain.UTxO    // of the provider's payment key: covers bond and the lot's lovelace
	BondChange chain.Address // gets what the bond input holds beyond that
}

// Open is T0: seed is an input of the requester's that the terms name, parts come in any order. The draft's outputs
// are the lots, in ascending order of the providers' payment keys, then every provider's change in the same order.
// The requester's coins for the prices and the fee are added by chain.Balance, and so is the requester's change.
func (c *Contracts) Open(t Terms, parts []Part, seed chain.UTxO, f Frame) (chain.Draft, error) {
	id, err := t.JobID()
	if err != nil {
		return chain.Draft{}, err
	}
	if seed.Ref != t.Seed || len(parts) == 0 {
		return chain.Draft{}, fmt.Errorf("open: %d parts, seed %s, in the terms %s: %w", len(parts), seed.Ref, t.Seed, ErrDraft)
	}
	parts = slices.SortedFunc(slices.Values(parts), func(a, b Part) int {
		x, _ := a.Provider.Key()
		y, _ := b.Provider.Key()
		return bytes.Compare(x[:], y[:])
	})
	d, err := c.draft(f, Action{Kind: KindOpen, Terms: t}, map[chain.AssetID]int64{c.Token(id, Open): int64(len(parts))}, nil)
	if err != nil {
		return chain.Draft{}, err
	}
	d.Inputs = append(d.Inputs, chain.Input{UTxO: seed})
	var changes []chain.Output
	for i, p := range parts {
		if err := p.check(); err != nil {
			return chain.Draft{}, err
		}
		if i > 0 && samePayee(p.Provider, parts[i-1].Provider) {
			return chain.Draft{}, fmt.Errorf("open: two parts of provider %s: %w", p.Provider, ErrDraft)
		}
		l := Lot{Job: id, Provider: p.Provider, PriceUNTX: p.PriceUNTX, BondUNTX: BondOf(p.PriceUNTX, t.BondBps), Lovelace: t.LotLovelace}
		if t.Disputes.forfeits(l.PriceUNTX) > l.BondUNTX {
			return chain.Draft{}, fmt.Errorf("open: the bond of provider %s, %d, does not pay for losing a dispute: %w", p.Provider, l.BondUNTX, ErrDraft)
		}
		o, err := c.output(l)
		if err != nil {
			return chain.Draft{}, err
		}
		d.Outputs = append(d.Outputs, o)
		rest, err := p.BondInput.Value.Sub(chain.Coins(l.Lovelace).With(c.Params.NTX, l.BondUNTX))
		if err != nil {
			return chain.Draft{}, fmt.Errorf("open: bond input %s of %s: %w", p.BondInput.Ref, p.Provider, err)
		}
		d.Inputs = append(d.Inputs, chain.Input{UTxO: p.BondInput})
		if rest.Coin > 0 || len(rest.Assets) > 0 {
			changes = append(changes, chain.Output{Address: p.BondChange, Value: rest})
		}
	}
	d.Outputs = append(d.Outputs, changes...)
	return d, nil
}

func (p Part) check() error {
	owner, _ := p.BondInput.Address.Key()
	who, ok := p.Provider.Key()
	switch {
	case !ok || !isParty(p.Provider):
		return fmt.Errorf("open: provider %q cannot be paid: %w", p.Provider, ErrDraft)
	case owner != who:
		return fmt.Errorf("open: bond input %s is not of provider %s: %w", p.BondInput.Ref, p.Provider, ErrDraft)
	case p.PriceUNTX == 0 || p.PriceUNTX > maxQuantity/2:
		return fmt.Errorf("open: price %d: %w", p.PriceUNTX, ErrDraft)
	case p.BondChange.IsZero():
		return fmt.Errorf("open: no change address of provider %s: %w", p.Provider, ErrDraft)
	}
	return nil
}

func samePayee(a, b chain.Address) bool {
	x, _ := a.Key()
	y, _ := b.Key()
	return x == y
}
