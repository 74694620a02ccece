package plutus

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Frame is what a draft needs beside its transition: the validity range, and the published scripts if there are any.
// Scripts that are not among the references are attached.
type Frame struct {
	From, Until chain.Slot   // [From, Until), at most Params.MaxRangeMS long
	References  []chain.UTxO // of FindReferences
}

// draft starts a transition: the policy runs with an action and mints; the stub runs for every lot spent.
func (c *Contracts) draft(f Frame, a Action, mint map[chain.AssetID]int64, lots []Lot) (chain.Draft, error) {
	if f.From >= f.Until {
		return chain.Draft{}, fmt.Errorf("%s: valid from slot %d until %d: %w", a.Kind, f.From, f.Until, ErrDraft)
	}
	redeemer, err := a.Encode()
	if err != nil {
		return chain.Draft{}, fmt.Errorf("%s: %w", a.Kind, err)
	}
	d := chain.Draft{From: f.From, Until: f.Until}
	m := chain.Mint{Policy: c.Policy, Assets: map[string]int64{}, Redeemer: redeemer}
	for id, q := range mint {
		m.Assets[id.Name] = q
	}
	d.Mint = []chain.Mint{m}
	c.use(&d, f.References, c.PolicyScript)
	if len(lots) == 0 {
		return d, nil
	}
	c.use(&d, f.References, c.StubScript)
	spend, err := lotRedeemer()
	if err != nil {
		return chain.Draft{}, err
	}
	for _, l := range lots {
		if slices.ContainsFunc(d.Inputs, func(i chain.Input) bool { return i.Ref == l.Ref }) {
			return chain.Draft{}, fmt.Errorf("%s: lot %s twice: %w", a.Kind, l.Ref, ErrDraft)
		}
		d.Inputs = append(d.Inputs, chain.Input{UTxO: l.UTxO, Redeemer: spend})
	}
	return d, nil
}

// use refers to a published script, or attaches it.
func (c *Contracts) use(d *chain.Draft, published []chain.UTxO, script []byte) {
	for _, u := range published {
		if bytes.Equal(u.Script, script) {
			d.References = append(d.References, u)
			return
		}
	}
	d.Scripts = append(d.Scripts, script)
}

// inOrder lists lots as their inputs come to the scripts.
func inOrder(lots []Lot) []Lot {
	return slices.SortedFunc(slices.Values(lots), func(a, b Lot) int { return a.Ref.Compare(b.Ref) })
}

// burns are the tokens of lots that end.
func (c *Contracts) burns(lots []Lot) map[chain.AssetID]int64 {
	m := map[chain.AssetID]int64{}
	for _, l := range lots {
		m[c.Token(l.Job, l.State)]--
	}
	return m
}

// pays are the outputs of a lot's end that pay the requester and the provider, each with its lovelace.
func (c *Contracts) pays(l Lot, t Terms, s Split) []chain.Output {
	mine, theirs := l.lovelace()
	return []chain.Output{c.payout(t.Requester, theirs, s.RequesterUNTX), c.payout(l.Provider, mine, s.ProviderUNTX)}
}

// payout is an output to one of the parties.
func (c *Contracts) payout(to chain.Address, coin chain.Lovelace, untx uint64) chain.Output {
	return chain.Output{Address: to, Value: chain.Coins(coin).With(c.Params.NTX, untx)}
}

// ofJob checks that there are lots and that all are of the job with these terms, in a state that is allowed.
func ofJob(k Kind, t Terms, lots []Lot, states ...State) error {
	id, err := t.JobID()
	if err != nil {
		return err
	}
	if len(lots) == 0 {
		return fmt.Errorf("%s: no lots: %w", k, ErrDraft)
	}
	for _, l := range lots {
		if l.Job != id {
			return fmt.Errorf("%s: lot %s is of job %s, the terms are of %s: %w", k, l.Ref, l.Job, id, ErrDraft)
		}
		if !slices.Contains(states, l.State) {
			return fmt.Errorf("%s: lot %s is in state %d: %w", k, l.Ref, l.State, ErrDraft)
		}
	}
	return nil
}
